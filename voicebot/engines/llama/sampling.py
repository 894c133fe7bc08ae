"""How the next token is chosen from a row of logits: llama.cpp's own samplers, in the order its server uses.

Knows no context and no slot, so that any row can be sampled from: the one after a draft's third token as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.candidates import Candidates, all_ids
from voicebot.errors import EngineError

_NEAR: Final = 64
"""Asking a grammar about 49,152 tokens takes 4-10 ms, about this many 0.01 ms; one of them is nearly always allowed."""


class Sampler:
    """One request's samplers and what they remember of its reply. Used by one thread.

    The chain is: repetition penalty, top-k, top-p, min-p, temperature. A grammar (llama.cpp's sampler; freed by
    `close`) has its say as in llama.cpp's server: the rest chooses first, and only where the grammar refuses that
    token does the chain run again over the tokens it allows. The grammar concerns what is chosen here and nothing of
    `begun`. At temperature 0 all this comes down to the likeliest token that the grammar allows.
    """

    def __init__(
        self,
        settings: SlmSettings,
        vocabulary_size: int,
        grammar: Any | None = None,  # noqa: ANN401 - a pointer of llama_cpp, which has no types
    ) -> None:
        self.greedy = settings.temperature == 0
        self._penalty = np.float32(settings.repeat_penalty)
        self._recent: deque[int] = deque(maxlen=settings.repeat_last_tokens)
        self._row = np.empty(vocabulary_size, np.float32)
        self._candidates = Candidates(vocabulary_size)
        self._ids = all_ids(vocabulary_size)
        self._grammar = grammar
        self._chance = llama_cpp.llama_sampler_init_dist(settings.seed)
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for step in (
            llama_cpp.llama_sampler_init_top_k(settings.top_k),
            llama_cpp.llama_sampler_init_top_p(settings.top_p, 1),
            llama_cpp.llama_sampler_init_min_p(settings.min_p, 1),
            llama_cpp.llama_sampler_init_temp(settings.temperature),
        ):
            llama_cpp.llama_sampler_chain_add(self._chain, step)

    def reset(self, begun: Sequence[int] = ()) -> None:
        """Forget the last request's tokens; the reply begins with those of `begun`."""
        self._recent.clear()
        self._recent.extend(begun)
        llama_cpp.llama_sampler_reset(self._chance)
        if self._grammar is not None:
            llama_cpp.llama_sampler_reset(self._grammar)

    def accept(self, token: int) -> None:
        """Go on with this token. A grammar must have allowed it: llama.cpp ends the process otherwise."""
        self._recent.append(token)
        if self._grammar is not None:
            llama_cpp.llama_sampler_accept(self._grammar, token)

    def sample(self, logits: NDArray[np.float32]) -> int:
        """Choose the next token from raw logits of shape (vocabulary size,), without accepting it.

        Raises EngineError where the grammar allows no token at all.
        """
        if self.greedy and self._grammar is None and (best := int(logits.argmax())) not in self._recent:
            return (
                best  # a penalty only takes away; so the row of 200 kB need not be copied, which costs a token 0.07 ms
            )
        row = self._penalised(logits)
        if self.greedy:
            return self._likeliest(row)
        token = self._drawn(self._ids, row)
        if self._grammar is not None and not self._allows(np.array([token])).all():
            allowed = self._all_allowed()
            token = self._drawn(allowed, row[allowed])
        return token

    def distribution(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability with which `sample` chooses each token; shape (vocabulary size,), sum 1.

        Raises EngineError where the grammar allows no token at all.
        """
        row = self._penalised(logits)
        result = np.zeros(len(row))
        if self.greedy:
            result[self._likeliest(row)] = 1.0
            return result
        ids, probabilities = self._truncated(self._ids, row)
        result[ids] = probabilities
        if self._grammar is not None and not (legal := self._allows(ids)).all():
            refused = probabilities[~legal].sum()
            result[ids[~legal]] = 0.0
            allowed = self._all_allowed()
            ids, probabilities = self._truncated(allowed, row[allowed])
            result[ids] += refused * probabilities
        return result

    def close(self) -> None:
        """Free the samplers, the grammar included."""
        for sampler in (self._chain, self._chance, self._grammar):
            if sampler is not None:
                llama_cpp.llama_sampler_free(sampler)

    def _penalised(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Do what llama.cpp's penalty sampler does, which looks up each token of the vocabulary: 0.17 ms there."""
        if self._penalty == 1 or not self._recent:
            return logits
        np.copyto(self._row, logits)
        recent = np.array(self._recent)
        said = logits[recent]
        self._row[recent] = np.where(said <= 0, said * self._penalty, said / self._penalty)
        return self._row

    def _likeliest(self, row: NDArray[np.float32]) -> int:
        best = int(row.argmax())
        if self._grammar is None or self._allows(np.array([best])).all():
            return best
        near = np.sort(np.argpartition(row, -_NEAR)[-_NEAR:]) if len(row) > _NEAR else self._ids
        allowed = near[self._allows(near)]
        if not allowed.size:
            allowed = self._all_allowed()
        return int(allowed[row[allowed].argmax()])

    def _drawn(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> int:
        self._candidates.fill(ids, logits)
        self._candidates.apply(self._chain)
        self._candidates.apply(self._chance)
        return self._candidates.selected

    def _truncated(
        self, ids: NDArray[np.int32], logits: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the tokens that the chain leaves, and their probabilities."""
        self._candidates.fill(ids, logits)
        self._candidates.apply(self._chain)
        left = self._candidates.logits.astype(np.float64)
        weights = np.exp(left - left.max())
        return self._candidates.ids.copy(), weights / weights.sum()

    def _allows(self, ids: NDArray[Any]) -> NDArray[np.bool_]:
        """Return of each token whether the grammar allows it next."""
        self._candidates.fill(ids, np.zeros(len(ids), np.float32))
        self._candidates.apply(self._grammar)
        return np.asarray(self._candidates.logits == 0)

    def _all_allowed(self) -> NDArray[np.int32]:
        allowed = self._ids[self._allows(self._ids)]
        if not allowed.size:
            raise EngineError("the grammar allows no token here; it needs one that it can end or go on with.")
        return allowed

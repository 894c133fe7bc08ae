"""Drafts of each source: how many are accepted, what they cost, and how long they would be chosen.

Two draft models are made for the run: the target requantised, which is nearly always right and nearly as dear, and its
first layers alone, which are cheap and nearly always wrong.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import llama_cpp

from voicebot.bench.slm.decode import costs_of, flat_ms, step_costs_ms
from voicebot.bench.slm.pairs import pairs_row, run_pairs
from voicebot.bench.slm.prompts import CHAT, QUOTING, Prompt
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.speculation import source_rows
from voicebot.bench.slm.subject import Subject
from voicebot.engines.llama.acceptance import accepted_length
from voicebot.engines.llama.draft_length import choose
from voicebot.engines.llama.draft_model import DraftModel
from voicebot.engines.llama.drafts import Draft, NgramDrafter
from voicebot.engines.llama.ngram import NgramIndex
from voicebot.engines.llama.speculation import MOST_DRAFTED
from voicebot.errors import EngineError
from voicebot.models.gguf import layer_count
from voicebot.workers.flags import CancelFlags

_Q8_0: Final = 7
_KEPT_LAYERS: Final = 4
_DRAFTED: Final = 4
"""Tokens of each draft whose acceptance is measured."""
_TEXTS: Final = 6
_LONG: Final = 4
"""A draft of so many tokens is a long one."""
_SIMULATED_SHARE: Final = 0.1
"""What a draft model's token costs on the simulated box, of the target's."""

Propose = Callable[[Sequence[int]], Draft | None]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of the drafts of one source."""

    proposed: int
    """Tokens up to the first refused one of each draft."""
    accepted: int
    ms_per_token: float = 0.0

    @property
    def share(self) -> float:
        """How probable it is that the next token of a draft is accepted."""
        return self.accepted / self.proposed if self.proposed else 0.0


def measure(subject: Subject, prompts: Sequence[Prompt] = CHAT) -> Part:
    """Measure the acceptance of all sources on the target's own replies, then draft models in pairs with plain ones."""
    curve = step_costs_ms(subject)
    chat, quoting = (_texts(subject, some) for some in (prompts[:_TEXTS], QUOTING[:_TEXTS]))
    found = {
        "ngram, quoting": ngram_acceptance(quoting, known=False),
        "phrases, said before": ngram_acceptance(chat, known=True),
    }
    pairs: list[Row] = []
    tried: list[Row] = []
    lengths: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        layers = layer_count(subject.model)
        for name, pruned in (("requantised", ()), ("first layers", range(min(_KEPT_LAYERS, layers), layers))):
            path = make_draft_model(subject.model, Path(folder) / f"{name}.gguf", pruned)
            found[f"model, {name}"] = _model_acceptance(subject, path, chat)
            with subject.comparing(path) as client:
                runs, drafters = run_pairs(client, prompts, subject.repeats)
            pairs.append(pairs_row(name, runs))
            tried += source_rows(name, drafters)
            steps = sum((drafter.lengths for drafter in drafters), start=Counter[int]())
            lengths += [{"model": name, "length": length, "steps": steps[length]} for length in sorted(steps)]
    chosen = [chosen_row(source, accepted, curve) for source, accepted in found.items()]
    limits = [
        Limit(f"length on a memory-bound box, {row['source']}", float(str(row["length simulated"])), at_least=_LONG)
        for row in chosen
        if row["source"] != "model, first layers"
    ]
    no_gain = next(row for row in chosen if row["source"] == "model, requantised")
    limits.append(Limit("length here, model, requantised", float(str(no_gain["length here"])), at_most=0))
    return Part(
        {
            "acceptance and lengths": chosen,
            "drafted against plain": pairs,
            "tried in these replies": tried,
            "steps by length": lengths,
        },
        limits,
    )


def chosen_row(source: str, accepted: Accepted, curve_ms: dict[int, float]) -> Row:
    """Return the acceptance and the lengths chosen by it: on this box, and on one on which memory is the bottleneck."""
    simulated = flat_ms(curve_ms[1])
    simulated_cost_ms = _SIMULATED_SHARE * curve_ms[1] if accepted.ms_per_token else 0.0
    return {
        "source": source,
        "proposed": accepted.proposed,
        "acceptance": accepted.share,
        "ms per token": accepted.ms_per_token,
        "length here": choose(costs_of(curve_ms), accepted.share, accepted.ms_per_token, 0, MOST_DRAFTED),
        "length simulated": choose(costs_of(simulated), accepted.share, simulated_cost_ms, 0, MOST_DRAFTED),
    }


def make_draft_model(model: Path, target: Path, pruned: Sequence[int]) -> Path:
    """Write the model again as Q8_0 without the given layers. Raises EngineError."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = _Q8_0, True
    layers = (ctypes.c_int32 * (len(pruned) + 1))(*pruned, -1)
    if pruned:
        params.prune_layers = ctypes.cast(layers, ctypes.POINTER(ctypes.c_int32))
    if llama_cpp.llama_model_quantize(str(model).encode(), str(target).encode(), ctypes.byref(params)):
        raise EngineError(f"no draft model can be made of {model}; check that the disk has room.")
    return target


def acceptance(texts: Sequence[tuple[list[int], tuple[int, ...]]], propose: Propose) -> tuple[int, int]:
    """Return how many tokens were looked at, and how many accepted, of drafts along texts that are known.

    `texts`: what was read, and what was said. After each draft the text goes on behind what was accepted of it.
    """
    proposed = right = 0
    for read, said in texts:
        place = 1
        while place < len(said):
            draft = propose([*read, *said[:place]])
            following = list(said[place : place + len(draft)]) if draft else []
            accepted = accepted_length(draft, following) if draft else 0
            right += accepted
            proposed += accepted + (accepted < len(following))
            place += accepted + 1
    return proposed, right


def ngram_acceptance(texts: Sequence[tuple[list[int], tuple[int, ...]]], *, known: bool) -> Accepted:
    """Return what becomes of drafts from long matches. `known`: the replies are in the phrase book."""
    phrases = NgramIndex()
    if known:
        for _, said in texts:
            phrases.add_sequence(said)
    drafter = NgramDrafter(phrases)
    wanted = "phrases" if known else "ngram"

    def propose(history: Sequence[int]) -> Draft | None:
        found = drafter.propose(history, _DRAFTED)
        return found if found and found.source == wanted and found.match_length >= _DRAFTED else None

    return Accepted(*acceptance(texts, propose))


def _model_acceptance(subject: Subject, path: Path, texts: Sequence[tuple[list[int], tuple[int, ...]]]) -> Accepted:
    flags = CancelFlags.create()
    greedy = subject.settings.model_copy(update={"temperature": 0.0})
    with subject.weights() as weights:
        model = DraftModel(path, weights, greedy, subject.threads, subject.prefill_threads)
        drafter = model.drafter(0)
        counted = acceptance(texts, lambda history: drafter.propose(history, _DRAFTED, flags.own.address))
        cost_ms = model.ms_per_token
        model.close()
    flags.close()
    return Accepted(*counted, cost_ms)


def _texts(subject: Subject, prompts: Sequence[Prompt]) -> list[tuple[list[int], tuple[int, ...]]]:
    """Return the prompts and their replies as tokens."""
    said = []
    with subject.comparing() as client:
        for prompt in prompts:
            plain = client.engine.fresh_speculation()
            client.engine.use(plain, drafting=False)
            client.reply(prompt.messages, client.settings.max_tokens)
            said.append(plain.said)
    with subject.weights() as weights:
        read = [subject.prompt_tokens(weights, prompt.messages) for prompt in prompts]
    return list(zip(read, said, strict=True))

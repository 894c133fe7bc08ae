"""How the next token is chosen: llama.cpp's own samplers, in the order its server uses."""

from __future__ import annotations

from collections.abc import Sequence

import llama_cpp

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.slot import Slot


class Sampler:
    """A chain of samplers. One request at a time uses it."""

    def __init__(self, settings: SlmSettings, vocabulary_size: int) -> None:
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        steps = []
        if settings.repeat_penalty > 1:
            steps.append(
                llama_cpp.llama_sampler_init_penalties(
                    vocabulary_size, settings.repeat_last_tokens, settings.repeat_penalty, 0.0, 0.0
                )
            )
        if settings.temperature > 0:
            steps += [
                llama_cpp.llama_sampler_init_top_k(settings.top_k),
                llama_cpp.llama_sampler_init_top_p(settings.top_p, 1),
                llama_cpp.llama_sampler_init_min_p(settings.min_p, 1),
                llama_cpp.llama_sampler_init_temp(settings.temperature),
                llama_cpp.llama_sampler_init_dist(settings.seed),
            ]
        else:
            steps.append(llama_cpp.llama_sampler_init_greedy())
        for step in steps:
            llama_cpp.llama_sampler_chain_add(self._chain, step)

    def reset(self, begun: Sequence[int] = ()) -> None:
        """Forget the last request's tokens; the reply begins with those of `begun`."""
        llama_cpp.llama_sampler_reset(self._chain)
        for token in begun:
            llama_cpp.llama_sampler_accept(self._chain, token)

    def next_token(self, slot: Slot) -> int:
        """Choose the token that follows what the slot holds."""
        return int(llama_cpp.llama_sampler_sample(self._chain, slot.context, -1))

    def close(self) -> None:
        """Free the chain."""
        llama_cpp.llama_sampler_free(self._chain)

"""Phrases that must be sayable when an engine is gone: rendered once, kept as audio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import numpy as np

from voicebot.audio import Pcm, silence
from voicebot.engines.protocols import Speech


class Speaks(Protocol):
    """A synthesizer as it is awaited."""

    def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield audio."""


async def render(tts: Speaks, text: str) -> Pcm:
    """Return the whole phrase as 16 kHz mono int16."""
    pieces = [silence(0)]
    async with aclosing(tts.synthesize(text, first=True)) as stream:
        async for speech in stream:
            pieces.append(speech.pcm)  # noqa: PERF401 - aclosing has to hold the generator itself
    return np.concatenate(pieces)

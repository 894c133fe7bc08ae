"""Phrases are rendered whole, and the engine's stream is closed whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import numpy as np
import pytest

from voicebot.assistant.phrases import render
from voicebot.engines.protocols import Speech
from voicebot.errors import EngineError


@dataclass
class Speaker:
    pieces: int
    fails: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)
    closed: bool = False

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        self.asked.append((text, first))
        try:
            for number in range(self.pieces):
                yield Speech(np.full(10, number, np.int16))
            if self.fails:
                raise EngineError("no voice")
        finally:
            self.closed = True


async def test_a_phrase_is_rendered_in_one_piece_as_the_beginning_of_a_reply() -> None:
    speaker = Speaker(3)
    pcm = await render(speaker, "Sorry.")
    assert pcm.dtype == np.int16
    assert pcm.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert speaker.asked == [("Sorry.", True)]


async def test_an_engine_that_says_nothing_renders_nothing() -> None:
    assert len(await render(Speaker(0), "Sorry.")) == 0


async def test_an_engine_that_fails_is_closed_and_its_error_is_passed_on() -> None:
    speaker = Speaker(1, fails=True)
    with pytest.raises(EngineError, match="no voice"):
        await render(speaker, "Sorry.")
    assert speaker.closed

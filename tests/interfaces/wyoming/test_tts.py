"""Text to speech for Wyoming clients."""

from __future__ import annotations

import json

import numpy as np
import pytest
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.interfaces.wyoming.serving import of, read_until, send, serving, until
from tests.virtual_conversation import FailingSynthesizer
from tests.voice import ReadableSynthesizer, written
from voicebot.clock import LoopClock
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace
from voicebot.interfaces.kept import KeptState
from voicebot.pipeline.stages import Stages

TEXT = "First of all, this is a text. It has a second sentence. And a third one."


def speaks() -> Stages:
    return scripted_stages(LoopClock(), tts=ReadableSynthesizer(ms_per_letter=30, pace=Pace(0), piece_ms=250))


def said(events: list[Event]) -> str:
    """Return what can be heard in the audio that came."""
    for chunk in of(events, "audio-chunk"):
        assert (chunk.data["rate"], chunk.data["width"], chunk.data["channels"]) == (16_000, 2, 1)
        assert len(chunk.payload or b"") <= 3200
    return written(np.frombuffer(b"".join(chunk.payload or b"" for chunk in of(events, "audio-chunk")), np.int16))


def run_on(text: str) -> str:
    """Return the text as it is heard: there is no pause between two clauses."""
    return text.lower().replace(", ", ",").replace(". ", ".")


async def test_a_text_comes_back_as_audio(kept: KeptState) -> None:
    async with serving(kept, speaks()) as running, running.connected() as client:
        for text in (TEXT, "Once more."):
            await send(client, Synthesize(text))
            events = await read_until(client, "audio-stop")
            assert [event.type for event in events if event.type != "audio-chunk"] == ["audio-start", "audio-stop"]
            assert said(events) == run_on(text)


async def test_a_text_that_comes_in_pieces_is_spoken_before_it_is_complete(kept: KeptState) -> None:
    async with serving(kept, speaks()) as running, running.connected() as client:
        await send(client, SynthesizeStart())
        for letter in TEXT[:40]:
            await send(client, SynthesizeChunk(letter))
        first = await read_until(client, "audio-chunk")
        await send(client, SynthesizeChunk(TEXT[40:]), Synthesize(TEXT), SynthesizeStop())
        events = first + await read_until(client, "synthesize-stopped")
        assert [event.type for event in events if event.type != "audio-chunk"] == [
            *("audio-start", "audio-stop", "synthesize-stopped"),
        ]
        assert said(events) == run_on(TEXT)
        await send(client, Synthesize("Done."))
        assert said(await read_until(client, "audio-stop")) == "done."


@pytest.mark.parametrize("text", ["", " ", "...", "**", "\U0001f600", "\x00\x07", "\ud800"])
async def test_a_text_without_a_word_is_silence(kept: KeptState, text: str) -> None:
    async with serving(kept, speaks()) as running, running.connected() as client:
        assert client._writer is not None  # the client itself can't send all of them
        client._writer.write(f'{{"type": "synthesize", "data": {{"text": {json.dumps(text)}}}}}\n'.encode())
        assert [event.type for event in await read_until(client, "audio-stop")] == ["audio-start", "audio-stop"]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([Synthesize("x" * 51)], "at most 50 characters"),
        ([SynthesizeStart(), *[SynthesizeChunk("four. ")] * 9], "characters"),
        ([Synthesize("<speak>Hi</speak>", text_format="ssml")], "plain text"),
    ],
)
async def test_what_can_not_be_spoken_is_refused(kept: KeptState, events: list[Synthesize], why: str) -> None:
    async with serving(kept, speaks(), longest_text=50) as running, running.connected() as client:
        await send(client, *events)
        while (event := await client.read_event()) is not None and event.type != "error":
            pass
        assert event is not None
        assert why in event.data["text"]
        assert await client.read_event() is None


async def test_a_synthesizer_that_fails_is_an_error_for_its_client_alone(kept: KeptState) -> None:
    stages = scripted_stages(LoopClock(), tts=FailingSynthesizer(pace=Pace(0), ms_per_letter=1))
    async with serving(kept, stages) as running:
        async with running.connected() as client:
            await send(client, Synthesize("First."))
            assert "failed" in (await read_until(client, "error"))[-1].data["text"]
        async with running.connected() as client:
            await send(client, Synthesize("Second."))
            assert of(await read_until(client, "audio-stop"), "audio-chunk")


async def test_what_is_spoken_for_a_client_that_has_left_is_given_up(kept: KeptState) -> None:
    tts = ReadableSynthesizer(ms_per_letter=60, pace=Pace(100, 100), piece_ms=100)
    async with serving(kept, scripted_stages(LoopClock(), tts=tts)) as running:
        async with running.connected() as client:
            await send(client, Synthesize(TEXT * 50))
            await read_until(client, "audio-chunk")
        await until(lambda: running.server.status()["clients"] == 0)

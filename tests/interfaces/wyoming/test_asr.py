"""Speech to text for Wyoming clients."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStop

from tests.interfaces.wyoming.serving import audio, joined, of, read_until, send, serving
from tests.replayed import SCRIPTED
from tests.virtual_conversation import FailingRecognizer
from tests.voice import spoken, written
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.clock import LoopClock
from voicebot.config.pipeline import SpeculationSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedRecognizer
from voicebot.interfaces.kept import KeptState
from voicebot.pipeline.stages import Stages

EAGER = SCRIPTED.model_copy(update={"speculation": SpeculationSettings(partial_every_ms=100)})


def reads(script: object = written) -> Stages:
    """Return stages whose recogniser reads the readable voice, at once."""
    assert callable(script)
    return scripted_stages(LoopClock(), ScriptedRecognizer(script, Pace(0)))


async def test_an_utterance_comes_back_as_text(kept: KeptState) -> None:
    async with serving(kept, reads()) as running, running.connected() as client:
        for text in ("what time is it", "and in spain?"):
            await send(client, Transcribe(), *audio(spoken(text)))
            events = await read_until(client, "transcript-stop")
            assert [event.type for event in events][-2:] == ["transcript", "transcript-stop"]
            assert joined(events, "transcript") == joined(events, "transcript-chunk") == text
            assert of(events, "transcript")[0].data["language"] == "en"


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
async def test_audio_of_any_rate_is_taken(kept: KeptState, rate: int) -> None:
    lengths: list[int] = []

    def length(pcm: Pcm) -> str:
        lengths.append(len(pcm))
        return "words"

    second = (8000 * np.sin(np.arange(rate) * (2 * np.pi * 220 / rate))).astype(np.int16)
    async with serving(kept, reads(length)) as running, running.connected() as client:
        await send(client, Transcribe(), *audio(second, rate))
        assert joined(await read_until(client, "transcript"), "transcript") == "words"
    assert lengths == [pytest.approx(SAMPLE_RATE_HZ, abs=2)]


async def test_nothing_is_recognised_in_silence(kept: KeptState) -> None:
    async with serving(kept, reads(lambda _: "Thank you.")) as running, running.connected() as client:
        for pcm in (silence(SAMPLE_RATE_HZ), silence(0)):
            await send(client, Transcribe(), *audio(pcm))
            assert joined(await read_until(client, "transcript-stop"), "transcript") == ""


async def test_a_silent_half_of_long_audio_is_left_out(kept: KeptState) -> None:
    asked: list[int] = []

    def length(pcm: Pcm) -> str:
        asked.append(len(pcm))
        return "words"

    long = np.concatenate((spoken("words"), silence(50 * SAMPLE_RATE_HZ)))
    async with serving(kept, reads(length)) as running, running.connected() as client:
        await send(client, Transcribe(), *audio(long))
        assert joined(await read_until(client, "transcript"), "transcript") == "words"
    assert len(asked) == 1
    assert asked[0] < 29 * SAMPLE_RATE_HZ


async def test_words_that_two_looks_agree_on_are_told_while_the_user_speaks(kept: KeptState) -> None:
    text = "the first word of many more that follow it"
    pcm = spoken(text)
    chunks = [pcm[at : at + 1600] for at in range(0, len(pcm), 1600)]
    async with serving(kept, reads(), EAGER) as running, running.connected() as client:

        async def speak() -> None:
            await send(client, Transcribe())
            for chunk in chunks:
                await send(client, AudioChunk(SAMPLE_RATE_HZ, 2, 1, chunk.tobytes()))
                await asyncio.sleep(0.1)

        async with asyncio.timeout(60):
            await asyncio.gather(speak(), read_until(client, "transcript-chunk"))  # it comes before the end
        await send(client, AudioStop())
        events = await read_until(client, "transcript-stop")
        assert joined(events, "transcript") == text
        assert text.endswith(joined(events, "transcript-chunk").strip())


async def test_what_was_told_too_soon_is_not_told_twice(kept: KeptState) -> None:
    heard = iter(["wreck a nice", "wreck a nice beach", "wreck a nice beach"])
    final = False

    def changing(_: Pcm) -> str:
        return "recognise speech" if final else next(heard, "wreck a nice beach")

    async with serving(kept, reads(changing), EAGER) as running, running.connected() as client:
        await send(client, Transcribe())
        told = asyncio.create_task(read_until(client, "transcript-chunk"))
        while not told.done():
            await send(client, AudioChunk(SAMPLE_RATE_HZ, 2, 1, spoken("e").tobytes()))
            await asyncio.sleep(0.06)
        final = True
        await send(client, AudioStop())
        events = await read_until(client, "transcript-stop")
        assert joined(await told, "transcript-chunk").startswith("wreck a nice")
        assert joined(events, "transcript") == "recognise speech"
        assert "speech" not in joined(events, "transcript-chunk")


async def test_an_utterance_without_end_is_refused(kept: KeptState) -> None:
    pcm = silence(samples_from_ms(1500))
    async with serving(kept, reads(), longest_utterance_s=1.0) as running:
        async with running.connected() as client:
            await send(client, Transcribe(), *audio(pcm))
            (error,) = of(await read_until(client, "error"), "error")
            assert "1 s" in error.data["text"]
            assert await client.read_event() is None
        async with running.connected() as client:
            await send(client, Transcribe(), *audio(spoken("ok")))
            assert joined(await read_until(client, "transcript"), "transcript") == "ok"


async def test_a_recogniser_that_fails_is_an_error_for_its_client_alone(kept: KeptState) -> None:
    stages = scripted_stages(LoopClock(), FailingRecognizer(written, Pace(0)))
    async with serving(kept, stages) as running:
        async with running.connected() as client:
            await send(client, Transcribe(), *audio(spoken("first")))
            (error,) = of(await read_until(client, "error"), "error")
            assert error.data == {"text": "the recogniser failed.", "code": "failed"}
            assert await client.read_event() is None
        async with running.connected() as client:
            await send(client, Transcribe(), *audio(spoken("second")))
            assert joined(await read_until(client, "transcript"), "transcript") == "second"

"""Wake words for Wyoming clients."""

from __future__ import annotations

import os
import threading
from typing import Final

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect

from tests.interfaces.wyoming.serving import audio, joined, of, read_until, send, serving
from tests.virtual_conversation import CLOCK
from tests.voice import spoken, written
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, ms_from_samples, silence
from voicebot.config.wake import WAKE_NAMES, WakeSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedRecognizer, ScriptedWakeWord
from voicebot.errors import EngineError
from voicebot.interfaces.kept import KeptState

NABU: Final = spoken("okay nabu")
JARVIS: Final = spoken("hey jarvis")
FORM: Final = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}


def listens_for(settings: WakeSettings) -> ScriptedWakeWord:
    """Return a detector that reads the readable voice."""
    return ScriptedWakeWord(lambda pcm: settings.word.replace("_", " ") in written(pcm))


async def detected(client: AsyncTcpClient, pcm: Pcm, kind: str = "detection") -> list[Event]:
    await send(client, *audio(pcm))
    return await read_until(client, kind)


async def test_the_words_are_offered(kept: KeptState) -> None:
    async with serving(kept) as running, running.connected() as client:
        await send(client, Describe())
        (program,) = Info.from_event((await read_until(client, "info"))[-1]).wake
    assert [model.name for model in program.models] == list(WAKE_NAMES)
    assert program.models[0].phrase == program.models[0].description == "okay nabu"


async def test_a_word_is_told_with_its_name_and_when_it_was_heard(kept: KeptState) -> None:
    async with serving(kept, make_wake_word=listens_for) as running, running.connected() as client:
        await send(client, Detect(["hey_jarvis", "okay_nabu"]))
        for word, name in ((NABU, "okay_nabu"), (JARVIS, "hey_jarvis")):
            (event,) = await detected(client, np.concatenate((silence(SAMPLE_RATE_HZ), word, silence(4000))))
            assert event.data["name"] == name
            assert event.data["timestamp"] == pytest.approx(1000 + ms_from_samples(len(word)), abs=60)


async def test_where_no_word_is_said_none_is_detected(kept: KeptState) -> None:
    async with serving(kept, make_wake_word=listens_for) as running, running.connected() as client:
        await send(client, Detect(["hey_jarvis"]))
        for pcm in (NABU, silence(0)):
            assert [event.type for event in await detected(client, pcm, "not-detected")] == ["not-detected"]
        half, other = np.split(JARVIS, [len(JARVIS) // 2])
        await detected(client, half, "not-detected")
        await detected(client, other, "not-detected")


async def test_any_word_will_do_where_none_is_named(kept: KeptState) -> None:
    async with serving(kept, make_wake_word=listens_for) as running, running.connected() as client:
        for detect in (Detect(), Detect([])):
            await send(client, detect)
            assert (await detected(client, spoken("alexa")))[0].data["name"] == "alexa"


async def test_a_stream_without_end_is_listened_to_all_the_time(kept: KeptState) -> None:
    """As satellites have it: one `detect`, no beginning, and each chunk with a time of its own."""
    async with serving(kept, make_wake_word=listens_for) as running, running.connected() as client:
        await send(client, Detect(["okay_nabu"]))
        for at_ms in (70_000, 90_000):
            await send(client, *(AudioChunk(**FORM, audio=NABU.tobytes(), timestamp=at_ms),) * 2)
            events = [(await read_until(client, "detection"))[-1] for _ in range(2)]
            assert [event.data["timestamp"] for event in events] == [at_ms, at_ms]


async def test_audio_is_recognised_before_detect_and_after_transcribe(kept: KeptState) -> None:
    stages = scripted_stages(CLOCK, ScriptedRecognizer(written, Pace(0)))
    async with serving(kept, stages, make_wake_word=listens_for) as running, running.connected() as client:
        await send(client, *audio(NABU))
        assert joined(await read_until(client, "transcript-stop"), "transcript") == "okay nabu"
        await send(client, Detect())
        await detected(client, NABU)
        await send(client, Transcribe(), *audio(NABU))
        events = await read_until(client, "transcript-stop")
        assert joined(events, "transcript") == "okay nabu"
        assert of(events, "detection") == []


async def test_the_daemons_own_thread_has_nothing_to_do_with_it(kept: KeptState) -> None:
    seen: list[tuple[int, int]] = []

    class Noting(ScriptedWakeWord):
        def hears(self, pcm: Pcm) -> bool:
            note()
            return super().hears(pcm)

        def reset(self) -> None:
            note()

    def note() -> None:
        seen.append((threading.get_ident(), os.sched_getscheduler(0)))

    def make(_settings: WakeSettings) -> ScriptedWakeWord:
        note()
        return Noting(lambda _: False)

    async with (
        serving(kept, make_wake_word=make) as running,
        running.connected() as client,
        running.connected() as other,
    ):
        for each in (client, other):
            await send(each, Detect(["alexa"]))
            await detected(each, NABU, "not-detected")
            await detected(each, NABU, "not-detected")
    assert len({thread for thread, _ in seen}) == 1
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert {scheduler for _, scheduler in seen} == {os.SCHED_OTHER}


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b'{"type": "detect", "data": {"names": ["hal"]}}\n', "none of these wake words is known; there are okay_nabu"),
        (b'{"type": "detect", "data": {"names": "okay_nabu"}}\n', "detect comes with a list of names, or without."),
        (b'{"type": "detect", "data": {"names": [5]}}\n', "detect comes with a list of names, or without."),
        (b'{"type": "detect"}\n{"type": "audio-chunk"}\n', "audio has a rate of 8000 to 192000"),
    ],
)
async def test_nonsense_is_answered_with_an_error_and_the_end(kept: KeptState, sent: bytes, why: str) -> None:
    async with serving(kept, make_wake_word=listens_for) as running, running.connected() as client:
        assert client._writer is not None
        client._writer.write(sent)
        error = (await read_until(client, "error"))[-1]
        assert error.data["code"] == "bad-request"
        assert error.data["text"].startswith(why)
        assert await client.read_event() is None


async def test_a_detector_that_can_not_be_loaded_is_an_error_of_that_client(kept: KeptState) -> None:
    def make(settings: WakeSettings) -> ScriptedWakeWord:
        if settings.word == "alexa":
            raise EngineError("the wake word 'alexa' can't be loaded.")
        return listens_for(settings)

    async with serving(kept, make_wake_word=make) as running:
        async with running.connected() as client:
            await send(client, Detect())
            error = (await read_until(client, "error"))[-1]
            assert error.data == {"text": "the wake word 'alexa' can't be loaded.", "code": "failed"}
        async with running.connected() as client:
            await send(client, Detect(["okay_nabu"]))
            await detected(client, NABU)


async def test_the_sensitivity_is_that_of_the_pipeline(kept: KeptState) -> None:
    asked: list[WakeSettings] = []

    def make(settings: WakeSettings) -> ScriptedWakeWord:
        asked.append(settings)
        return listens_for(settings)

    async with serving(kept, make_wake_word=make) as running:
        wake = WakeSettings(sensitivity=0.8, word="alexa")
        running.service.pipeline = running.service.pipeline.model_copy(update={"wake": wake})
        async with running.connected() as client:
            await send(client, Detect(["hey_mycroft"]), AudioStart(**FORM), AudioStop())
            await read_until(client, "not-detected")
    assert [(each.word, each.sensitivity) for each in asked] == [("hey_mycroft", 0.8)]

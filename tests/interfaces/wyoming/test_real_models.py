"""Wyoming with the real recogniser and the real voice: what one says the other understands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming.wake import Detect

from tests.interfaces.wyoming.serving import Serving, audio, joined, of, read_until, send, serving
from tests.virtual_conversation import CLOCK
from voicebot.audio import Pcm, level_dbfs, silence
from voicebot.audio_io.wav import read_wav
from voicebot.bench.wer import normalise, word_errors
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings, load_settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import open_stages, scripted_stages, workers
from voicebot.engines.silero import SileroDetector
from voicebot.events import ignore
from voicebot.interfaces.kept import KeptState
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerAsr, WorkerTts

FRANCE = read_wav(Path(__file__).parents[3] / "fixtures" / "conversation" / "01-capital-of-france.wav")


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@asynccontextmanager
async def box_of(settings: Settings, store: Store, kept: KeptState) -> AsyncIterator[Serving]:
    """Run a server with the real recogniser and the real voice."""
    async with workers(settings, store, CLOCK, ignore, ("asr", "tts")) as running:
        stages = replace(
            scripted_stages(CLOCK),
            asr=WorkerAsr(running["asr"]),
            tts=WorkerTts(running["tts"]),
            make_detector=SileroDetector,
        )
        async with serving(kept, stages, settings.pipeline) as served:
            yield served


def audio_of(events: list[Event]) -> Pcm:
    return np.frombuffer(b"".join(chunk.payload or b"" for chunk in of(events, "audio-chunk")), np.int16)


async def test_a_question_is_understood_and_a_text_survives_being_spoken(
    kept: KeptState, settings: Settings, store: Store
) -> None:
    async with box_of(settings, store, kept) as served, served.connected() as client:
        await send(client, Transcribe(), *audio(FRANCE))
        heard = joined(await read_until(client, "transcript-stop"), "transcript")
        assert normalise(heard) == ["what", "is", "the", "capital", "of", "france"]

        await send(client, SynthesizeStart(), SynthesizeChunk("The weather is "), SynthesizeChunk("nice today. "))
        await send(client, SynthesizeChunk("We are going to the beach."), SynthesizeStop())
        spoken = audio_of(await read_until(client, "synthesize-stopped"))
        await send(client, Transcribe(), *audio(spoken))
        heard = joined(await read_until(client, "transcript-stop"), "transcript")
        said = normalise("The weather is nice today. We are going to the beach.")
        assert word_errors(said, normalise(heard)) <= 2, heard  # the voice speaks a little differently each time


async def test_a_wake_word_is_heard_and_a_question_is_none(kept: KeptState, settings: Settings, store: Store) -> None:
    steady = settings.pipeline.tts.model_copy(update={"noise": 0.0, "rhythm_noise": 0.0})
    settings = settings.with_pipeline(settings.pipeline.model_copy(update={"tts": steady}))
    async with box_of(settings, store, kept) as served, served.connected() as client:
        await send(client, Synthesize("Okay Nabu."))
        called = audio_of(await read_until(client, "audio-stop"))
        await send(client, Detect(["okay_nabu", "hey_jarvis"]), *audio(np.concatenate((called, silence(8000)))))
        assert (await read_until(client, "detection"))[-1].data["name"] == "okay_nabu"
        await send(client, *audio(FRANCE))
        assert [event.type for event in await read_until(client, "not-detected")] == ["not-detected"]


async def test_a_box_that_hears_and_speaks_by_another_one(
    kept: KeptState, settings: Settings, store: Store, tmp_path: Path
) -> None:
    text = "The weather is nice today, and we are going to the beach."
    async with box_of(settings, store, kept) as served:
        uri = f"tcp://127.0.0.1:{served.port}"
        far = {"engine": "wyoming", "uri": uri, "connect_timeout_ms": 10_000, "answer_timeout_ms": 60_000}
        pipeline = {"asr": far, "tts": far, "slm": {"engine": "scripted"}, "turn_model": {"engine": "none"}}
        box = {"power": {"enabled": False}, "scheduling": {"enabled": False}, "paths": {"cache": str(tmp_path)}}
        near = Settings("far", "box", PipelineSettings.model_validate(pipeline), BoxSettings.model_validate(box))
        async with open_stages(near, store, CLOCK, ignore) as stages:
            assert level_dbfs(stages.apology) > -40
            assert len(stages.openers) == len(near.pipeline.openers.texts)
            heard = normalise((await stages.asr.transcribe(FRANCE)).text)
            assert word_errors(["what", "is", "the", "capital", "of", "france"], heard) <= 2, heard
            async with aclosing(stages.tts.synthesize(text, first=True)) as stream:
                spoken = np.concatenate([speech.pcm async for speech in stream])
            heard = normalise((await stages.asr.transcribe(spoken)).text)
            assert word_errors(normalise(text), heard) <= 2, heard

"""Wyoming with the real recogniser and the real voice: what one says the other understands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.interfaces.wyoming.serving import audio, joined, of, read_until, send, serving
from tests.virtual_conversation import CLOCK
from voicebot.audio_io.wav import read_wav
from voicebot.bench.wer import normalise
from voicebot.config.load import Settings, load_settings
from voicebot.daemon import scripted_stages, workers
from voicebot.engines.silero import SileroDetector
from voicebot.events import ignore
from voicebot.interfaces.kept import KeptState
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerAsr, WorkerTts

FRANCE = read_wav(Path(__file__).parents[3] / "fixtures" / "conversation" / "01-capital-of-france.wav")


@pytest.fixture
def settings() -> Settings:
    return load_settings()


async def test_a_question_is_understood_and_a_text_survives_being_spoken(
    kept: KeptState, settings: Settings, store: Store
) -> None:
    async with workers(settings, store, CLOCK, ignore, ("asr", "tts")) as running:
        stages = replace(
            scripted_stages(CLOCK),
            asr=WorkerAsr(running["asr"]),
            tts=WorkerTts(running["tts"]),
            make_detector=SileroDetector,
        )
        async with serving(kept, stages, settings.pipeline) as served, served.connected() as client:
            await send(client, Transcribe(), *audio(FRANCE))
            heard = joined(await read_until(client, "transcript-stop"), "transcript")
            assert normalise(heard) == ["what", "is", "the", "capital", "of", "france"]

            await send(client, SynthesizeStart(), SynthesizeChunk("The weather is "), SynthesizeChunk("nice today. "))
            await send(client, SynthesizeChunk("We are going to the beach."), SynthesizeStop())
            chunks = of(await read_until(client, "synthesize-stopped"), "audio-chunk")
            spoken = np.frombuffer(b"".join(chunk.payload or b"" for chunk in chunks), np.int16)
            await send(client, Transcribe(), *audio(spoken))
            heard = joined(await read_until(client, "transcript-stop"), "transcript")
            assert normalise(heard) == normalise("The weather is nice today. We are going to the beach.")

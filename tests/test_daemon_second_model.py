"""The daemon with a larger model for doubtful words: a real worker, with one model's weights as both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from voicebot.audio_io.wav import read_wav
from voicebot.bench.wer import normalise
from voicebot.clock import LoopClock
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import workers
from voicebot.engines.protocols import Transcript
from voicebot.errors import ModelError
from voicebot.events import Event, ignore
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerAsr

FRANCE = read_wav(Path(__file__).parents[1] / "fixtures" / "conversation" / "01-capital-of-france.wav")
LONG_S = 60.0
"""A bound for what takes a moment, on a machine that has a bad minute."""


def settings_with(second_model: str) -> Settings:
    asr = {"second_model": second_model, "second_model_logprob": 0.0}
    return Settings("second", "box", PipelineSettings.model_validate({"asr": asr}), BoxSettings())


async def test_the_worker_loads_both_and_the_time_left_decides_who_looks(store: Store) -> None:
    async def heard(within_s: float | None) -> Transcript:
        transcript = await asr.transcribe(FRANCE, within_s=within_s)
        assert normalise(transcript.text) == ["what", "is", "the", "capital", "of", "france"]
        return transcript

    async with asyncio.timeout(LONG_S):
        async with workers(settings_with("whisper-tiny.en"), store, LoopClock(), ignore, ("asr",)) as running:
            asr = WorkerAsr(running["asr"])
            assert (await heard(LONG_S)).second_model
            assert (await heard(0.0)).second_model is False
            assert (await heard(None)).second_model


async def test_a_second_model_that_is_not_installed_is_said_before_anything_starts(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "whisper-tiny.en").symlink_to(store.root / "whisper-tiny.en")
    events: list[Event] = []
    with pytest.raises(
        ModelError, match="Model whisper-base is not installed; run `voicebot models pull whisper-base`"
    ):
        async with workers(
            settings_with("whisper-base"), Store(tmp_path, store.catalogue), LoopClock(), events.append, ("asr",)
        ):
            raise AssertionError("it must not start")
    assert events == []

"""The daemon with stages that are Wyoming services elsewhere: it starts without them, and finds them later."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.interfaces.wyoming.serving import serving
from tests.virtual_conversation import CLOCK
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.audio import level_dbfs, ms_from_samples
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import all_scripted, choose_asr, choose_tts, cost_keys, open_stages, scripted_stages
from voicebot.engines.scripted import Pace, ScriptedRecognizer
from voicebot.errors import EngineError, UsageError
from voicebot.events import ignore
from voicebot.interfaces.kept import KeptState
from voicebot.memory import memory_plan
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store
from voicebot.workers.threads import Threads


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path, load_catalogue(tmp_path))


@pytest.fixture
def kept(tmp_path: Path) -> KeptState:
    return KeptState(tmp_path / "switched.json")


def letters(text: str) -> str:
    """Return a text without its spaces: nothing is heard between two clauses."""
    return text.lower().replace(" ", "")


def pipeline_at(uri: str) -> PipelineSettings:
    """Return a pipeline that hears and speaks there, and needs no model."""
    far = {"engine": "wyoming", "uri": uri, "connect_timeout_ms": 10_000, "answer_timeout_ms": 60_000}
    near = {"slm": {"engine": "scripted"}, "turn_model": {"engine": "none"}}
    return PipelineSettings.model_validate({"asr": far, "tts": far, **near})


def settings_at(uri: str, cache: Path) -> Settings:
    off = {"enabled": False}
    box = {"power": off, "scheduling": off, "paths": {"cache": str(cache)}}
    return Settings("far", "box", pipeline_at(uri), BoxSettings.model_validate(box))


async def test_it_starts_without_them_and_finds_them_later(
    kept: KeptState, empty_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    readable = scripted_stages(
        CLOCK, ScriptedRecognizer(written, Pace(0)), tts=ReadableSynthesizer(pace=Pace(0), piece_ms=100)
    )
    async with serving(kept) as running:
        port = running.port
    settings = settings_at(f"tcp://127.0.0.1:{port}", tmp_path / "cache")
    async with open_stages(settings, empty_store, CLOCK, ignore) as stages:
        assert len(psutil.Process().children()) == 1, "the language model's worker"
        (said,) = [message for message in caplog.messages if "apology" in message]
        assert said.startswith(f"the Wyoming service tcp://127.0.0.1:{port} is away (")
        assert ms_from_samples(len(stages.apology)) < 500
        assert level_dbfs(stages.apology) > -50
        assert stages.openers == ()
        with pytest.raises(EngineError, match="is away"):
            await stages.asr.transcribe(spoken("hello"))

        async with serving(kept, readable, port=port):
            assert (await stages.asr.transcribe(spoken("what time is it"))).text == "what time is it"
            async with aclosing(stages.tts.synthesize("late.", first=True)) as stream:
                assert written(np.concatenate([speech.pcm async for speech in stream])) == "late."

    async with serving(kept, readable, port=port), open_stages(settings, empty_store, CLOCK, ignore) as stages:
        assert letters(written(stages.apology)) == letters(settings.pipeline.phrases.apology)
        assert len(stages.openers) == len(settings.pipeline.openers.texts)
    async with open_stages(settings, empty_store, CLOCK, ignore) as stages:
        assert letters(written(stages.apology)) == letters(settings.pipeline.phrases.apology), "it was kept"


def test_no_model_of_this_box_is_needed_for_them(empty_store: Store) -> None:
    settings = settings_at("tcp://127.0.0.1:9", Path("cache"))
    assert [*settings.pipeline.worker_stages] == ["slm"]
    assert [*settings.pipeline.remote_stages] == ["asr", "tts"]
    assert memory_plan(settings, empty_store).rows == ()


def test_they_are_nothing_scripted() -> None:
    assert not all_scripted(pipeline_at("tcp://127.0.0.1:9"))


def test_what_they_cost_is_kept_apart() -> None:
    keys = cost_keys(pipeline_at("tcp://127.0.0.1:9"), Threads(1, 1, 1, 1), in_cycles=False)
    assert [keys[stage].model for stage in ("asr", "tts_first", "tts")] == ["tcp://127.0.0.1:9"] * 3


def test_what_measures_this_box_refuses_them() -> None:
    with pytest.raises(UsageError, match=r"^\[asr\] is done by tcp://127.0.0.1:9, and not by this box"):
        pipeline_at("tcp://127.0.0.1:9").need_own_stages()
    PipelineSettings().need_own_stages()


def test_what_leaves_the_box_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = pipeline_at("tcp://192.168.1.20:10300")
    choose_asr(pipeline, {})
    choose_tts(pipeline, {})
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert all("tcp://192.168.1.20:10300" in message for message in caplog.messages)


def test_nothing_that_connects_is_loaded_without_them() -> None:
    look = "import sys, voicebot.daemon; print({'wyoming', 'voicebot.interfaces.wyoming.remote'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"set()\n"

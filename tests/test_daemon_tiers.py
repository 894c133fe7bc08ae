"""The daemon with more than one language model: real workers, a real socket, and one model's weights for two tiers."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.workers.chat_server import PARIS, Script, answer, chat_server, sends
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import all_scripted, open_slm, open_stages, workers
from voicebot.engines.protocols import Message
from voicebot.events import ignore
from voicebot.memory import memory_plan
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store
from voicebot.pipeline.routed import RoutedSlm
from voicebot.pipeline.stages import Slm
from voicebot.workers.stages import WorkerSlm

SIMPLE = "What is the capital of France?"
COMPLEX = "Why is Paris the capital of France?"
MODEL = "smollm2-135m-instruct-q4_1"
LONG_MS = 30_000
"""A bound for what takes a moment, on a machine that has a bad minute."""
PATIENT: dict[str, Any] = {"deadline_ms": LONG_MS, "unsure_logprob": -20.0}
TWIN: dict[str, Any] = {"name": "twin", "engine": "llama", "model": MODEL, "first_token_ms": LONG_MS}
SCRIPTED: dict[str, Any] = {stage: {"engine": "scripted"} for stage in ("asr", "slm", "tts", "turn_model")}


def settings_with(*tiers: dict[str, Any], router: dict[str, Any] | None = None, **sections: Any) -> Settings:
    values = {**sections, "tiers": list(tiers), "router": router or PATIENT}
    return Settings("tiers", "box", PipelineSettings.model_validate(values), BoxSettings())


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path, load_catalogue(tmp_path))


@asynccontextmanager
async def slm_of(settings: Settings, store: Store) -> AsyncIterator[WorkerSlm | RoutedSlm]:
    stages = [stage for stage in settings.pipeline.worker_stages if stage.startswith("slm")]
    async with asyncio.timeout(2 * LONG_MS / 1000), workers(settings, store, LoopClock(), ignore, stages) as running:
        assert len(psutil.Process().children()) == len(stages)
        async with open_slm(settings.pipeline, running, LoopClock()) as slm:
            yield slm


async def ask(slm: Slm, text: str) -> str:
    messages = (Message("system", "Answer in one short sentence."), Message("user", text))
    async with aclosing(slm.generate(messages, 20)) as stream:
        return "".join([piece async for piece in stream])


def who_answered(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "voicebot.pipeline.routed"]


async def test_two_real_models_share_the_work(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with slm_of(settings_with(TWIN), store) as slm:
        assert isinstance(slm, RoutedSlm)
        assert "Paris" in await ask(slm, SIMPLE)
        assert who_answered(caplog) == []
        assert "Paris" in await ask(slm, COMPLEX)
        assert who_answered(caplog) == ["the tier twin answers"]
        assert await slm.prefill((Message("user", "And of Spain?"),)) > 0
        assert 0 <= await slm.end_probability((Message("user", "And of Spain?"),)) <= 1


async def test_a_real_model_that_is_unsure_is_relieved(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    never_sure = {**PATIENT, "unsure_logprob": 0.0}
    async with slm_of(settings_with(TWIN, router=never_sure), store) as slm:
        assert "Paris" in await ask(slm, SIMPLE)
        assert who_answered(caplog) == ["the tier twin answers"]


@pytest.mark.parametrize(
    ("script", "reply"),
    [(PARIS, "Paris."), (sends(answer("503 Service Unavailable")), f"You said: {COMPLEX}.")],
    ids=["it answers", "it refuses"],
)
async def test_an_endpoint_answers_or_the_local_model_does(script: Script, reply: str, empty_store: Store) -> None:
    async with chat_server(script) as server:
        office = {"name": "office", "engine": "openai", "model": "x", "url": server.url, "first_token_ms": LONG_MS}
        async with slm_of(settings_with(office, **SCRIPTED), empty_store) as slm:
            assert await ask(slm, SIMPLE) == f"You said: {SIMPLE}."
            assert server.connections == 0
            assert await ask(slm, COMPLEX) == reply
            assert len(server.requests) == 1


async def test_one_model_needs_no_router(empty_store: Store) -> None:
    async with slm_of(settings_with(**SCRIPTED), empty_store) as slm:
        assert isinstance(slm, WorkerSlm)


def test_nothing_that_connects_is_loaded_without_an_endpoint() -> None:
    look = "import sys, voicebot.daemon; print('voicebot.workers.openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"False\n"


def test_scripted_tiers_answer_in_this_process_and_in_no_time(empty_store: Store) -> None:
    settings = settings_with({"name": "big", "engine": "scripted", "max_tokens": 2}, **SCRIPTED)

    async def main() -> list[str]:
        async with open_stages(settings, empty_store, LoopClock(), ignore) as stages:
            return [await ask(stages.slm, text) for text in (SIMPLE, COMPLEX)]

    assert run_virtual(main()) == [f"You said: {SIMPLE}.", "You said:"]


def test_an_endpoint_is_nothing_scripted() -> None:
    office = {"name": "office", "engine": "openai", "model": "x", "url": "http://127.0.0.1:9/v1"}
    assert all_scripted(settings_with(**SCRIPTED).pipeline)
    assert not all_scripted(settings_with(office, **SCRIPTED).pipeline)
    assert not all_scripted(settings_with(TWIN, **SCRIPTED).pipeline)


def test_all_tiers_of_this_box_are_planned_for(empty_store: Store) -> None:
    office = {"name": "office", "engine": "openai", "model": "x", "url": "http://127.0.0.1:9/v1"}
    alone = memory_plan(settings_with(), empty_store)
    planned = memory_plan(settings_with({**TWIN, "context_tokens": 2048}, office), empty_store)
    assert [row.model.id for row in planned.rows] == [*(row.model.id for row in alone.rows), MODEL]
    first = next(row for row in planned.rows if row.model.id == MODEL)
    assert planned.rows[-1].kv_mb == pytest.approx(2 * first.kv_mb)
    assert planned.total_mb == pytest.approx(alone.total_mb + planned.rows[-1].total_mb)
    assert memory_plan(settings_with(TWIN), empty_store, stages=["slm"]).rows == (first,)

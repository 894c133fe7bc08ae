"""The daemon's precedence reaches its workers, and where cores are few its stages share them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from voicebot import daemon as module
from voicebot.clock import LoopClock
from voicebot.config.box import SchedulingSettings
from voicebot.config.load import Settings, load_settings
from voicebot.daemon import open_stages, scripted_stages, workers
from voicebot.events import ignore
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store
from voicebot.pipeline.leased import LeasedAsr, LeasedSlm, LeasedTts


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = precedence_of(0)
    yield
    assert psutil.Process().children() == []
    assert precedence_of(0) == before


def precedence_of(process: int) -> tuple[int, int]:
    return os.getpriority(os.PRIO_PROCESS, process), os.sched_getscheduler(process)


@pytest.fixture
def settings() -> Settings:
    return load_settings("scripted")


def scheduled(settings: Settings, **scheduling: Any) -> Settings:
    return replace(settings, box=settings.box.model_copy(update={"scheduling": SchedulingSettings(**scheduling)}))


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path, load_catalogue(tmp_path))


async def test_workers_have_their_own_niceness_and_are_never_real_time(settings: Settings, empty_store: Store) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = scheduled(settings, daemon_nice=nice, worker_nice=nice + 2)
    async with workers(wanted, empty_store, LoopClock(), ignore) as running:
        assert len(running) == 4
        for supervisor in running.values():
            assert supervisor.pid is not None
            assert precedence_of(supervisor.pid) == (nice + 2, os.SCHED_OTHER)


async def test_what_is_switched_off_changes_nobody(settings: Settings, empty_store: Store) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    async with workers(scheduled(settings, enabled=False), empty_store, LoopClock(), ignore) as running:
        pids = [supervisor.pid for supervisor in running.values()]
        assert {precedence_of(pid) for pid in [0, *pids] if pid is not None} == {(nice, os.SCHED_OTHER)}


@pytest.mark.parametrize(
    ("lease", "cores", "shared"),
    [("auto", 1, True), ("auto", 3, True), ("auto", 4, False), ("on", 8, True), ("off", 2, False)],
)
def test_stages_share_the_cores_where_they_are_few(
    monkeypatch: pytest.MonkeyPatch, lease: str, cores: int, shared: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    settings = SchedulingSettings.model_validate({"lease": lease})
    stages = module._sharing_cores(scripted_stages(LoopClock()), settings, LoopClock())
    kinds = (isinstance(stages.asr, LeasedAsr), isinstance(stages.slm, LeasedSlm), isinstance(stages.tts, LeasedTts))
    assert set(kinds) == {shared}


async def test_scripted_stages_take_no_precedence(settings: Settings, empty_store: Store) -> None:
    before = precedence_of(0)
    async with open_stages(settings, empty_store, LoopClock(), ignore):
        assert precedence_of(0) == before

"""What the box is doing, as an LED and a program are shown it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interfaces.kernel_led import KernelLed, coloured, plain
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio_io.replay import ReplayPort
from voicebot.config.box import SessionSettings
from voicebot.config.lights import LightSettings
from voicebot.daemon import scripted_stages
from voicebot.events import StateChanged, WorkerChanged
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.led import LEDS, Led
from voicebot.interfaces.lights import Lights, LitLed
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers

PATIENCE_S: Final = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work.run(), name="lights")
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([task])
    assert task.cancelled(), task.exception()


@asynccontextmanager
async def lit(kernel: KernelLed) -> AsyncIterator[LitLed]:
    light = LitLed(Led(kernel, brightness=1.0), "led", "idle")
    async with running(light):
        yield light


async def test_an_led_is_steady_blinks_and_is_given_back() -> None:
    kernel = coloured(trigger="heartbeat")
    before = kernel.everything()
    async with lit(kernel) as light:
        await until(lambda: kernel.lit == [0])
        light.tell("listening")
        await until(lambda: kernel.lit == [0, 200])
        assert kernel.files["multi_intensity"] == "200 0 0\n"  # green is the first of its colours
        light.tell("thinking")
        await until(lambda: len(kernel.lit) >= 8)
        assert kernel.lit[2:8] == [200, 0, 200, 0, 200, 0]
    assert kernel.everything().items() >= {name: before[name] for name in ("multi_intensity", "trigger")}.items()


async def test_an_led_can_be_given_back_at_any_moment() -> None:
    for moment in range(20):
        kernel = plain(trigger="timer")
        async with lit(kernel) as light:
            light.tell("thinking")
            for _ in range(moment):
                await asyncio.sleep(0)
        assert kernel.trigger == "timer"


async def test_an_led_that_fails_is_said_once_and_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    kernel = plain(gone=True)
    async with lit(kernel) as light:
        await until(lambda: caplog.records)
        light.tell("thinking")
        light.tell("listening")
        await asyncio.sleep(0.05)
        kernel.gone = False
        light.tell("speaking")
        await until(lambda: 255 in kernel.lit)
        assert len(caplog.records) == 1
        kernel.gone = True
        await until(lambda: len(caplog.records) == 3)
    assert "No such device" in caplog.text
    assert "could not be put back" in caplog.text


@asynccontextmanager
async def lights(folder: Path, settings: LightSettings) -> AsyncIterator[tuple[Service, Watchers]]:
    """Show what a conversation in real time does."""
    watchers = Watchers()
    kept = KeptState(folder / "kept.json", lambda _: None)
    service = Service(scripted_stages(CLOCK), SCRIPTED, SessionSettings(), watchers, kept)
    async with service.open_session("local", ReplayPort(CLOCK)), running(Lights(settings, service, CLOCK, folder)):
        yield service, watchers


async def test_the_states_of_a_conversation_are_shown(tmp_path: Path) -> None:
    folder, told = tmp_path / LEDS / "blue:status", tmp_path / "told"
    folder.mkdir(parents=True)
    for name, content in {"brightness": "0\n", "max_brightness": "15\n", "trigger": "[none]\n"}.items():
        (folder / name).write_text(content)
    command = (sys.executable, "-c", COPIES, str(told))
    async with lights(tmp_path, LightSettings(led="blue:status", command=command)) as (service, watchers):
        await until(lambda: lines(told) == ["idle"])
        await service.ask("What is it?")
        await until(lambda: lines(told)[-1] == "idle")
        service.mute(muted=True)
        watchers(StateChanged("other", 0, "idle"))
        watchers(WorkerChanged("asr", "died", 1, "killed"))
        await until(lambda: (folder / "brightness").read_text() == "15")
        await until(lambda: lines(told)[-1] == "broken")
    assert lines(told) == ["idle", "thinking", "speaking", "idle", "muted", "broken", "end"]
    assert (folder / "brightness").read_text() == "0\n"


async def test_it_begins_with_what_there_is(tmp_path: Path) -> None:
    told = tmp_path / "told"
    kept = KeptState(tmp_path / "kept.json", lambda _: None)
    service = Service(scripted_stages(CLOCK), SCRIPTED, SessionSettings(), Watchers(), kept)
    service.mute(muted=True)
    settings = LightSettings(command=(sys.executable, "-c", COPIES, str(told)))
    async with running(Lights(settings, service, CLOCK, tmp_path)):
        await until(lambda: lines(told) == ["muted"])


COPIES: Final = """
import sys
with open(sys.argv[1], "a", buffering=1) as file:
    for line in sys.stdin:
        file.write(line)
    file.write("end\\n")
"""
"""A program that notes what it is told."""


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []

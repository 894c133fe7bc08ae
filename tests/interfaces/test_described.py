"""What a part of the daemon tells of itself is in the status while it runs, and not after it was ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.config.box import SessionSettings
from voicebot.config.control import ControlSettings
from voicebot.config.mqtt import MqttSettings
from voicebot.config.runtime import control_path
from voicebot.config.web import WebSettings
from voicebot.config.wyoming import WyomingSettings
from voicebot.daemon import scripted_stages
from voicebot.interfaces.control import ControlSocket
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.mqtt.bridge import MqttBridge
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.interfaces.web.server import Web
from voicebot.interfaces.wyoming.server import Wyoming


async def _no_reload() -> list[str]:
    return []


def _control(service: Service, folder: Path) -> Coroutine[Any, Any, None]:
    return ControlSocket(ControlSettings(), service, control_path(folder), _no_reload).run()


def _web(service: Service, folder: Path) -> Coroutine[Any, Any, None]:
    del folder
    return Web(WebSettings(port=0), service).run()


def _wyoming(service: Service, folder: Path) -> Coroutine[Any, Any, None]:
    del folder
    return Wyoming(WyomingSettings(port=0), service).run()


def _mqtt(service: Service, folder: Path) -> Coroutine[Any, Any, None]:
    return MqttBridge(MqttSettings(port=1), service, CLOCK, folder / "outbox").run()


@pytest.mark.parametrize(
    ("name", "run"), [("control", _control), ("web", _web), ("wyoming", _wyoming), ("mqtt", _mqtt)]
)
async def test_while_it_runs(
    name: str, run: Callable[[Service, Path], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    kept = await asyncio.to_thread(KeptState, tmp_path / "switched.json")
    service = Service(scripted_stages(CLOCK), SCRIPTED, SessionSettings(), Watchers(), kept)
    running = asyncio.create_task(run(service, tmp_path))
    async with asyncio.timeout(60):
        while name not in service.status():
            await CLOCK.sleep_s(0.001)
    running.cancel()
    await asyncio.wait({running})
    assert name not in service.status()

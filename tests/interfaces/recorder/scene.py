"""A scripted conversation in virtual time that the flight recorder follows, and a disk that takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio import samples_from_ms
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import run_virtual
from voicebot.config.box import SessionSettings
from voicebot.config.recorder import RecorderSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel, hum
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.recorder.file import read_recording
from voicebot.interfaces.recorder.recorder import Recorder
from voicebot.interfaces.recorder.recording import Recording
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.turn.table import State

NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
REPLY: Final = "First of all, this is a reply. It has a second sentence."
Script = Callable[["Scene"], Coroutine[Any, Any, None]]


class Scene:
    """The service, its recorder, and a microphone that somebody speaks into."""

    def __init__(self, folder: Path, settings: RecorderSettings, slm: ScriptedModel | None = None) -> None:
        self.folder = folder / "recordings"
        stages = scripted_stages(CLOCK, slm=slm or ScriptedModel(lambda _: REPLY))
        kept = KeptState(folder / "switched.json")
        self.service = Service(stages, SCRIPTED, SessionSettings(), Watchers(), kept)
        self.recorder = Recorder(settings, self.service, CLOCK, self.folder, lambda: NOON)
        self.port = ReplayPort(CLOCK)

    async def speak(self, duration_ms: float = 1000) -> None:
        """Say something, and wait for the end of the turn."""
        before = self.service.status()["turns"]
        self.port.say(hum(samples_from_ms(duration_ms)))
        while self.service.status()["turns"] == before:
            await CLOCK.sleep_s(0.01)

    async def until(self, state: State) -> None:
        while self.service.sessions["local"].state is not state:
            await CLOCK.sleep_s(0.01)

    async def saved(self) -> Recording:
        assert self.service.save_recording is not None
        return read_recording(Path((await self.service.save_recording())["file"]))

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*")) if self.folder.exists() else []


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    """Take the place of asyncio.to_thread, which virtual time does not wait for."""
    return work(*arguments)


def during(folder: Path, script: Script, slm: ScriptedModel | None = None, **settings: Any) -> Scene:
    """Run a script while a session is open and recorded."""

    async def main() -> Scene:
        scene = Scene(folder, RecorderSettings.model_validate({"enabled": True} | settings), slm)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(scene.recorder.run())
            await asyncio.sleep(0)
            async with scene.service.open_session("local", scene.port):
                await CLOCK.sleep_s(0.5)
                await script(scene)
            running.cancel()
        return scene

    with patch("asyncio.to_thread", at_once):
        return run_virtual(main())

"""The line that `systemctl status` shows, and the frames that the watchdog counts, of a running service."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import run_virtual
from voicebot.config.box import SessionSettings
from voicebot.daemon import scripted_stages
from voicebot.events import WorkerChanged
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.notify import Notifier
from voicebot.interfaces.service import Service
from voicebot.interfaces.status_line import StatusLine
from voicebot.interfaces.watchers import Watchers


class _Told(Notifier):
    def __init__(self) -> None:
        super().__init__({})
        self.lines: list[str] = []

    def status(self, line: str) -> None:
        self.lines.append(line)


def told(folder: Path, script: Callable[[Service], Coroutine[Any, Any, None]]) -> list[str]:
    """Run a script with a service; return the lines that systemd was told."""
    notifier, watchers = _Told(), Watchers()

    async def main() -> None:
        kept = KeptState(folder / "switched.json")
        service = Service(scripted_stages(CLOCK), SCRIPTED, SessionSettings(), watchers, kept)
        line = StatusLine(notifier, service)
        service.watch(line.observe)
        line.tell()
        await script(service)

    run_virtual(main())
    return notifier.lines


def test_it_tells_who_speaks_and_how_long_the_last_answer_took(tmp_path: Path) -> None:
    async def script(service: Service) -> None:
        async with service.open_session("local", ReplayPort(CLOCK)):
            turn = await service.ask("What is it?")
            assert turn.reply

    lines = told(tmp_path, script)
    assert [lines[0], lines[-1]] == ["no conversation", "no conversation; turns: 1; " + lines[-1].split("; ")[-1]]
    assert "local thinking" in lines
    assert "local speaking" in lines
    assert any(line.startswith("local idle; turns: 1; last answer after ") for line in lines)
    assert "What is it" not in "".join(lines)  # the journal keeps no words
    assert all(one != other for one, other in pairwise(lines))


def test_it_tells_of_a_muted_microphone_and_of_a_worker_that_is_missing(tmp_path: Path) -> None:
    async def script(service: Service) -> None:
        async with service.open_session("local", ReplayPort(CLOCK)):
            service.mute(muted=True)
            service._watchers(WorkerChanged("slm", "died", 1, "signal 9"))
            service._watchers(WorkerChanged("slm", "ready", 2, ""))

    lines = told(tmp_path, script)
    assert lines[1:3] == [
        "microphone off; local idle",
        "microphone off; local idle; waits for its slm worker",
    ]
    assert lines[3] == "microphone off; local idle"


def test_frames_are_counted_as_long_as_they_are_taken(tmp_path: Path) -> None:
    async def script(service: Service) -> None:
        assert service.taken_frames == {}
        async with service.open_session("local", ReplayPort(CLOCK)):
            await CLOCK.sleep_s(1.0)
            before = service.taken_frames["local"]
            await CLOCK.sleep_s(1.0)
            assert service.taken_frames["local"] - before == 50

    told(tmp_path, script)

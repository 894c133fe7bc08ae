"""The flight recorder of the running daemon."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from voicebot import __version__
from voicebot.audio_io.mute import MutablePort
from voicebot.clock import Clock
from voicebot.config.recorder import RecorderSettings
from voicebot.events import Event, StateChanged, TurnEnded
from voicebot.interfaces.recorder.file import Contents, write_contents
from voicebot.interfaces.recorder.folder import RecordingFolder
from voicebot.interfaces.recorder.recording import Header, RecordingError
from voicebot.interfaces.recorder.ring import Decided, Entry, Ring, Sound
from voicebot.interfaces.service import Service
from voicebot.pipeline.session import Session
from voicebot.turn.table import State, Step, TurnEvent

_log = logging.getLogger(__name__)
_TIDY_S: Final = 60.0
"""So much later than it has to be something may be forgotten, in memory and on the disk."""
ASKED: Final = "asked for"
FAILED: Final = "a turn ended with an error"


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A conversation that is open. The label is its alone, while a name may come again."""

    label: str
    session: Session
    port: MutablePort


class Recorder:
    """Keeps the latest minutes of all conversations, and writes them to a file when somebody asks for it.

    While it is off, it only sees to it that what was written before does not stay for longer than allowed.
    """

    def __init__(
        self,
        settings: RecorderSettings,
        service: Service,
        clock: Clock,
        folder: Path,
        utc: Callable[[], datetime] = _utc,
    ) -> None:
        self._settings = settings
        self._service = service
        self._clock = clock
        self._utc = utc
        self._folder = RecordingFolder(folder, settings.most_files, settings.retention_hours * 3600)
        self._ring = Ring(settings.minutes * 60, settings.memory_mb * 1_000_000)
        self._open: dict[str, _Recorded] = {}
        self._opened = 0
        self._over = threading.Event()
        self._writing: asyncio.Task[dict[str, Any] | RecordingError] | None = None
        self._automatic_from_s = 0.0
        self._last_file = ""
        self._untidy = False
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Record until cancelled; while it is off, until no file is left."""
        if not self._settings.enabled:
            while await self._tidy():
                await self._clock.sleep_s(_TIDY_S)
            return
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._record()
        finally:
            self._group = None

    async def _record(self) -> None:
        _log.info("the latest %d minutes are recorded%s", self._settings.minutes, ", with sound" * self._settings.audio)
        unwatch, unfollow = self._service.watch(self._observe), self._service.follow(self._follow)
        undescribe = self._service.describe("recorder", self.status)
        self._service.save_recording = self.save
        try:
            while True:
                self._ring.forget(self._clock.now_s())
                await self._tidy()
                await self._clock.sleep_s(_TIDY_S)
        finally:
            self._over.set()
            self._service.save_recording = None
            undescribe()
            unfollow()
            unwatch()
            for one in self._open.values():
                one.session.machine.observer = one.port.tap = None
            self._open.clear()
            self._ring.clear()

    def status(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON values."""
        return {
            "minutes": self._settings.minutes,
            "audio": self._settings.audio,
            "memory_mb": round(self._ring.size_bytes / 1e6, 1),
            "last_file": self._last_file,
        }

    async def save(self, reason: str = ASKED) -> dict[str, Any]:
        """Write what there is, and return {"file": its path, ...}. Raises RecordingError."""
        if self._group is None:
            raise RecordingError("nothing is recorded.")
        if self._writing is not None and not self._writing.done():
            raise RecordingError("a recording is being written already; try again when it is done.")
        self._writing = self._group.create_task(self._write(reason), name="recording")
        saved = await asyncio.shield(self._writing)  # who leaves before it is done does not end it
        if isinstance(saved, RecordingError):
            raise saved
        return saved

    async def _write(self, reason: str) -> dict[str, Any] | RecordingError:
        saved_s, now = self._clock.now_s(), self._utc()
        self._ring.forget(saved_s)
        entries = self._ring.entries
        try:
            contents = Contents(self._header(reason, now), entries, saved_s, self._over)
            path = await asyncio.to_thread(self._write_file, contents, now)
        except RecordingError as error:
            return error
        except OSError as error:
            return RecordingError(f"the recording can't be written ({error.strerror or error}).")
        except Exception:  # noqa: BLE001 - whatever it is, the daemon goes on
            _log.exception("the recording can't be written")
            return RecordingError("the recording can't be written; the log says more.")
        await self._tidy()
        self._last_file = str(path)
        _log.info("what was recorded is in %s: %s", path, reason)
        seconds = round(saved_s - entries[0].at_s, 1) if entries else 0.0
        return {"file": str(path), "seconds": seconds, "audio": self._settings.audio}

    def _header(self, reason: str, now: datetime) -> Header:
        stages = self._service.pipeline.worker_stages
        return Header(
            voicebot=__version__,
            saved_at=now.isoformat(timespec="seconds"),
            reason=reason,
            minutes=self._settings.minutes,
            pipeline={stage: section.model for stage, section in stages.items()},
            audio={},
        )

    def _write_file(self, contents: Contents, now: datetime) -> Path:
        suffix = ".zip" if contents.sounds else ".jsonl"
        return self._folder.write(now, suffix, lambda file: write_contents(file, contents))

    async def _write_by_itself(self) -> None:
        try:
            await self.save(FAILED)
        except RecordingError as error:
            _log.warning("a turn ended with an error, and %s", error)

    async def _tidy(self) -> int:
        """Remove files that are too old; return how many are left."""
        try:
            left = await asyncio.to_thread(self._folder.tidy, self._utc())
        except OSError as error:
            if not self._untidy:
                _log.warning("recordings that are too old can't be removed (%s)", error)
            self._untidy = True
            return 0
        self._untidy = False
        return left

    def _follow(self, session: Session, port: MutablePort) -> None:
        self._opened += 1
        label = f"{self._opened}-{session.name}"

        def decided(state: State, event: TurnEvent, step: Step | None) -> None:
            self._add(label, Decided(port.now_sample(), state, event, step))

        self._open[session.name] = _Recorded(label, session, port)
        session.machine.observer = decided
        if self._settings.audio:
            port.tap = lambda frame: self._add(label, Sound.of(frame, port.playback))

    def _observe(self, event: Event) -> None:
        name = getattr(event, "session", "")
        self._add(self._open[name].label if name in self._open else name, event)
        match event:
            case StateChanged(state="closed"):
                self._open.pop(name, None)
            case TurnEnded(error=str()) if self._settings.on_error and self._group is not None:
                now_s = self._clock.now_s()
                if now_s >= self._automatic_from_s:
                    self._automatic_from_s = now_s + self._settings.minutes * 60
                    self._group.create_task(self._write_by_itself(), name="recording of an error")
            case _:
                pass

    def _add(self, label: str, what: Event | Decided | Sound) -> None:
        self._ring.add(Entry(self._clock.now_s(), label, what))

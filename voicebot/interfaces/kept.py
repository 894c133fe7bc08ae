"""What was switched and has to stay so over a restart: the microphone off, the volume."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from voicebot.config.section import Section

_log = logging.getLogger(__name__)
_MOST_BYTES: Final = 4096


class _Kept(Section):
    muted: bool = False
    volume: int = Field(100, ge=0, le=100)


def _at_once(write: Callable[[], None]) -> None:
    write()


class KeptState:
    """Written at each change, whole or not at all. A file that can't be read is as one with the microphone off.

    Who had muted the box must not be listened to because of a damaged disk.
    """

    def __init__(self, file: Path, submit: Callable[[Callable[[], None]], object] = _at_once) -> None:
        """`submit`: has the file written, one call after the other; an event loop gives a thread's."""
        self._file = file
        self._submit = submit
        self._kept = self._read()

    @property
    def muted(self) -> bool:
        """Whether the microphone is off."""
        return self._kept.muted

    @property
    def volume(self) -> int:
        """How loud everything is played, in percent."""
        return self._kept.volume

    def set_muted(self, *, muted: bool) -> None:
        """Keep it."""
        self._keep(self._kept.model_copy(update={"muted": muted}))

    def set_volume(self, percent: int) -> None:
        """Keep it."""
        self._keep(self._kept.model_copy(update={"volume": percent}))

    def _read(self) -> _Kept:
        try:
            with self._file.open("rb") as file:
                return _Kept.model_validate(json.loads(file.read(_MOST_BYTES)))
        except FileNotFoundError:
            return _Kept()
        except (OSError, ValueError, ValidationError, RecursionError) as error:
            _log.warning("%s can't be read (%s): the microphone is off until it is switched on", self._file, error)
            return _Kept(muted=True)

    def _keep(self, kept: _Kept) -> None:
        self._kept = kept
        self._submit(lambda: self._write(kept))

    def _write(self, kept: _Kept) -> None:
        part = self._file.with_name(f".{self._file.name}.part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(kept.model_dump_json(), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            _log.warning("%s can't be written (%s): it will be forgotten at the next start", self._file, error.strerror)

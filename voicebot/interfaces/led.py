"""An LED of the kernel's that shows what the box is doing, and is afterwards as it was before.

The files are those of the kernel's ABI/testing/sysfs-class-led and sysfs-class-led-multicolor. It blinks by being
written to, not by the trigger "timer": the files of a trigger belong to root whenever it is chosen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from voicebot.errors import VoicebotError
from voicebot.interfaces.public_state import PublicState

LEDS: Final = "sys/class/leds"
Colour = tuple[float, float, float]
"""Red, green and blue, each from 0 to 1."""
DARK: Final[Colour] = (0.0, 0.0, 0.0)
_PRIMARIES: Final = ("red", "green", "blue")
_BRIGHTNESS: Final = "brightness"
_INTENSITY: Final = "multi_intensity"
_TRIGGER: Final = "trigger"
_NO_TRIGGER: Final = "none"
_NEVER_KEPT: Final = {_BRIGHTNESS, _INTENSITY, _TRIGGER, "uevent"}


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown. An LED of one colour tells them apart by how it blinks."""

    colour: Colour
    on_s: float = 0.0
    off_s: float = 0.0
    """Without both it does not blink."""


LOOKS: Final[dict[PublicState, Look]] = {
    "idle": Look(DARK),
    "listening": Look((0.0, 1.0, 0.0)),
    "thinking": Look((0.5, 0.0, 1.0), 0.1, 0.1),
    "speaking": Look((1.0, 0.5, 0.0), 0.5, 0.5),
    "muted": Look((1.0, 0.0, 0.0), 0.1, 2.9),
    "broken": Look((1.0, 0.0, 0.0), 0.9, 0.1),
}
"""Each wakes the processor twice in a period, which is why the one that may last for hours has the longest."""


class LedError(VoicebotError):
    """The LED is not there, or can't be given back as it was."""


class LedFiles(Protocol):
    """What the kernel shows of one LED."""

    def names(self) -> list[str]:
        """Return the files that can be read and written by somebody. Raises OSError."""

    def read(self, name: str) -> str:
        """Return what a file holds. Raises OSError."""

    def write(self, name: str, content: str) -> None:
        """Write in one piece. Raises OSError."""

    def may_write(self, name: str) -> bool:
        """Return whether the permissions allow it."""


class SysfsLed:
    """The real one, below a root: / but for tests."""

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root / LEDS / name

    def names(self) -> list[str]:
        """Return the files that can be read and written by somebody. Raises OSError."""
        return sorted(file.name for file in self._folder.iterdir() if file.is_file() and _is_setting(file))

    def read(self, name: str) -> str:
        """Return what a file holds. Raises OSError."""
        return (self._folder / name).read_bytes().decode("latin-1")

    def write(self, name: str, content: str) -> None:
        """Write in one piece. Raises OSError."""
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, content.encode("latin-1"))
        finally:
            os.close(descriptor)

    def may_write(self, name: str) -> bool:
        """Return whether the permissions allow it."""
        return os.access(self._folder / name, os.W_OK)


class Led:
    """Everything here may block for as long as the kernel takes. Between `take` and `give_back` it is ours."""

    def __init__(self, files: LedFiles, brightness: float) -> None:
        """`brightness`: the brightest it gets, as a share of what it can."""
        self._files = files
        self._brightness = brightness
        self._taken = False
        self._trigger = _NO_TRIGGER
        self._kept: dict[str, str] = {}
        self._highest = 1
        self._channels: tuple[str, ...] = ()
        """The colours of an LED that has some."""

    def take(self) -> None:
        """Note how it is, and end what lights it up. Raises LedError, where it can't be used or given back."""
        files = self._files
        try:
            names = files.names()
            self._highest = int(files.read("max_brightness"))
            self._trigger = _chosen(files.read(_TRIGGER)) if _TRIGGER in names else _NO_TRIGGER
            self._channels = tuple(files.read("multi_index").split()) if _INTENSITY in names else ()
            kept = [name for name in names if name not in _NEVER_KEPT] if self._trigger != _NO_TRIGGER else []
            kept += [name for name in (_INTENSITY, _BRIGHTNESS) if name in names]
            self._kept = {name: files.read(name) for name in kept}
        except (OSError, ValueError) as error:
            raise LedError(f"the LED can't be read: {error}") from error
        needed = [_BRIGHTNESS, *[_INTENSITY] * bool(self._channels), *[_TRIGGER] * (self._trigger != _NO_TRIGGER)]
        if locked := [name for name in needed if not files.may_write(name)]:
            raise LedError(f"the LED's {' and '.join(locked)} can't be written; docs/lights.md says who may allow it.")
        self._taken = True
        if self._trigger != _NO_TRIGGER:
            self._write(_TRIGGER, _NO_TRIGGER)

    def light(self, colour: Colour) -> None:
        """Be lit in that colour, or dark. Raises LedError."""
        if colour == DARK:
            self._write(_BRIGHTNESS, "0")
            return
        if self._channels:
            self._write(_INTENSITY, " ".join(str(round(share * self._highest)) for share in self._shares(colour)))
        self._write(_BRIGHTNESS, str(max(1, round(self._brightness * self._highest))))

    def give_back(self) -> list[str]:
        """Let it be as it was, if it was taken; returns the names of what could not be put back."""
        if not self._taken:
            return []
        self._taken, failed = False, []
        # Setting the trigger makes its files; setting a brightness of 0 would end it again.
        triggered = self._trigger != _NO_TRIGGER
        order = [(_INTENSITY, self._kept.get(_INTENSITY))]
        order += [(_TRIGGER, self._trigger)] if triggered else [(_BRIGHTNESS, self._kept.get(_BRIGHTNESS))]
        order += [item for item in self._kept.items() if item[0] not in _NEVER_KEPT]
        for name, content in order:
            try:
                if content is not None and (name == _TRIGGER or self._files.read(name) != content):
                    self._files.write(name, content)
            except OSError:
                failed.append(name)
        return failed

    def _shares(self, colour: Colour) -> list[float]:
        shares: Mapping[str, float] = dict(zip(_PRIMARIES, colour, strict=True))
        if not shares.keys() & set(self._channels):
            return [1.0] * len(self._channels)
        return [shares.get(channel, 0.0) for channel in self._channels]

    def _write(self, name: str, content: str) -> None:
        try:
            self._files.write(name, content)
        except OSError as error:
            raise LedError(f"the LED's {name} can't be written: {error.strerror}.") from error


def _is_setting(file: Path) -> bool:
    return file.stat().st_mode & 0o600 == 0o600


def _chosen(triggers: str) -> str:
    found = re.search(r"\[(\S+)\]", triggers)
    return _NO_TRIGGER if found is None else found[1]

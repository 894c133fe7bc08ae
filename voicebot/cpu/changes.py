"""Changes the kernel's files so that everything can be put back, by this process or by the next."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from voicebot.cpu.journal import Change, Journal
from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.limits import CEILING, FLOOR, in_order, khz, throttled

_log = logging.getLogger(__name__)
_BOOT_ID: Final = "proc/sys/kernel/random/boot_id"
_COOLING: Final = "sys/class/thermal/cooling_device*"


class Changes:
    """All that was changed.

    The first time that a file is to hold some value, this is noted on disk before the file is written; a value that it
    has held before costs no more than the write.
    """

    def __init__(self, files: KernelFiles, journal: Path) -> None:
        self._files = files
        self._journal = Journal(journal, (files.read(_BOOT_ID) or "").strip())
        self._changes: dict[str, Change] = {}
        self._latest: dict[str, str] = {}

    @property
    def possible(self) -> bool:
        """Whether changes can be noted; where they can't, nothing is changed."""
        return self._journal.usable

    def make(self, wanted: Mapping[str, str]) -> None:
        """Let files hold what is wanted; those that hold it already are passed over, those that refuse are left."""
        new = {name: content for name, content in wanted.items() if self._is_new(name, content)}
        if not new or not self.possible or not self._begin():
            return
        if self._note(new) and not self._journal.save(self._changes):
            return
        for name in in_order({name: new[name] for name in new if name in self._changes}, self._files.read):
            self._write(name, new[name])
        self._settle()

    def put_back(self) -> None:
        """Undo all changes, or those of a process that crashed. What others changed meanwhile is left alone."""
        if self._journal.locked:
            self._undo()
        else:
            self._begin()
        self._journal.unlock()

    def _is_new(self, name: str, content: str) -> bool:
        held = self._latest[name] if name in self._latest else self._files.read(name)
        return held != content and not self._files.is_refused(name, content)

    def _begin(self) -> bool:
        """Own the journal; who begins to puts back first what one that crashed has left."""
        if self._journal.locked:
            return True
        if not self._journal.lock():
            return False
        self._changes |= self._journal.load()
        self._undo()
        return True

    def _note(self, new: Mapping[str, str]) -> bool:
        """Take down what is about to be written, and return whether any of it is unheard of."""
        for name, content in new.items():
            change = self._changes.get(name) or self._before(name, content)
            if change is None:
                continue
            self._changes[name] = change
            if content not in change.ours:
                change.ours.append(content)
                change.settled = False
        return not self._is_settled

    def _before(self, name: str, content: str) -> Change | None:
        """Return what a file holds before the first change, None when that can't be told.

        While the kernel itself cools the box, its limits are not those that somebody asked for.
        """
        if name.endswith((FLOOR, CEILING)) and self._is_throttled():
            return None
        original = self._files.read_before(name, content)
        return None if original is None else Change(original)

    def _write(self, name: str, content: str) -> None:
        if not self._files.write(name, content):
            return
        self._latest[name] = content
        made_of_it, change = self._files.read(name), self._changes[name]
        if made_of_it is not None and made_of_it not in change.ours:
            change.ours.append(made_of_it)
            change.settled = False

    def _settle(self) -> None:
        if not self._is_settled:
            for change in self._changes.values():
                change.settled = True
            self._journal.save(self._changes)

    @property
    def _is_settled(self) -> bool:
        return all(change.settled for change in self._changes.values())

    def _undo(self) -> None:
        wanted: dict[str, str] = {}
        for name, change in self._changes.items():
            held = self._files.read(name)
            if held is None or held == change.original:
                continue  # a core that is offline, or a service that is gone, has no such file
            if change.explains(held) or self._is_held_down(name, held, change):
                wanted[name] = change.original
            else:
                _log.warning("%s holds %s, which somebody else wrote: it is left so", name, held.strip())
        done = {name for name in in_order(wanted, self._files.read) if self._files.write(name, wanted[name])}
        if failed := wanted.keys() - done:
            _log.warning("could not put back: %s", ", ".join(sorted(failed)))
        self._changes = {name: self._changes[name] for name in failed}
        self._latest.clear()
        self._journal.save(self._changes)

    def _is_throttled(self) -> bool:
        return throttled(self._files.read, self._files.names(_COOLING))

    def _is_held_down(self, name: str, held: str, change: Change) -> bool:
        """Return whether a limit is lower than one of ours because the kernel cools the box."""
        ours = max((khz(content) or 0 for content in change.ours), default=0)
        return name.endswith((FLOOR, CEILING)) and (khz(held) or 0) < ours and self._is_throttled()

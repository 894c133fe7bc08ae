"""What the box is doing, in the few words that people, home automation and lights need."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from voicebot.events import StateChanged, WorkerChanged

PublicState = Literal["idle", "listening", "thinking", "speaking", "muted", "broken"]
_PUBLIC: Final[dict[str, PublicState]] = {
    "idle": "idle",
    "listening": "listening",
    "pending": "listening",
    "thinking": "thinking",
    "speaking": "speaking",
    "overlap": "speaking",
    "paused": "listening",
    "weighing": "listening",
}
"""What the turn table's states look like from outside."""
_BUSIEST_FIRST: Final[tuple[PublicState, ...]] = ("speaking", "thinking", "listening")


class BoxState:
    """Follows the events. `muted` and `sessions`, the turn table's states by name: how it begins."""

    def __init__(self, *, muted: bool = False, sessions: Mapping[str, str] = MappingProxyType({})) -> None:
        self._muted = muted
        self._sessions = {name: _PUBLIC.get(state, "idle") for name, state in sessions.items()}
        self._broken: set[str] = set()

    @property
    def sessions(self) -> dict[str, PublicState]:
        """The state of each conversation, by its name."""
        return dict(self._sessions)

    @property
    def overall(self) -> PublicState:
        """The state of the whole box: that of the busiest conversation; broken while a worker is being replaced."""
        if self._broken:
            return "broken"
        states = set(self._sessions.values())
        busiest = next((state for state in _BUSIEST_FIRST if state in states), None)
        return busiest or ("muted" if self._muted else "idle")

    def follow(self, event: StateChanged | WorkerChanged) -> None:
        """Take in what has changed."""
        match event:
            case WorkerChanged():
                here = event.state != "died" and (event.state != "loading" or event.stage not in self._broken)
                (self._broken.discard if here else self._broken.add)(event.stage)
            case StateChanged(session=""):
                self._muted = event.state == "muted"
            case StateChanged(state="closed"):
                self._sessions.pop(event.session, None)
            case StateChanged():
                self._sessions[event.session] = _PUBLIC.get(event.state, "idle")

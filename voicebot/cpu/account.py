"""What the box takes, shared out: to the turns that are under way, and to the time when nobody speaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voicebot.cpu.energy import Energy, EnergySource
from voicebot.events import Event, StateChanged, TurnEnded, TurnEnergy

_LONG_ENOUGH_S: Final = 5.0
"""Over less than that, what an idle box takes is an accident."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What was taken so far."""

    joules: float = 0.0
    measured: bool = False
    turns: int = 0
    turn_joules: float = 0.0
    """In all turns."""
    idle_w: float | None = None
    """While nobody spoke; None where that was never long enough to tell."""


class EnergyAccount:
    """Of the whole box: everything that runs on it counts. Turns at the same time have equal shares."""

    def __init__(self, source: EnergySource, now_s: float) -> None:
        self._source = source
        self._last: Energy = source.read()
        self._last_s = now_s
        self._turns: dict[str, float] = {}
        """Joules of the turns that are under way, by session."""
        self._idle_j = 0.0
        self._idle_s = 0.0
        self._ended = 0
        self._ended_j = 0.0

    def take(self, events: Iterable[Event], now_s: float) -> list[TurnEnergy]:
        """Read the source, and then let turns begin and end; returns what those took that ended."""
        energy = self._source.read()
        joules, passed_s = energy.since(self._last).joules, max(0.0, now_s - self._last_s)
        self._last, self._last_s = energy, now_s
        for session in self._turns:
            self._turns[session] += joules / len(self._turns)
        if not self._turns:
            self._idle_j += joules
            self._idle_s += passed_s
        return [ended for event in events if (ended := self._observe(event, measured=energy.measured))]

    @property
    def balance(self) -> Balance:
        """What was taken up to the latest reading."""
        idle_w = self._idle_j / self._idle_s if self._idle_s >= _LONG_ENOUGH_S else None
        return Balance(self._last.joules, self._last.measured, self._ended, self._ended_j, idle_w)

    def _observe(self, event: Event, *, measured: bool) -> TurnEnergy | None:
        match event:
            case StateChanged(state="idle"):
                self._turns.pop(event.session, None)
            case StateChanged():
                self._turns.setdefault(event.session, 0.0)
            case TurnEnded():
                joules = self._turns.pop(event.session, None)
                if joules is not None:
                    self._ended += 1
                    self._ended_j += joules
                    return TurnEnergy(event.session, event.turn, joules, measured)
            case _:
                pass
        return None

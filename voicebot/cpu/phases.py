"""How fast each phase of a conversation wants its cores. Pure.

    phase      floor                          ceiling            why
    idle       lowest                         lowest             nobody waits
    listening  half, or what the work needs   the same           work is about to come, nobody waits for it
    answering  top; decoding, its knee        the same           the user waits
    speaking   what stays ahead of playback   the same           nobody hears more speed

"The same" is what makes it a pace: a governor between floor and ceiling would take a busy core to the ceiling. Beside
other sessions, who would wait behind slow work, listening may have the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from voicebot.cpu.demand import Phase, Work
from voicebot.cpu.pace import AT_ONCE_S, Curve
from voicebot.cpu.settings import PolicySettings


class Span(NamedTuple):
    """Between which levels (as in pace.py) the kernel's governor may choose."""

    floor: float
    ceiling: float


FREE: Final = Span(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a session's work."""

    phase: Phase
    work: tuple[Work, ...] = ()
    first: Curve | None = None
    """How long what it does first takes; None where a cost is not known, as below."""
    all: Curve | None = None
    """How long until all is done, the work of others that goes before it included."""
    within_s: float | None = None
    """How long until it is due."""
    alone: bool = False
    """Whether no other session is in a turn."""

    def span(self, settings: PolicySettings) -> Span:
        """Return how fast it should go."""
        return _SPANS[self.phase](self, settings)

    def needed(self, settings: PolicySettings) -> float | None:
        """Return the lowest level that is in time, with something to spare; None where that is not known."""
        if self.all is None or self.within_s is None:
            return None
        return self.all.level_for(
            self.within_s * (1 - settings.slack), settings.knee_loss if settings.decode_knee else 0.0
        )

    def lost_to(self, allowed: float) -> float:
        """Return what share of its time would have to go for it to be in time, or as early as ever, at a level."""
        if self.all is None or self.within_s is None:
            return 0.0
        slow_s = self.all.at_most(allowed)
        return max(0.0, 1 - max(self.within_s, self.all.top_s) / slow_s) if slow_s else 0.0


def _idle(_outlook: Outlook, _settings: PolicySettings) -> Span:
    return Span(0.0, 0.0)


def _listening(outlook: Outlook, settings: PolicySettings) -> Span:
    if not settings.pre_boost:
        return FREE
    needed = outlook.needed(settings)
    level = max(settings.listening_share, needed or 0.0)
    return Span(level, 1.0 if needed is None and not outlook.alone else level)


def _answering(outlook: Outlook, settings: PolicySettings) -> Span:
    if outlook.first is None:
        return Span(1.0, 1.0)
    within_s = AT_ONCE_S
    if not settings.race and outlook.all is not None and outlook.within_s is not None:
        within_s = outlook.within_s - (outlook.all.top_s - outlook.first.top_s)
    loss = settings.knee_loss if settings.decode_knee and outlook.work[0].stage == "slm" else 0.0
    level = outlook.first.level_for(within_s, loss)
    return Span(level, level)


def _speaking(outlook: Outlook, settings: PolicySettings) -> Span:
    if not settings.paced_synthesis:
        return FREE
    needed = outlook.needed(settings) if outlook.work else 0.0
    return FREE if needed is None else Span(needed, needed)


_SPANS: Final[Mapping[Phase, Callable[[Outlook, PolicySettings], Span]]] = {
    Phase.IDLE: _idle,
    Phase.LISTENING: _listening,
    Phase.ANSWERING: _answering,
    Phase.SPEAKING: _speaking,
}

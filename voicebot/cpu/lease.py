"""Who may use the cores that all heavy stages share: one at a time, so that two spinning libraries never meet.

Measured on two cores: llama.cpp's two threads fall from 75 to 12 tokens/s beside another busy library, since its
workers spin at barriers while one of them waits for a core. Pure: each call returns the next state. The caller keeps
one value, and after each call lets run whom `holder` names:

    lease = lease.request("slm", CRITICAL, now_s)  # may it run? if lease.holder == "slm"; else wait until it does
    if lease.should_yield(now_s): ...              # the holder asks at each safe point: a token, a window, a segment
    lease = lease.release("slm", now_s)            # done, cancelled, or yielding: then it requests again

A waiting request grows more urgent: each `patience_s` counts as one level. So one of urgency u is overtaken only by
those that are v > u and come at most (v - u) * patience_s later, and nobody waits for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

BACKGROUND: Final = 0
"""Nobody waits for it: warming a prefix, compaction, work that is a guess."""
AHEAD: Final = 1
"""It will be heard later: the next clause while another is played, a partial while somebody speaks."""
CRITICAL: Final = 2
"""A user waits for it: everything between the soft end and the first audio."""


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody who wants the cores, or has them."""

    holder: str
    urgency: float
    since_s: float
    """Since when it waits or, when it has the cores, has them."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One set of cores, who has it, and who waits for it in the order of arrival."""

    patience_s: float = 0.5
    granted: Request | None = None
    waiting: tuple[Request, ...] = ()

    @property
    def holder(self) -> str | None:
        """Who may run; None when nobody wants to."""
        return self.granted.holder if self.granted else None

    def request(self, holder: str, urgency: float, now_s: float) -> Lease:
        """Return the state with one request more. Whoever waits or holds already changes its urgency, not its age."""
        if self.granted and self.granted.holder == holder:
            return replace(self, granted=replace(self.granted, urgency=urgency))
        if any(request.holder == holder for request in self.waiting):
            return replace(
                self,
                waiting=tuple(
                    replace(request, urgency=urgency) if request.holder == holder else request
                    for request in self.waiting
                ),
            )
        # A clock that went back must not let the newcomer look older than those who wait.
        since_s = max([now_s, *(request.since_s for request in self.waiting)])
        return _granting(replace(self, waiting=(*self.waiting, Request(holder, urgency, since_s))), now_s)

    def release(self, holder: str, now_s: float) -> Lease:
        """Return the state without this holder's request, granted or waiting; the same state if there is none."""
        granted = None if self.holder == holder else self.granted
        waiting = tuple(request for request in self.waiting if request.holder != holder)
        return _granting(replace(self, granted=granted, waiting=waiting), now_s)

    def should_yield(self, now_s: float) -> bool:
        """Return whether the holder should give way at its next safe point.

        At once to anybody a level more urgent; to one as urgent after `patience_s`, and `patience_s` later for each
        level less. Counted from the grant, so that many who waited long don't take turns at every step.
        """
        granted = self.granted
        return granted is not None and any(
            request.urgency + max(0.0, now_s - max(request.since_s, granted.since_s)) / self.patience_s
            >= granted.urgency + 1
            for request in self.waiting
        )


def _granting(lease: Lease, now_s: float) -> Lease:
    """Return the state with the most urgent one running if nobody is, its waiting counted; of equals the first."""
    if lease.granted or not lease.waiting:
        return lease
    # All grow more urgent at the same pace, so their order does not depend on the time.
    chosen = max(lease.waiting, key=lambda request: request.urgency - request.since_s / lease.patience_s)
    waiting = tuple(request for request in lease.waiting if request is not chosen)
    return replace(lease, granted=replace(chosen, since_s=now_s), waiting=waiting)

"""When systemd is fed and when not, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import pytest

from voicebot.clock import LoopClock, run_virtual
from voicebot.events import WorkerChanged
from voicebot.interfaces.notify import Notifier
from voicebot.interfaces.watchdog import Watchdog, watchdog_s

WITHIN_S: Final = 20.0
CLOCK: Final = LoopClock()


class _Fed(Notifier):
    """Notes when it was fed."""

    def __init__(self) -> None:
        super().__init__({})
        self.at_s: list[float] = []

    def alive(self) -> None:
        self.at_s.append(CLOCK.now_s())


@dataclass
class Daemon:
    """What the watchdog looks at."""

    frames: dict[str, int] = field(default_factory=lambda: {"local": 0})
    fed: _Fed = field(default_factory=_Fed)
    halted: set[str] = field(default_factory=set)
    dog: Watchdog = field(init=False)

    def __post_init__(self) -> None:
        self.dog = Watchdog(self.fed, CLOCK, lambda: self.frames, start_timeout_s=60.0, within_s=WITHIN_S)

    def worker(self, state: str, stage: str = "slm") -> None:
        self.dog.observe(WorkerChanged(stage, state, 1, ""))

    async def listen(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            for name in self.frames.keys() - self.halted:
                self.frames[name] += 1


@dataclass
class At:
    """Something that happens at a moment."""

    at_s: float
    happens: Callable[[Daemon], object]


def longest_hunger_s(*events: At, until_s: float = 300.0) -> float:
    """Let things happen to a daemon and return the longest time for which systemd was not fed."""
    daemon = Daemon()

    async def main() -> None:
        running = [asyncio.create_task(daemon.dog.run()), asyncio.create_task(daemon.listen())]
        for event in events:
            await asyncio.sleep(event.at_s - CLOCK.now_s())
            event.happens(daemon)
        await asyncio.sleep(until_s - CLOCK.now_s())
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    run_virtual(main())
    moments_s = [0.0, *daemon.fed.at_s, until_s]
    return max(later - earlier for earlier, later in pairwise(moments_s))


def test_while_all_moves_it_is_fed_well_before_its_time() -> None:
    assert longest_hunger_s() <= WITHIN_S / 3


def test_a_conversation_that_gets_no_frames_lets_it_starve(caplog: pytest.LogCaptureFixture) -> None:
    assert longest_hunger_s(At(100, lambda daemon: daemon.halted.add("local"))) > 190
    assert caplog.messages == ["the service hangs, and systemd is not told that it lives: no frame of local"]


def test_one_of_several_conversations_is_enough_to_starve() -> None:
    def hang(daemon: Daemon) -> None:
        daemon.frames["satellite"] = 7
        daemon.halted.add("satellite")

    assert longest_hunger_s(At(100, hang)) > 190


def test_a_stop_that_ends_in_time_is_forgiven() -> None:
    stop = At(100, lambda daemon: daemon.halted.add("local"))
    assert longest_hunger_s(stop, At(110, lambda daemon: daemon.halted.clear())) < WITHIN_S


def test_a_conversation_that_is_over_or_silent_by_itself_does_not_count() -> None:
    assert longest_hunger_s(At(100, lambda daemon: daemon.frames.clear())) < WITHIN_S


def test_a_worker_may_take_its_time_to_load() -> None:
    died, loading = At(100, lambda daemon: daemon.worker("died")), At(101, lambda daemon: daemon.worker("loading"))
    assert longest_hunger_s(died, loading, At(155, lambda daemon: daemon.worker("ready"))) < WITHIN_S


def test_a_worker_that_does_not_come_back_lets_it_starve(caplog: pytest.LogCaptureFixture) -> None:
    again = [
        At(second, lambda daemon, state=state: daemon.worker(state))  # type: ignore[misc]
        for second in range(100, 300, 10)
        for state in ("died", "loading")
    ]
    assert 130 < longest_hunger_s(*again) < 145
    assert caplog.messages == ["the service hangs, and systemd is not told that it lives: no slm worker"]


def test_a_worker_that_was_stopped_is_not_missed() -> None:
    died = At(100, lambda daemon: daemon.worker("died"))
    assert longest_hunger_s(died, At(101, lambda daemon: daemon.worker("stopped"))) < WITHIN_S


def test_where_nobody_wants_to_be_fed_it_ends_at_once() -> None:
    fed = _Fed()
    run_virtual(Watchdog(fed, CLOCK, dict, start_timeout_s=60.0, within_s=None).run())
    assert fed.at_s == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "42"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_it_is_for_the_process_that_systemd_started(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_s(environ, pid=42) == expected

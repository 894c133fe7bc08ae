"""The language model of all sessions, one step after the other: whose tokens those are is the engine's own rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from voicebot.config.pipeline import SlmSettings
from voicebot.cpu.demand import Stage, Work
from voicebot.engines.llama.scheduler import Limits, Need, share_out
from voicebot.sim.chip import Chip
from voicebot.sim.cores import Task
from voicebot.sim.costs import NOISE, Models, step_work
from voicebot.sim.machine import Machine
from voicebot.sim.workers import Seats

_BATCH_TOKENS: Final = 256
"""Of any step."""
_HZ_PER_KHZ: Final = 1000.0


def _nothing() -> None:
    return


@dataclass(eq=False, slots=True)
class Place:
    """What a session wants: some of a prompt read, and then a reply."""

    prompt_left: int
    arrived_s: float
    deadline_s: float
    on_read: Callable[[], None]
    reply_left: int = 0
    on_token: Callable[[], None] = field(default=_nothing)

    @property
    def need(self) -> Need:
        """What the engine knows of it."""
        return Need(self.prompt_left or 1, not self.prompt_left, self.arrived_s, self.deadline_s)


class Batcher:
    """Reads prompts and makes replies; the first token of a reply comes with the last one of its prompt."""

    def __init__(
        self,
        machine: Machine,
        chip: Chip,
        models: Models,
        seats: Seats,
        seed: str,
        noise: Mapping[Stage, float] = NOISE,
    ) -> None:
        self._machine = machine
        self._chip = chip
        self._models = models
        self._seats = seats
        self._random = Random(seed)  # noqa: S311
        self._noise = noise
        self._places: dict[str, Place] = {}
        self._task: Task | None = None
        self._settling = False
        self._shared_tokens = affordable_tokens(chip, models, seats["slm"].threads, SlmSettings().step_ms)

    def read(self, session: str, tokens: int, on_read: Callable[[], None]) -> None:
        """Take in tokens of a session's prompt ahead of time."""
        self._ask(session, Place(tokens, self._machine.now_s, math.inf, on_read))

    def answer(
        self,
        session: str,
        prompt: int,
        reply: int,
        deadline_s: float,
        on_read: Callable[[], None],
        on_token: Callable[[], None],
    ) -> None:
        """Take in the rest of a prompt and go on with a reply of so many tokens."""
        self._ask(session, Place(prompt, self._machine.now_s, deadline_s, on_read, reply, on_token))

    def drop(self, session: str) -> None:
        """Forget what a session wanted; a step for nobody else is stopped."""
        self._places.pop(session, None)
        if self._task is not None and not self._places:
            self._machine.cancel(self._task)
            self._task = None

    def _ask(self, session: str, place: Place) -> None:
        self._places[session] = place
        self._step()

    def _step(self) -> None:
        if self._task is not None or self._settling or not self._places:
            return
        places = dict(self._places)
        limits = Limits(_BATCH_TOKENS, self._shared_tokens if len(places) > 1 else _BATCH_TOKENS)
        tokens = share_out([place.need for place in places.values()], limits)
        shares = {session: share for session, share in zip(places, tokens, strict=True) if share}
        amount = step_work(self._chip, self._models, sum(tokens), len(shares) * self._models.context_tokens)
        reading = any(places[session].prompt_left for session in shares)
        noisy = amount.times(self._random.lognormvariate(0, self._noise["slm_read" if reading else "slm"]))
        seat, work = self._seats["slm"], _work(places, shares)
        self._task = self._machine.submit("slm", noisy, seat, lambda: self._stepped(places, shares), work)

    def _stepped(self, places: dict[str, Place], shares: dict[str, int]) -> None:
        self._task = None
        self._settling = True
        for session, tokens in shares.items():
            if self._places.get(session) is places[session]:  # else dropped meanwhile
                self._advance(session, places[session], tokens)
        self._settling = False
        self._step()

    def _advance(self, session: str, place: Place, tokens: int) -> None:
        if place.prompt_left:
            place.prompt_left -= tokens
            if place.prompt_left:
                return
            place.on_read()
        if place.reply_left:
            place.reply_left -= 1
            place.on_token()
        if not place.reply_left and self._places.get(session) is place:
            del self._places[session]


def _work(places: Mapping[str, Place], shares: Mapping[str, int]) -> Work | None:
    """Return what a step does for the only session in it; None when there are several."""
    if len(shares) > 1:
        return None
    ((session, tokens),) = shares.items()
    return Work("slm_read" if places[session].prompt_left else "slm", tokens)


def affordable_tokens(chip: Chip, models: Models, threads: int, step_ms: float) -> int:
    """Return how many tokens a step may have that others wait for, by the costs that the engine learns."""
    pace = (
        chip.speedup(threads)
        * _HZ_PER_KHZ
        * max(cluster.highest_khz * chip.silicon[cluster.name].ipc for cluster in chip.box.clusters)
    )

    def ms(tokens: int) -> float:
        amount = step_work(chip, models, tokens, models.context_tokens)
        return 1000 * (amount.cycles / pace + amount.traffic_bytes / chip.bandwidth_bytes_s)

    tokens = _BATCH_TOKENS
    while tokens > 1 and ms(tokens) > step_ms:
        tokens = tokens * 7 // 8
    return tokens

"""One simulation: a box, what sets its frequencies, some users, an hour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, get_args

from voicebot.cpu.placement import Role, Seat
from voicebot.cpu.policy import PolicySettings
from voicebot.cpu.seats import seats
from voicebot.latency.percentiles import percentile
from voicebot.sim.batcher import Batcher
from voicebot.sim.chip import Chip
from voicebot.sim.costs import Models
from voicebot.sim.governors import Ondemand, Schedutil, fixed, performance, powersave
from voicebot.sim.machine import Governor, Machine
from voicebot.sim.observed import Observed, Watch
from voicebot.sim.pilot import Pilot, policy_for
from voicebot.sim.script import PERIOD_S, scripts
from voicebot.sim.service import Service, Span, Turn
from voicebot.sim.session import Session
from voicebot.sim.shape import Shapes
from voicebot.sim.workers import Desk, Seats

_AUDIO_CYCLES_PER_S: Final = 100e6
"""Listening takes 3.2 % of a core of the machine of docs/benchmarks.md."""
_MORE_AUDIO_CYCLES_PER_S: Final = 30e6
"""For each further microphone: they share what wakes the daemon up."""
_SAMPLE_S: Final = 1.0
_MOST_THREADS: Final = 4
_IDLE_S: Final = 30.0
"""After so long an idle box has settled."""


@dataclass(frozen=True, slots=True)
class Regime:
    """What sets the frequencies and says who runs where."""

    name: str
    governor: Callable[[], Governor]
    policy: PolicySettings | None = None
    """That of the daemon, over the governor; None leaves the frequencies to the kernel."""
    seated: bool = False
    """Whether each role has its place all the same; else the kernel puts it anywhere."""


REGIMES: Final[Mapping[str, Regime]] = {
    regime.name: regime
    for regime in (
        Regime("voicebot", Schedutil, PolicySettings()),
        Regime("schedutil", Schedutil),
        Regime("schedutil-seated", Schedutil, seated=True),
        Regime("schedutil-no-est", partial(Schedutil, util_est=False)),
        Regime("ondemand", Ondemand),
        Regime("performance", performance),
        Regime("powersave", powersave),
        *(Regime(f"fixed-{share:.0%}", partial(fixed, share)) for share in (0.6, 0.7, 0.8, 0.9)),
    )
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The box at a moment."""

    time_s: float
    khz: Mapping[str, int]
    busy: Mapping[int, float]
    """The share of its time that each cpu runs."""
    watts: float
    die_c: float
    phases: tuple[str, ...]
    throttle_state: int


@dataclass(slots=True)
class Outcome:
    """What a simulation showed. Energy is that of processor and memory; only `joules` names the board's too."""

    chip: str
    models: str
    regime: str
    users: int
    seconds: float
    seed: int
    turns: list[Turn]
    """Those that were answered in time to be counted."""
    spans: list[Span]
    samples: list[Sample]
    """One a second."""
    detail: list[Sample]
    """Every change within the stretch that was asked for."""
    observed: list[Observed]
    joules: dict[str, float]
    idle_w: float
    mean_c: float
    hottest_c: float
    throttle_events: int
    throttled_s: float
    decisions: int
    by_session: dict[str, list[float]] = field(init=False)
    """Voice-to-voice times in ms."""

    def __post_init__(self) -> None:
        self.by_session = {}
        for turn in self.turns:
            self.by_session.setdefault(turn.session, []).append(turn.voice_to_voice_s * 1000)

    @property
    def voice_to_voice_ms(self) -> list[float]:
        """All of them."""
        return [each for times in self.by_session.values() for each in times]

    @property
    def mean_ms(self) -> float:
        """The mean; NaN without turns."""
        times = self.voice_to_voice_ms
        return sum(times) / len(times) if times else math.nan

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of voice-to-voice by the nearest rank; NaN without turns."""
        found = percentile(self.voice_to_voice_ms, share)
        return math.nan if found is None else found

    @property
    def package_j(self) -> float:
        """What processor and memory took in all."""
        return sum(self.joules.values()) - self.joules["board"]

    @property
    def joules_per_turn(self) -> float:
        """With what was taken between turns; NaN without turns."""
        return self.package_j / len(self.turns) if self.turns else math.nan

    @property
    def active_joules_per_turn(self) -> float:
        """Beyond what an idle box takes; NaN without turns."""
        return (self.package_j - self.idle_w * self.seconds) / len(self.turns) if self.turns else math.nan

    @property
    def mean_w(self) -> float:
        """What processor and memory took on average."""
        return self.package_j / self.seconds

    @property
    def underruns(self) -> int:
        """How often a reply was interrupted because its sound was not ready."""
        return sum(turn.underruns for turn in self.turns)

    @property
    def unfairness(self) -> float:
        """The worst user's p95 over the best's; NaN without turns."""
        worst = [percentile(times, 0.95) or math.nan for times in self.by_session.values()]
        return max(worst) / min(worst) if worst else math.nan


def simulate(
    chip: Chip,
    models: Models,
    regime: Regime | str,
    users: int,
    seconds: float,
    seed: int = 1,
    *,
    period_s: float = PERIOD_S,
    detail_s: tuple[float, float] = (0.0, 0.0),
) -> Outcome:
    """Let users talk to a box for a while. The same seed has the same users, whatever sets the frequencies."""
    chosen = REGIMES[regime] if isinstance(regime, str) else regime
    run = _Run(chip, models, chosen, users, seconds, seed, period_s)
    run.record(detail_s)
    run.machine.run_until(seconds)
    machine = run.machine
    return Outcome(
        chip=chip.name,
        models=models.name,
        regime=chosen.name,
        users=users,
        seconds=seconds,
        seed=seed,
        turns=[turn for turn in run.service.turns if not math.isnan(turn.audible_s)],
        spans=run.service.spans,
        samples=run.samples,
        detail=run.detail,
        observed=run.watch.observed,
        joules=dict(machine.energy_j),
        idle_w=idle_watts(chip, models, chosen),
        mean_c=run.celsius_s / seconds,
        hottest_c=machine.hottest_c,
        throttle_events=machine.throttle.events,
        throttled_s=machine.throttled_s,
        decisions=run.pilot.decisions if run.pilot else 0,
    )


def idle_watts(chip: Chip, models: Models, regime: Regime) -> float:
    """Return what processor and memory take while nobody speaks."""
    machine = _Run(chip, models, regime, 0, 0.0, 0, PERIOD_S).machine
    machine.run_until(_IDLE_S)
    return machine.watts


class _Run:
    def __init__(
        self, chip: Chip, models: Models, regime: Regime, users: int, seconds: float, seed: int, period_s: float
    ) -> None:
        seated = _places(chip, by_role=regime.seated or regime.policy is not None)
        audio = seats(chip.box).seats["audio"].cpus
        always = _AUDIO_CYCLES_PER_S + max(0, users - 1) * _MORE_AUDIO_CYCLES_PER_S
        background = dict.fromkeys(audio, always / len(audio))
        machine = self.machine = Machine(chip, regime.governor(), background)
        self.watch = Watch(machine)
        self.service = Service(
            machine,
            chip,
            models,
            asr=Desk(machine, "asr", seated),
            tts=Desk(machine, "tts", seated),
            turn=Desk(machine, "turn", seated),
            slm=Batcher(machine, chip, models, seated, f"{seed}/steps"),
            shapes=Shapes(chip, models, seated["slm"].threads),
        )
        self.pilot: Pilot | None = None
        self.sessions = [
            Session(f"user-{user}", scripts(seed, user, seconds, period_s), self.service)
            for user in range(1, users + 1)
        ]
        if regime.policy is not None:
            policy = policy_for(chip, models, regime.policy)
            self.pilot = Pilot(machine, policy, seated, lambda: tuple(each.demand() for each in self.sessions))
            self.service.on_change = self.pilot.changed
        self.samples: list[Sample] = []
        self.detail: list[Sample] = []
        self.celsius_s = 0.0

    def record(self, detail_s: tuple[float, float]) -> None:
        """Note how the box is, once a second and at every change in a stretch of time."""
        begin_s, end_s = detail_s

        def pass_segment(length_s: float, _watts: float) -> None:
            self.celsius_s += self.machine.heat.die_c * length_s
            self.watch.pass_time(length_s)
            if begin_s <= self.machine.now_s < end_s:
                self.detail.append(self._sample())

        def sample() -> None:
            self.samples.append(self._sample())
            self.machine.after(_SAMPLE_S, sample)

        self.machine.on_segment = pass_segment
        sample()

    def _sample(self) -> Sample:
        machine = self.machine
        phases = tuple(session.demand().phase.value for session in self.sessions)
        busy, khz = dict(machine.busy), dict(machine.khz)
        return Sample(machine.now_s, khz, busy, machine.watts, machine.heat.die_c, phases, machine.throttle.state)


def _places(chip: Chip, *, by_role: bool) -> Seats:
    """Return each role's place: the service's own, or anywhere, as the kernel likes."""
    if by_role:
        return dict(seats(chip.box).seats)
    cpus = chip.box.cpus
    heavy = Seat(cpus, max(1, min(_MOST_THREADS, len(cpus) // 2)))
    given: Seats = {role: Seat(cpus, 1) for role in get_args(Role)}
    return given | {"asr": heavy, "slm": heavy, "tts": heavy}

"""What runs where and how fast: what the sessions need in, a placement out. Pure: no I/O, no clock.

queue.py says whose work comes first, seats.py and choice.py who runs where, phases.py how fast each phase of a
conversation wants its cores, pace.py how fast is fast enough, derating.py what heat allows. Here they come together:
the most that anybody wants counts, limits go up at once and down after a hold time, and heat has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from voicebot.cpu.box import FULL_CAPACITY, Box, Cluster
from voicebot.cpu.choice import Choice, Seats
from voicebot.cpu.demand import Phase, SessionDemand, Situation, Stage
from voicebot.cpu.derating import Derating
from voicebot.cpu.forecast import ROLES, Forecast
from voicebot.cpu.held import Held
from voicebot.cpu.pace import efficient_khz, khz_at, nothing
from voicebot.cpu.phases import Outlook, Span
from voicebot.cpu.placement import Placement, Role, Seat, Speed
from voicebot.cpu.queue import Queue
from voicebot.cpu.seats import HEAVY, Seating, seats
from voicebot.cpu.settings import PolicySettings
from voicebot.latency.cost import StageCost

__all__ = ["Decision", "Policy", "PolicySettings", "PolicyState", "decide"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What does not change while the box runs. A stage without costs gets what suits its phase."""

    box: Box
    costs: Mapping[tuple[Stage, str], StageCost] = field(default_factory=dict)
    """By the stage and the cluster's name; one cluster of each kind of core is enough."""
    settings: PolicySettings = field(default_factory=PolicySettings)
    forecast: Forecast = field(init=False)
    seating: Seating = field(init=False)
    """Where everybody is at home."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "forecast", Forecast(self.box, self.costs, self.settings.static_share))
        object.__setattr__(self, "seating", seats(self.box))


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What is remembered between decisions. A new one decides as if nothing had been before."""

    active: Held = field(default_factory=Held)
    """1 while anybody is in a turn."""
    crowded: Held = field(default_factory=Held)
    """1 while more than one session is in a turn."""
    pressure: Held = field(default_factory=Held)
    floors: Mapping[str, Held] = field(default_factory=dict)
    """In kHz, by the cluster's name."""
    ceilings: Mapping[str, Held] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)
    choice: Choice = field(default_factory=Choice)
    derating: Derating = field(default_factory=Derating)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done."""

    placement: Placement
    pressure: float = 0.0
    """0 to 1: what share of its time the work would have to lose, since heat makes it miss what it would meet."""
    order: tuple[str, ...] = ()
    """The sessions that have work, in the order in which it is to be done."""


class _Wish(NamedTuple):
    """How fast a session wants some cores."""

    cpus: frozenset[int]
    span: Span


def decide(policy: Policy, state: PolicyState, situation: Situation) -> tuple[PolicyState, Decision]:
    """Decide for one moment. To be called when a phase or a stage changes, and some ten times a second beside."""
    settings, now_s = policy.settings, situation.now_s
    clusters = [cluster for cluster in policy.box.clusters if cluster.points]

    # 1. Whose work comes first, and where it is done.
    queue = state.queue.then(situation, settings)
    in_turn = [demand for demand in situation.sessions if demand.phase is not Phase.IDLE]
    crowded = state.crowded.then(float(len(in_turn) > 1), now_s, settings.idle_hold_s)
    home, choice = policy.seating.seats, state.choice
    if settings.core_choice:
        home = {**home, **policy.seating.apart} if crowded.value else home
        choice = choice.then(policy.forecast, home, queue.demands, now_s, settings)
    where = choice.seats(home)

    # 2. How fast that has to be: each cluster gets the most that anybody wants of it.
    active = state.active.then(float(bool(in_turn)), now_s, settings.idle_hold_s)
    outlooks = dict(_outlooks(policy, where, queue, now_s))
    wishes = [
        _Wish(_cpus(demand, where), outlook.span(settings))
        for demand in situation.sessions
        for outlook in [outlooks.get(demand.session, Outlook(demand.phase, alone=not crowded.value))]
    ]
    floors, ceilings = dict[str, Held](), dict[str, Held]()
    for cluster in clusters:
        span = _span(policy, cluster, wishes, active=bool(active.value))
        for limits, before, level in ((floors, state.floors, span.floor), (ceilings, state.ceilings, span.ceiling)):
            held = before.get(cluster.name, Held())
            limits[cluster.name] = held.then(khz_at(cluster, level), now_s, settings.hold_s)

    # 3. How fast heat lets it be, and what that costs.
    derating = state.derating.then(policy.box, situation.temperatures_c, settings, now_s)
    lost = max((outlook.lost_to(derating.allowed) for outlook in outlooks.values()), default=0.0)
    pressure = state.pressure.then(lost, now_s, settings.heat_hold_s)

    speeds = {
        cluster.name: _speed(cluster, floors[cluster.name], ceilings[cluster.name], derating) for cluster in clusters
    }
    placement = Placement(
        seats={role: _clamped(policy, role, seat, speeds) for role, seat in where.items()},
        speeds=speeds,
        wake_up_us=settings.wake_up_us if active.value else None,
    )
    after = PolicyState(active, crowded, pressure, floors, ceilings, queue, choice, derating)
    return after, Decision(placement, pressure.value, tuple(demand.session for demand in queue.demands))


def _outlooks(policy: Policy, where: Seats, queue: Queue, now_s: float) -> Iterator[tuple[str, Outlook]]:
    """Yield each session's outlook: its work ends when all is done that goes before it, and its own."""
    done = nothing(policy.forecast.levels)
    for demand in queue.demands:
        curves = [policy.forecast.curve(work, where[ROLES[work.stage]]) for work in demand.work]
        known = [curve for curve in curves if curve is not None]
        for curve in known:
            done += curve
        yield (
            demand.session,
            Outlook(
                phase=demand.phase,
                work=demand.work,
                first=curves[0],
                all=done if len(known) == len(curves) else None,
                within_s=None if demand.due_s is None else demand.due_s - now_s,
            ),
        )


def _cpus(demand: SessionDemand, where: Seats) -> frozenset[int]:
    """Return the cores that are for a session: those of its work, and of all that may come while somebody speaks."""
    roles: set[Role] = {ROLES[work.stage] for work in demand.work}
    if demand.phase is Phase.LISTENING or not roles:
        roles.update(HEAVY)
    return frozenset(cpu for role in roles for cpu in where[role].cpus)


def _span(policy: Policy, cluster: Cluster, wishes: list[_Wish], *, active: bool) -> Span:
    """Return between which levels a cluster may choose."""
    settings, home = policy.settings, policy.seating.seats
    has_audio = not set(home["audio"].cpus).isdisjoint(cluster.cpus)
    has_inference = any(not set(home[role].cpus).isdisjoint(cluster.cpus) for role in HEAVY)
    audio = min(1.0, settings.audio_capacity / cluster.capacity) if has_audio else 0.0
    # Cores for inference without work have nothing to do that could not wait; others serve the rest of the box.
    free = not has_inference if active else not settings.clamp_idle
    least = max(audio, efficient_khz(cluster, settings.static_share) / cluster.highest_khz)
    spans = [wish.span for wish in wishes if not wish.cpus.isdisjoint(cluster.cpus)]
    return Span(
        floor=max([audio if active else 0.0, *(span.floor for span in spans)]),
        ceiling=max([1.0 if free else least, *(span.ceiling for span in spans)]),
    )


def _speed(cluster: Cluster, floor: Held, ceiling: Held, derating: Derating) -> Speed:
    """Return a cluster's limits, and the preference that suits them where the box knows it."""
    ceiling_khz = cluster.at_most(min(ceiling.value, derating.allowed * cluster.highest_khz))
    if floor.value >= cluster.highest_khz:
        preference = "performance"
    elif floor.value > cluster.lowest_khz:
        preference = "balance_performance"
    else:
        preference = "balance_power" if ceiling.value >= cluster.highest_khz else "power"
    return Speed(
        floor_khz=cluster.at_most(min(floor.value, ceiling_khz)),
        ceiling_khz=ceiling_khz,
        preference=preference if preference in cluster.preferences else "",
    )


def _clamped(policy: Policy, role: Role, seat: Seat, speeds: Mapping[str, Speed]) -> Seat:
    """Return a seat with the limits of its clusters as clamps, for boxes that allow only these.

    Audio needs little, but without a clamp a real-time thread takes its cluster to the top (sched-util-clamp).
    """
    floors, ceilings = [0.0], list[float]()
    for cluster in policy.box.clusters:
        if cluster.name in speeds and not set(cluster.cpus).isdisjoint(seat.cpus):
            speed, scale = speeds[cluster.name], cluster.capacity / cluster.highest_khz
            floors.append(scale * speed.floor_khz)
            free = speed.ceiling_khz >= cluster.highest_khz
            ceilings.append(FULL_CAPACITY if free else scale * speed.ceiling_khz)
    most = round(max(ceilings, default=FULL_CAPACITY))
    least = {"audio": policy.settings.audio_capacity, "other": 0}.get(role, round(max(floors)))
    return replace(seat, clamp_min=min(least, most), clamp_max=most)

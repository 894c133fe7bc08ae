"""Performs a scenario: speaks its clips to a session when their moments come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.events import Event, Observer, ReplyAudible, TurnCommitted, TurnEnded
from voicebot.pipeline.stages import Stages
from voicebot.replay.conversation import Conversation, hold
from voicebot.replay.scenario import Cue, Scenario
from voicebot.replay.scenario_file import Moment
from voicebot.replay.scripted import ScriptedWords

_POLL_S: Final = 0.02
_PATIENCE_S: Final = 6.0
"""What a clip waits for will not happen if the conversation is idle as long after the clip before it ..."""
_LONGEST_TURN_S: Final = 60.0
"""... or has not come to it after as long."""
_END_S: Final = 0.2
_EVENTS: Final[dict[Moment, type[Event]]] = {
    "turn committed": TurnCommitted,
    "reply starts": ReplyAudible,
    "reply ends": TurnEnded,
}


@dataclass(frozen=True, slots=True)
class Performance:
    """A scenario, and the conversation that came of it."""

    scenario: Scenario
    conversation: Conversation
    unsaid: tuple[str, ...]
    """Of each clip that could not be said, why not."""


async def perform(
    name: str,
    scenario: Scenario,
    settings: Settings,
    stages: Stages,
    clock: Clock,
    observer: Observer,
    duration_s: float | None = None,
    words: ScriptedWords | None = None,
) -> Performance:
    """Hold the scenario's conversation.

    `duration_s` takes the place of the scenario's own, if it has one. `words` is what a scripted recogniser asks.
    """
    own_s = scenario.content.duration_s
    last_s = 0.0 if own_s is None else duration_s or own_s
    unsaid: list[str] = []

    async def script(conversation: Conversation) -> None:
        if words is not None:
            words.conversation = conversation
        for cue in scenario.cues:
            missing = await _say(conversation, cue, clock, round(last_s * SAMPLE_RATE_HZ))
            if missing is not None:
                unsaid.append(missing)
        await conversation.settle(clock)
        await clock.sleep_s(last_s - conversation.port.now_sample() / SAMPLE_RATE_HZ)
        await clock.sleep_s(_END_S)

    conversation = await hold(name, scenario.settings(settings), stages, clock, observer, script, scenario.port(clock))
    return Performance(scenario, conversation, tuple(unsaid))


async def _say(conversation: Conversation, cue: Cue, clock: Clock, last_sample: int) -> str | None:
    """Say a clip as often as it is to be said; return why not, if something that it waits for does not happen."""
    when = cue.when
    said = 0
    start = 0
    while said < when.repeat or when.repeat == 0:
        if said and when.every_s is not None:
            start += round(when.every_s * SAMPLE_RATE_HZ)
        else:
            moment = await _moment(conversation, when.after, clock)
            if moment is None:
                return f"{cue.clip.file.name} was not said: it waited for {when.after!r}, which did not happen"
            start = moment + round((when.at_s or when.delay_s) * SAMPLE_RATE_HZ)
        if when.repeat == 0 and start >= last_sample:
            return None
        conversation.say(cue.clip, start)
        said += 1
    return None


async def _moment(conversation: Conversation, after: Moment | None, clock: Clock) -> int | None:
    """Wait until what a clip follows has happened, and return when it did; None when it won't."""
    if after is None:
        return 0
    before = conversation.spoken[-1]
    if after == "previous clip ends":
        return before.speech_end_sample
    while (found := _first(conversation, _EVENTS[after], before.start_sample)) is None:
        waited_s = (conversation.port.now_sample() - before.end_sample) / SAMPLE_RATE_HZ
        if waited_s > (_PATIENCE_S if conversation.idle else _LONGEST_TURN_S):
            return None
        await clock.sleep_s(_POLL_S)
    return found


def _first(conversation: Conversation, kind: type[Event], since_sample: int) -> int | None:
    """Return when an event of a kind first happened after a moment."""
    moments = (getattr(event, "at_sample", at) for at, event in conversation.log if isinstance(event, kind))
    return next((moment for moment in moments if moment > since_sample), None)

"""How well turns were taken, over scenarios: when the user's end was found, and what speech over a reply did to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicebot.audio import first_audible_sample, ms_from_samples, samples_from_ms
from voicebot.bench.wer import normalise, word_errors
from voicebot.events import TurnCommitted
from voicebot.latency.percentiles import summary
from voicebot.replay import Conversation, Spoken, turns_of
from voicebot.replay.report import false_cut_ins

_STEPS: Final = ("duck_ms", "pause_ms", "confirm_ms", "stop_ms")
_NEAR_SAMPLES: Final = samples_from_ms(500)
"""A reply that was audible as shortly before is interrupted by what begins; it may pause between two words."""

LIMITS: Final[Mapping[str, float]] = {
    "false_cut_ins": 0,
    "missed_ends": 0,
    "missed_interruptions": 0,
    "duck_ms.p95": 150,
    "stop_ms.p50": 250,
    "stop_ms.p95": 400,
    "confirm_ms.p95": 700,
    "wasted_cpu_share": 0.35,
    "most_words_apart": 1,
}
"""By the names of the figures, those of heard.py among them."""


def over_limit(figures: Mapping[str, Any]) -> list[str]:
    """Return the names of the figures that are beyond their limit; what was not measured is not."""
    missed = []
    for name, limit in LIMITS.items():
        group, _, key = name.partition(".")
        value = figures.get(group) if not key else figures.get(group, {}).get(key)
        if value is not None and value > limit:
            missed.append(name)
    return missed


def turn_taking(conversations: Sequence[Conversation]) -> dict[str, Any]:
    """Return the figures over all conversations; times in milliseconds.

    `false_cut_ins` counts replies that began before their clip had been said, and `early_commits` the commits, heard
    or not. `missed_ends` are requests that were never committed. `false_interruptions` are replies that were stopped
    though nobody spoke but to show that he listens; `missed_interruptions` those that went on over one who meant it.
    """
    turns = [turn for conversation in conversations for turn in turns_of(conversation)]
    commits = [
        (spoken, _commits(conversation, spoken))
        for conversation in conversations
        for spoken in conversation.spoken
        if spoken.clip.role == "request"
    ]
    delays = [ms_from_samples(found[-1] - spoken.speech_end_sample) for spoken, found in commits if found]
    return {
        "conversations": len(conversations),
        "requests": len(commits),
        "endpoint_ms": summary([delay_ms for delay_ms in delays if delay_ms >= 0]),
        "early_commits": sum(bool(found) and found[0] < spoken.speech_end_sample for spoken, found in commits),
        "false_cut_ins": sum(map(false_cut_ins, conversations)),
        "missed_ends": sum(not found for _, found in commits),
        **{step: summary([turn[step] for turn in turns if turn[step] is not None]) for step in _STEPS},
        "interruptions": sum(len(conversation.interruptions) for conversation in conversations),
        "false_interruptions": sum(map(_false_interruptions, conversations)),
        "missed_interruptions": sum(map(_missed_interruptions, conversations)),
        "resumes": sum(len(conversation.resumed) for conversation in conversations),
        "wer": word_error_rate(conversations),
    }


def word_error_rate(conversations: Sequence[Conversation]) -> float | None:
    """Return the share of wrong words in what was heard of requests; None where it is not known what was said."""
    errors = words = 0
    for conversation in conversations:
        for spoken in conversation.spoken:
            if spoken.clip.says and spoken.clip.role == "request":
                said = normalise(spoken.clip.says)
                users = [turn.user for turn in conversation.ended if conversation.source(turn) is spoken]
                errors += word_errors(said, normalise(" ".join(users)))
                words += len(said)
    return round(errors / words, 3) if words else None


def _commits(conversation: Conversation, spoken: Spoken) -> list[int]:
    """Return when turns were committed between the beginning of a clip and that of the next."""
    later = [other.start_sample for other in conversation.spoken if other.start_sample > spoken.start_sample]
    moments = [event.at_sample for _, event in conversation.log if isinstance(event, TurnCommitted)]
    return [at for at in moments if spoken.start_sample < at < min(later, default=math.inf)]


def _false_interruptions(conversation: Conversation) -> int:
    """Return how many replies were stopped though nobody had spoken, or only to show that he listens."""
    return sum(
        all(spoken.clip.role == "backchannel" for spoken in conversation.speakers(event))
        for event in conversation.interruptions.values()
    )


def _missed_interruptions(conversation: Conversation) -> int:
    """Return how many interruptions did not stop the reply that was to be heard when they began."""
    _, reply = conversation.port.recording()
    heeded = [spoken for event in conversation.interruptions.values() for spoken in conversation.speakers(event)]
    missed = 0
    for spoken in conversation.spoken:
        begun = spoken.start_sample + spoken.clip.first_voiced
        over_reply = first_audible_sample(reply[max(0, begun - _NEAR_SAMPLES) : begun]) is not None
        missed += spoken.clip.role == "interruption" and over_reply and spoken not in heeded
    return missed

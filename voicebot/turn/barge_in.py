"""Whether what somebody says over the reply is meant to stop it. The words decide, not the sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from voicebot.turn.wording import Words, begins_with, consists_of, share_said_in, words

_HUM: Final = re.compile("[mhn]{2,}")
"""How recognisers spell a hum: "mm", "hmm", "mhnn"."""


@dataclass(frozen=True, slots=True)
class BargeInRules:
    """The constants of barge-in; the pipeline file gives each with its reason."""

    commands: frozenset[Words]
    """What always stops the reply, and alone is not answered: "stop", "wait"."""
    openings: frozenset[Words]
    """What always stops the reply when it is said first, and is answered: "no", "actually"."""
    backchannels: frozenset[Words]
    """What a listener says to show that he follows: "mm-hm", "right"."""
    sure_ms: int
    """Speech of that length with other words stops the reply; of less it has to make sense."""
    doubtful_logprob: float
    """Words that the recogniser is less sure of are none, until so much was said that it must mean something."""
    certain_logprob: float
    """Words that it is surer of are meant whatever they are."""
    sensible_text_end: float
    """Words that make a whole utterance with this probability are meant."""
    wordless_ms: int
    """Sound of that length without any word is taken for noise, though it goes on."""
    echo_share: float
    """If that share of the words is being said by ourselves, it is our echo."""


class Verdict(Enum):
    """What was said over the reply."""

    MEANT = "meant"
    NOT_MEANT = "not meant"
    OPEN = "open"
    """Not enough has been said yet; or if it has ended, `text_end` has to be known."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """What has been recognised so far of the speech over a reply."""

    text: str
    mean_logprob: float
    duration_ms: float
    ended: bool
    """Whether the speaker has paused; the verdict is then final."""
    text_end: float | None = None
    """Probability that a sentence ends after the words, once that is known."""


def judge(spoken: Overheard, reply: str, rules: BargeInRules) -> Verdict:
    """Judge the speech over a reply. `reply`: the part of it that may have been audible meanwhile."""
    said = tuple(word for word in words(spoken.text) if not _HUM.fullmatch(word))
    undecided = Verdict.NOT_MEANT if spoken.ended else Verdict.OPEN
    long = spoken.duration_ms >= rules.wordless_ms
    if not said:
        return Verdict.NOT_MEANT if long else undecided
    if begins_with(said, rules.commands | rules.openings):
        return Verdict.MEANT
    if share_said_in(said, words(reply)) >= rules.echo_share:
        return undecided
    if consists_of(said, rules.backchannels) or (spoken.mean_logprob < rules.doubtful_logprob and not long):
        return undecided
    if spoken.duration_ms >= rules.sure_ms:
        return Verdict.MEANT
    return _judge_short(spoken, rules) if spoken.ended else Verdict.OPEN


def _judge_short(spoken: Overheard, rules: BargeInRules) -> Verdict:
    """Judge what may be a hum that was taken for words: "and the May chant"."""
    if spoken.mean_logprob >= rules.certain_logprob:
        return Verdict.MEANT
    if spoken.text_end is None:
        return Verdict.OPEN
    return Verdict.MEANT if spoken.text_end >= rules.sensible_text_end else Verdict.NOT_MEANT


def is_command_only(spoken: str, rules: BargeInRules) -> bool:
    """Return whether nothing but commands such as "stop" was said, so that there is nothing to answer."""
    said = words(spoken)
    return bool(said) and consists_of(said, rules.commands)

"""Whether the user has finished, from all that is known at a pause: how long it is, how the voice fell, what was said.

Silence alone makes an assistant slow or rude. Text and voice are weighed by a logistic regression; its log-odds say
how much silence is asked for: little when the turn is surely over, some in doubt, much when it surely goes on. The
weights were fitted on 2,381 utterances, whole and cut at word boundaries; docs/benchmarks.md says how.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from voicebot.turn.wording import Words, consists_of, words

_LEAST_PROBABILITY: Final = 1e-4
_LONGEST_SPEECH_S: Final = 2.5
_SHORTEST_SPEECH_S: Final = 0.2
_LEAST_LOGPROB: Final = -1.5
_MOST_VOICE_LOGIT: Final = 4.0
_PITCH_SEMITONES: Final = (-6.0, 4.0)
_LEVEL_DB: Final = (-30.0, 3.0)
_CHANGE: Final = (0.0, 3.0)
_SENTENCE_ENDS: Final = (".", "?", "!")
_GOES_ON: Final = ("...", "…", ",", "-")
"""What recognisers write after words that are cut off."""
_DICTATED_DIGITS: Final = 2
_WHOLE_NUMBER_DIGITS: Final = 10
_QUANTITY_DIGITS: Final = (1, 2, 4)
_ANSWER_WORDS: Final = 2
_PATIENCE_SHARE: Final = 0.3
"""Of the newest pause in what is known of this person's pauses."""
_PATIENCE_MARGIN: Final = 1.25


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """The constants of endpointing; the pipeline file gives each with its reason."""

    floor_ms: int
    doubt_ms: int
    answer_ms: int
    answer_logprob: float
    unknown_ms: int
    dictation_ms: int
    ceiling_ms: int
    sure_odds: float
    doubt_odds: float
    open_odds: float
    bias: float
    text_weight: float
    certainty_weight: float
    length_weight: float
    sign_weight: float
    voice_weight: float
    pitch_weight: float
    level_weight: float
    change_weight: float
    voice_unheard: float
    open_words: frozenset[Words]
    stranded_end: float
    digits: frozenset[Words]
    answers: frozenset[Words]
    commands: frozenset[Words] = frozenset()
    """Alone they are not answered: there is time to hear whether "wait" goes on as "wait, what about"."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How the voice sounded when it paused."""

    end: float
    """Probability that the speaker has finished, by the end-of-turn model."""
    pitch_semitones: float
    level_db: float
    change: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a pause, besides its length."""

    text: str
    text_end: float | None = None
    """Probability that a sentence ends after the words, by the language model."""
    mean_logprob: float = 0.0
    """How sure the recogniser was: a word that is cut off is recognised with doubt."""
    speech_s: float = _LONGEST_SPEECH_S
    voice: Voice | None = None


class EndOfTurn:
    """How long a silence ends a turn of this person."""

    def __init__(self, rules: EndpointRules) -> None:
        self._rules = rules
        self._doubt_ms = float(rules.doubt_ms)

    def went_on(self, pause_ms: float) -> None:
        """Take note of a pause inside a turn: in doubt, who pauses for longer is waited for longer."""
        wanted_ms = min(max(pause_ms * _PATIENCE_MARGIN, self._rules.doubt_ms), self._rules.ceiling_ms)
        self._doubt_ms += _PATIENCE_SHARE * (wanted_ms - self._doubt_ms)

    def turn_ended(self) -> None:
        """Take note of a turn that has ended: what was known of pauses becomes older."""
        self._doubt_ms += _PATIENCE_SHARE / 2 * (self._rules.doubt_ms - self._doubt_ms)

    def needed_ms(self, evidence: Evidence) -> float:
        """Return after how much silence the turn ends."""
        rules, said = self._rules, words(evidence.text)
        if evidence.text_end is None or not said:
            return rules.unknown_ms
        text = evidence.text.rstrip()
        stranded = text.endswith("?") and evidence.text_end >= rules.stranded_end  # "Where are you from?"
        if text.endswith(_GOES_ON) or (said[-1:] in rules.open_words and not stranded):
            return rules.ceiling_ms
        needed_ms = self._needed_for(log_odds(evidence, rules))
        if not text.endswith("?") and _DICTATED_DIGITS <= _final_digits(said, rules.digits) < _WHOLE_NUMBER_DIGITS:
            return max(needed_ms, rules.dictation_ms)
        if consists_of(said, rules.commands):
            return max(needed_ms, rules.doubt_ms)
        if _is_answer(said, evidence, rules):
            return min(needed_ms, rules.answer_ms)
        return needed_ms

    def _needed_for(self, odds: float) -> float:
        rules = self._rules
        if odds >= rules.doubt_odds:
            return _between(odds, rules.doubt_odds, rules.sure_odds, self._doubt_ms, rules.floor_ms)
        return _between(odds, rules.open_odds, rules.doubt_odds, rules.ceiling_ms, self._doubt_ms)


def log_odds(evidence: Evidence, rules: EndpointRules) -> float:
    """Return the log-odds that the user has finished: 0 is as probable as not. `text_end` has to be known."""
    text_end = _within(evidence.text_end or 0.0, (_LEAST_PROBABILITY, 1.0))
    speech_s = _within(evidence.speech_s, (_SHORTEST_SPEECH_S, _LONGEST_SPEECH_S))
    odds = (
        rules.bias
        + rules.text_weight * math.log10(text_end)
        + rules.certainty_weight * max(evidence.mean_logprob, _LEAST_LOGPROB)
        + rules.length_weight * math.log(speech_s)
        + rules.sign_weight * evidence.text.rstrip().endswith(_SENTENCE_ENDS)
    )
    voice = evidence.voice
    if voice is None:
        return odds + rules.voice_unheard
    return (
        odds
        + rules.voice_weight * _logit(voice.end)
        + rules.pitch_weight * _within(voice.pitch_semitones, _PITCH_SEMITONES)
        + rules.level_weight * _within(voice.level_db, _LEVEL_DB)
        + rules.change_weight * _within(voice.change, _CHANGE)
    )


def _logit(probability: float) -> float:
    most = 1 / (1 + math.exp(-_MOST_VOICE_LOGIT))
    bounded = min(max(probability, 1 - most), most)
    return math.log(bounded / (1 - bounded))


def _is_answer(said: Words, evidence: Evidence, rules: EndpointRules) -> bool:
    heard_well = evidence.mean_logprob >= rules.answer_logprob
    return heard_well and len(said) <= _ANSWER_WORDS and consists_of(said, rules.answers)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _between(value: float, low: float, high: float, at_low: float, at_high: float) -> float:
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return at_low + share * (at_high - at_low)


def _final_digits(said: Words, digits: frozenset[Words]) -> int:
    """Return how many dictated digits the text ends with, as words or as numerals.

    A single numeral of one, two or four digits is a quantity or a year: "for 20.", "in 1969."
    """
    final = list(takewhile(lambda word: word.isdecimal() or (word,) in digits, reversed(said)))
    if len(final) == 1 and len(final[0]) in _QUANTITY_DIGITS and final[0].isdecimal():
        return 0
    return sum(len(word) if word.isdecimal() else 1 for word in final)

"""Speech over a reply: what it does to the reply, step by step, and what is made of its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from voicebot.audio import ms_from_samples
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.config.pipeline import BargeInSettings
from voicebot.events import Interrupted
from voicebot.pipeline.partials import Partial
from voicebot.pipeline.recognize import Recognized
from voicebot.pipeline.revision import Revision
from voicebot.turn.barge_in import BargeInRules, Overheard, Verdict, judge
from voicebot.turn.table import TurnEvent

_WORDS_BEFORE: Final = 12
_WORDS_AFTER: Final = 3
_EVENTS: Final = {Verdict.MEANT: TurnEvent.MEANT, Verdict.NOT_MEANT: TurnEvent.NOT_MEANT}


class Overlap:
    """One session's, at most one at a time."""

    def __init__(
        self,
        playback: PlaybackBuffer,
        now_sample: Callable[[], int],
        settings: BargeInSettings,
        rules: BargeInRules,
    ) -> None:
        self._playback = playback
        self._now_sample = now_sample
        self._duck_gain = settings.duck_gain
        self._rules = rules
        self._answer_rules = replace(rules, backchannels=frozenset())
        """Over a question of ours "yes" is an answer."""
        self._ducked_sample: int | None = None
        self._paused_sample: int | None = None
        self._said: Recognized | None = None

    def duck(self) -> None:
        """Make the reply quieter."""
        self._ducked_sample = self._now_sample()
        self._playback.set_gain(self._duck_gain)

    def pause(self, revision: Revision) -> None:
        """Hold the reply."""
        self._paused_sample = self._now_sample()
        self._said = None
        revision.pause()

    def resume(self, revision: Revision) -> None:
        """Go on with the reply."""
        self.forget()
        revision.resume()

    def forget(self) -> None:
        """Take it for over: the next audio is as loud as ever."""
        self._ducked_sample = self._paused_sample = None
        self._playback.set_gain(1.0)

    def judge(
        self, partial: Partial, revision: Revision, onset_sample: int, *, ended: bool, text_end: float | None = None
    ) -> TurnEvent | None:
        """Return what the words so far amount to; None when it is still open.

        `ended`: these are all of them. It is then only open until `text_end`, the probability that a sentence ends
        after them, is known.
        """
        duration_ms = ms_from_samples(partial.until_sample - onset_sample)
        spoken = Overheard(partial.said.text, partial.said.mean_logprob, duration_ms, ended, text_end)
        asks = revision.request is not None and revision.request.unsure
        verdict = judge(spoken, _being_said(revision), self._answer_rules if asks else self._rules)
        self._said = partial.said if ended and verdict is Verdict.MEANT else None
        return _EVENTS.get(verdict)

    def take_words(self) -> Recognized | None:
        """Return all the words of an interruption, if a look has found them; once."""
        said, self._said = self._said, None
        return said

    def interruption(self, session: str, turn: int, onset_sample: int) -> Interrupted | None:
        """Return what is to be told of a reply that was stopped; None when it was not speech that stopped it."""
        if self._ducked_sample is None:
            return None
        return Interrupted(session, turn, onset_sample, self._ducked_sample, self._now_sample(), self._paused_sample)


def _being_said(revision: Revision) -> str:
    """Return the words of the reply that may have been in the room while somebody spoke."""
    said = revision.reply.text.split()
    heard = len(revision.reply.heard.split())
    return " ".join(said[max(0, heard - _WORDS_BEFORE) : heard + _WORDS_AFTER])

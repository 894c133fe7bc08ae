"""The answer to one version of a request: from the soft end to the last sound.

Recognition, reading, decoding and synthesis of the first window follow on each other; from there on clauses are
synthesised as they come, just ahead of playback. Nothing is heard before the commit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from voicebot.cpu.demand import Phase, SessionDemand, Work
from voicebot.sim.costs import (
    CONTEXT_PHONEMES,
    FIRST_WINDOW_PHONEMES,
    FIRST_WINDOW_S,
    PHONEMES_PER_SECOND,
    PHONEMES_PER_TOKEN,
)
from voicebot.sim.service import Revision, Turn

BUDGET_S: Final = 0.7
_READ_WITHIN_S: Final = 0.3
"""The engine is asked for a first token within so long."""
_HEAD_START_S: Final = 0.1
"""The voice is judged once the reply has begun, or so long after the words are known."""
_AHEAD_S: Final = 2.5
_LEAD_S: Final = 0.020
"""From the commit, or the first audio if that is later, until it is heard."""
_KNOWN_BY: Final = 1
"""A clause is known to be complete by the token after it, which begins with a space or ends the reply."""
_NEARLY: Final = 1e-6


class Reply:
    """In the making, and then heard."""

    def __init__(
        self, revision: Revision, turn: Turn, clause_tokens: tuple[int, ...], on_end: Callable[[], None]
    ) -> None:
        """`clause_tokens` is how long each clause will be, which nobody knows before; `on_end` is called at its end."""
        self._revision = revision
        self._turn = turn
        self._clause_tokens = clause_tokens
        self._on_end = on_end
        self._work: list[Work] = []
        self._tokens = 0
        self._clause = 0
        self._clause_end = clause_tokens[0] + _KNOWN_BY
        self._windows: list[tuple[float, float]] = []
        """Seconds of sound and phonemes to compute, of what is still to be synthesised."""
        self._judged = False
        self._making = False
        self._committed = False
        self._buffered_s = 0.0
        """Sound that was made before any was heard."""
        self._until_s = math.nan
        """When all sound that there is has been heard."""

    def begin(self, window_s: float, looks: int, new_tokens: int, on_read: Callable[[], None]) -> None:
        """Begin with all that was said; `on_read` is called when the language model has taken it in.

        `looks`: how often the recogniser does it, which nobody knows before.
        """
        revision, service, due_s = self._revision, self._revision.service, self._turn.speech_end_s + BUDGET_S
        self._work = [
            Work("asr", window_s),
            Work("slm_read", new_tokens),
            Work("slm", self._clause_end),
            Work("tts", FIRST_WINDOW_PHONEMES),
        ]

        def recognised() -> None:
            self._turn.asr_final_s = revision.now_s
            self._clause_tokens = service.shapes.cut(self._clause_tokens, due_s - revision.now_s)
            self._clause_end = self._clause_tokens[0] + _KNOWN_BY
            self._work[2] = Work("slm", self._clause_end)
            self._worked()
            revision.at(revision.now_s + _HEAD_START_S, judge)
            read_s = revision.now_s + _READ_WITHIN_S
            revision.answer(new_tokens, self._length, read_s, understood, self._token, self._end_when_heard)

        def understood() -> None:
            on_read()
            self._worked()
            judge()

        def judge() -> None:
            if not self._judged:
                self._judged = True
                revision.ask(service.turn, "turn", 1.0, due_s, lambda: None)

        revision.ask(service.asr, "asr", looks * window_s, due_s, recognised)

    def commit(self) -> None:
        """Let it be heard."""
        self._committed = True
        self._turn.committed_s = self._revision.now_s
        self._play()

    def demand(self) -> SessionDemand:
        """Return what the daemon knows of its needs."""
        session = self._revision.session
        if self._work:
            return SessionDemand(session, Phase.ANSWERING, tuple(self._work), self._turn.speech_end_s + BUDGET_S)
        work = []
        if not self._windows and self._tokens < self._length:
            work.append(Work("slm", self._clause_end - self._tokens))
            work.append(Work("tts", self._clause_tokens[self._clause] * PHONEMES_PER_TOKEN + CONTEXT_PHONEMES))
        elif self._windows:
            work.append(Work("tts", self._windows[0][1]))
        return SessionDemand(session, Phase.SPEAKING, tuple(work), self._sounds_until_s() if work else None)

    @property
    def _length(self) -> int:
        return sum(self._clause_tokens) + _KNOWN_BY

    def _worked(self) -> None:
        """Note that the first of what was to be done for the first sound is done."""
        del self._work[0]
        self._revision.service.on_change()

    def _token(self) -> None:
        self._tokens += 1
        if self._tokens == 1:
            self._turn.slm_first_token_s = self._revision.now_s
        if self._clause == 0:
            self._work[0] = Work("slm", self._clause_end - self._tokens)
        if self._tokens == self._clause_end:
            self._clause_ended()

    def _clause_ended(self) -> None:
        self._windows += windows(self._clause_tokens[self._clause] * PHONEMES_PER_TOKEN / PHONEMES_PER_SECOND)
        if self._clause == 0:
            self._turn.slm_first_clause_s = self._revision.now_s
            self._worked()
        self._clause += 1
        if self._clause < len(self._clause_tokens):
            self._clause_end += self._clause_tokens[self._clause]
        self._make_sound()

    def _make_sound(self) -> None:
        """Synthesise the next window, unless enough is ahead."""
        if self._making or not self._windows:
            return
        ahead_s = self._sounds_until_s() - self._revision.now_s
        if ahead_s > _AHEAD_S + _NEARLY:
            if not math.isnan(self._until_s):
                self._revision.at(self._until_s - _AHEAD_S, self._make_sound)
            return
        self._making = True
        due_s = self._turn.speech_end_s + BUDGET_S if self._work else self._sounds_until_s()
        self._revision.ask(self._revision.service.tts, "tts", self._windows[0][1], due_s, self._made)

    def _made(self) -> None:
        self._making = False
        sound_s, _ = self._windows.pop(0)
        now_s = self._revision.now_s
        if self._work:
            self._turn.tts_first_audio_s = now_s
            self._worked()
        if math.isnan(self._until_s):
            self._buffered_s += sound_s
            self._play()
        else:
            if now_s > self._until_s:
                self._turn.underruns += 1
                self._turn.gap_s += now_s - self._until_s
            self._until_s = max(self._until_s, now_s) + sound_s
        self._make_sound()
        self._end_when_heard()
        self._revision.service.on_change()

    def _play(self) -> None:
        """Begin to be heard, once it is certain that the user has finished and there is sound."""
        if self._committed and self._buffered_s:
            self._turn.audible_s = self._revision.now_s + _LEAD_S
            self._until_s = self._turn.audible_s + self._buffered_s
            self._make_sound()
            self._end_when_heard()

    def _sounds_until_s(self) -> float:
        """Return when all sound that there is has been heard, if the commit were now."""
        return self._revision.now_s + self._buffered_s if math.isnan(self._until_s) else self._until_s

    def _end_when_heard(self) -> None:
        complete = self._tokens == self._length and not self._windows
        if complete and not math.isnan(self._until_s):
            self._revision.at(self._until_s, self._end)

    def _end(self) -> None:
        self._turn.end_s = self._revision.now_s
        self._revision.drop()
        self._on_end()


def windows(sound_s: float) -> Iterator[tuple[float, float]]:
    """Yield the windows that a clause is synthesised in: seconds, and phonemes to compute. As the engine has them."""
    window_s = FIRST_WINDOW_S
    while sound_s > 0:
        last = sound_s - window_s < FIRST_WINDOW_S - _NEARLY
        made_s = sound_s if last else window_s
        whole = window_s == FIRST_WINDOW_S or not last
        yield made_s, made_s * PHONEMES_PER_SECOND + CONTEXT_PHONEMES * (1.0 if whole else 0.5)
        sound_s = 0.0 if last else sound_s - made_s
        window_s *= 2

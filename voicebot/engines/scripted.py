"""Engines that answer from a script: for tests of everything that is not the models, in virtual time.

They do no work, so they say how long they pretend to take; whoever hosts them in virtual time waits as long.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.engines.protocols import (
    Answer,
    Cancel,
    Computed,
    Message,
    Piece,
    SlmItem,
    SlmRequest,
    Speech,
    Transcript,
    VoiceEnd,
    Weighed,
)
from voicebot.errors import CancelledWorkError, EngineError


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a scripted engine pretends to take."""

    first_ms: float = 0.0
    """Before the first result."""
    each_ms: float = 0.0
    """Before each result after that."""


def _spoken_length(pcm: Pcm) -> str:
    return f"an utterance of {len(pcm) // SAMPLE_RATE_HZ} seconds"


@dataclass
class ScriptedRecognizer:
    """Says that the audio held whatever `script` makes of it."""

    script: Callable[[Pcm], str] = _spoken_length
    pace: Pace = Pace(80)

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        """Return the scripted words."""
        del thorough, within_s
        cancel.raise_if_requested()
        return Transcript(self.script(pcm), -0.1, 0.0, len(pcm) / SAMPLE_RATE_HZ, fallback=False)


def _echo(messages: tuple[Message, ...]) -> str:
    return f"You said: {messages[-1].content}."


@dataclass
class ScriptedModel:
    """Replies what `script` makes of the conversation, word by word."""

    script: Callable[[tuple[Message, ...]], str] = _echo
    pace: Pace = Pace(60, 10)
    finished: Callable[[tuple[Message, ...]], float] = lambda _: 1.0
    """How probable it is that a sentence ends after the last message."""
    requests: list[tuple[Message, ...]] = field(default_factory=list)
    """Every conversation that was asked to be replied to."""
    prefills: list[tuple[Message, ...]] = field(default_factory=list)
    """Every conversation that was to be taken in."""

    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        """Know everything already."""
        cancel.raise_if_requested()
        self.prefills.append(messages)
        return 0

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel, begun: str = ""
    ) -> Iterator[str]:
        """Yield the scripted reply, a word with its space at a time; only the words after those of `begun`."""
        self.requests.append(messages)
        words = self.script(messages).split(" ")
        known = len(begun.split(" ")) if begun else 0
        for index, word in enumerate(words[known : known + max_tokens], known):
            cancel.raise_if_requested()
            yield word if index == 0 else f" {word}"

    def end_probability(self, messages: tuple[Message, ...], cancel: Cancel) -> float:
        """Return what `finished` makes of the conversation."""
        cancel.raise_if_requested()
        return self.finished(messages)


class ScriptedSessions:
    """A scripted model as a worker hosts it: every step is a word of each request under way."""

    def __init__(self, model: ScriptedModel) -> None:
        self._model = model
        self._under_way: list[tuple[Answer, Iterator[SlmItem]]] = []

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._under_way)

    def submit(self, request: SlmRequest, cancel: Cancel) -> Answer:
        """Take up a request."""
        answer = Answer()
        self._under_way.append((answer, self._items(request, cancel)))
        return answer

    def step(self) -> None:
        """Give each request its next item."""
        for each in tuple(self._under_way):
            answer, items = each
            began_s = time.process_time()
            try:
                answer.items.append(next(items))
            except (StopIteration, CancelledWorkError) as end:
                self._under_way.remove(each)
                answer.end(end if isinstance(end, CancelledWorkError) else None)
            answer.cpu_s += time.process_time() - began_s

    def rest(self) -> bool:
        """Have nothing else to do."""
        return False

    def _items(self, request: SlmRequest, cancel: Cancel) -> Iterator[SlmItem]:
        if request.op == "prefill":
            yield Computed(self._model.prefill(request.messages, cancel), 0)
        elif request.op == "end":
            yield Weighed(self._model.end_probability(request.messages, cancel))
        else:
            words = self._model.generate(request.messages, request.max_tokens, cancel, request.begun)
            yield from map(Piece, words)


def _finished(pcm: Pcm) -> VoiceEnd:
    del pcm
    return VoiceEnd(0.9, -3.0, -20.0, 0.5)


@dataclass
class ScriptedTurn:
    """Hears the voice end as `script` makes of the audio."""

    script: Callable[[Pcm], VoiceEnd] = _finished
    pace: Pace = Pace(30)

    def judge(self, pcm: Pcm, cancel: Cancel) -> VoiceEnd:
        """Return the scripted end."""
        cancel.raise_if_requested()
        return self.script(pcm)


def hum(samples: int) -> Pcm:
    """Return a tone of 220 Hz, 18 dB below full scale."""
    wave = np.sin(np.arange(samples) * (2 * np.pi * 220 / SAMPLE_RATE_HZ))
    tone: Pcm = (wave * (FULL_SCALE / 8)).astype(np.int16)
    return tone


@dataclass
class ScriptedSynthesizer:
    """Speaks a hum of `ms_per_letter` for each letter of the text."""

    ms_per_letter: float = 60.0
    pace: Pace = Pace(70)
    fails_on: str | None = None
    """A word at which it fails, as a real engine might."""

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        """Yield the whole hum, in which each word takes time in proportion to its letters."""
        del first
        cancel.raise_if_requested()
        if self.fails_on is not None and self.fails_on in text:
            raise EngineError(f"the scripted synthesizer fails at {self.fails_on!r}.")
        ends = (samples_from_ms(self.ms_per_letter * word.end()) for word in re.finditer(r"\S+", text))
        yield Speech(hum(samples_from_ms(self.ms_per_letter * len(text))), tuple(ends))


class ScriptedWakeWord:
    """Hears the word as soon as `script` finds it in the audio since the last one or the last reset."""

    def __init__(self, script: Callable[[Pcm], bool], late_ms: float = 0.0) -> None:
        self.late_samples = samples_from_ms(late_ms)
        self.chunks = 0
        """How many it was shown."""
        self._script = script
        self._heard = np.zeros(0, np.int16)

    def hears(self, pcm: Pcm) -> bool:
        """Ask the script about what was heard."""
        self.chunks += 1
        self._heard = np.concatenate((self._heard, pcm))
        found = self._script(self._heard)
        if found:
            self.reset()
        return found

    def reset(self) -> None:
        """Forget what was heard."""
        self._heard = self._heard[:0]


class LoudnessDetector:
    """Takes everything louder than a level for speech: enough for scripted audio, and far cheaper than a model."""

    def __init__(self, chunk_samples: int = 320, floor_dbfs: float = -50.0) -> None:
        self.chunk_samples = chunk_samples
        self._floor = FULL_SCALE * 10 ** (floor_dbfs / 20)

    def probability(self, pcm: Pcm) -> float:
        """Return 1 for a loud chunk and 0 for a quiet one."""
        return 1.0 if self.opens(pcm) else 0.0

    def opens(self, pcm: Pcm) -> bool:
        """Be a gate as well."""
        return max(int(pcm.max()), -int(pcm.min())) > self._floor

    def reset(self) -> None:
        """There is no state."""

"""Speech to text for a Wyoming client: the audio of one utterance in, what was said out, and partials meanwhile.

The protocol's transcript-chunk adds text that stays, but what a recogniser makes of half a sentence may change. So
only those words are told which two looks after one another have in common (LocalAgreement-2: D. Macháček, R. Dabre and
O. Bojar, "Turning Whisper into Real-Time Transcription System", 2023). The transcript at the end is what counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import numpy as np
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, ms_from_samples, silence
from voicebot.clock import Clock
from voicebot.config.pipeline import PipelineSettings
from voicebot.engines.protocols import VoiceDetector
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.wire import EventStream, ProtocolError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.partials import Partial, Partials
from voicebot.pipeline.recognize import pieces, recognize
from voicebot.pipeline.stages import Stages
from voicebot.turn.wording import words

_LOOK_AWAY_SAMPLES: Final = 2 * SAMPLE_RATE_HZ
"""Where there was speech, the detector rests for so long: a piece that a recogniser gets has 20 s at least."""


class Transcription:
    """One client's, one utterance after the other."""

    def __init__(
        self,
        stages: Stages,
        pipeline: PipelineSettings,
        longest_s: float,
        stream: EventStream,
        group: asyncio.TaskGroup,
        clock: Clock,
    ) -> None:
        """`group` owns the looks at what was said so far."""
        self._stages = stages
        self._pipeline = pipeline
        self._most_samples = round(longest_s * SAMPLE_RATE_HZ)
        self._stream = stream
        self._group = group
        self._clock = clock
        self._ledger = WorkLedger()
        self._begin()

    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage.

        Raises ProtocolError, GoneError, and what the recogniser raises.
        """
        if Transcribe.is_type(event.type) or AudioStart.is_type(event.type):
            self._partials.cancel()
            self._begin()
        elif AudioChunk.is_type(event.type):
            self._add(self._audio.feed(event))
            self._look()
        elif AudioStop.is_type(event.type):
            self._add(self._audio.finish())
            await self._answer()
        else:
            return False
        return True

    def cancel(self) -> None:
        """Give up the look that is under way."""
        self._partials.cancel()

    def _begin(self) -> None:
        self._audio = IncomingAudio()
        self._parts: list[Pcm] = []
        self._samples = 0
        self._speech = _SpeechFinder(self._stages.make_detector(), self._pipeline.endpoint.speech_probability)
        self._partials = Partials(self._stages.asr, self._ledger, self._tell_agreed)
        self._looked_s = self._clock.now_s()
        self._looked_samples = 0
        self._before: list[str] = []
        """The words of the look before."""
        self._told: list[str] | None = None
        """The words that the client was told; None before it was told that any will come."""

    def _add(self, pcm: Pcm) -> None:
        self._samples += len(pcm)
        if self._samples > self._most_samples:
            raise ProtocolError(f"an utterance has at most {self._most_samples / SAMPLE_RATE_HZ:.0f} s here.")
        self._parts.append(pcm)
        self._speech.hear(pcm)

    def _look(self) -> None:
        """Look at what was said so far, where it comes no faster than it is spoken; a file is soon complete."""
        every_ms = self._pipeline.speculation.partial_every_ms
        now_s, unseen_ms = self._clock.now_s(), ms_from_samples(self._samples - self._looked_samples)
        # Ever further apart: each look begins at the beginning.
        due_ms = max(every_ms, ms_from_samples(self._looked_samples) / 2)
        spoken = self._speech.found and not self._partials.looking and every_ms > 0
        if spoken and min(unseen_ms, (now_s - self._looked_s) * 1000) >= due_ms:
            self._looked_s, self._looked_samples = now_s, self._samples
            self._partials.look(self._group, self._utterance(), self._samples)

    def _utterance(self) -> Pcm:
        self._parts = [np.concatenate([silence(0), *self._parts])]
        return self._parts[0]

    def _tell_agreed(self, partial: Partial) -> None:
        seen = partial.said.text.split()
        agreed = _in_common(self._before, seen)
        self._before = seen
        told = self._told or []
        if agreed > len(told) and _in_common(told, seen) == len(told):
            self._tell(seen[len(told) : agreed])

    async def _answer(self) -> None:
        self._partials.cancel()
        charged_to.set(Work(self._ledger))
        found = [await recognize(self._stages.asr, piece) for piece in self._spoken_pieces()]
        text = " ".join(said.text for said in found if said.text)
        told, said = self._told or [], text.split()
        # Where the last look disagrees with what was told, only the transcript can say so.
        self._tell(said[len(told) :] if _in_common(told, said) == len(told) else [])
        self._stream.send(Transcript(text, language=self._pipeline.asr.language), TranscriptStop())
        await self._stream.flush()
        self._begin()

    def _spoken_pieces(self) -> Iterator[Pcm]:
        """Yield what a recogniser can take at once, but for silence, into which it would put words."""
        start = 0
        for piece in pieces(self._utterance()):
            if self._speech.between(start, start + len(piece)):
                yield piece
            start += len(piece)

    def _tell(self, added: list[str]) -> None:
        if self._told is None:
            self._told = []
            self._stream.send(TranscriptStart(language=self._pipeline.asr.language))
        if added:
            text = " ".join(added)
            self._stream.send(TranscriptChunk(f" {text}" if self._told else text))
            self._told += added


class _SpeechFinder:
    """Where in an utterance there is speech, found as it comes."""

    def __init__(self, detector: VoiceDetector, threshold: float) -> None:
        self._detector = detector
        self._threshold = threshold
        self._waiting = silence(0)
        self._seen = 0
        self._resting_until = 0
        self._places: list[int] = []

    @property
    def found(self) -> bool:
        """Whether there was any."""
        return bool(self._places)

    def between(self, start: int, end: int) -> bool:
        """Return whether there is speech in a stretch."""
        return any(start <= place < end for place in self._places)

    def hear(self, pcm: Pcm) -> None:
        """Take the next samples."""
        size = self._detector.chunk_samples
        self._waiting = np.concatenate((self._waiting, pcm))
        whole = len(self._waiting) // size * size
        for at in range(0, whole, size):
            self._judge(self._seen + at, self._waiting[at : at + size])
        self._waiting = self._waiting[whole:]
        self._seen += whole

    def _judge(self, start: int, chunk: Pcm) -> None:
        if start < self._resting_until:
            return
        if self._detector.probability(chunk) >= self._threshold:
            self._places.append(start)
            self._resting_until = start + _LOOK_AWAY_SAMPLES
            self._detector.reset()


def _in_common(one: list[str], other: list[str]) -> int:
    """Return how many words two texts begin with in common, however they are written."""
    same = 0
    for mine, its in zip(one, other, strict=False):
        if words(mine) != words(its):
            break
        same += 1
    return same

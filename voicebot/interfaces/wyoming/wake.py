"""Wake words for a Wyoming client: its audio is listened to until it ends, and each word is told when it is heard.

A detector computes all the time here, since there is no gate in front of it as at the box's own microphone, and as fast
as a client sends. So all of them compute in a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.wake import Detect, Detection, NotDetected

from voicebot.audio import FRAME_SAMPLES, ms_from_samples
from voicebot.config.wake import WAKE_NAMES, WakeSettings
from voicebot.engines.protocols import WakeWord
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.wire import EventStream, ProtocolError

Result = TypeVar("Result")
MakeWakeWord = Callable[[WakeSettings], WakeWord]


class WakeWords:
    """What all clients share: how detectors are made, and the one thread in which they compute."""

    def __init__(self, make: MakeWakeWord) -> None:
        """`make`: loads one stream's detector of a word; it may block."""
        self._make = make
        self._thread = ThreadPoolExecutor(1, "wyoming wake", initializer=_become_normal)

    def close(self) -> None:
        """Take no more work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def load(self, names: tuple[str, ...], settings: WakeSettings) -> Mapping[str, WakeWord]:
        """Return a detector for each name, with the sensitivity of the settings. Raises EngineError."""

        def make() -> dict[str, WakeWord]:
            return {name: self._make(settings.model_copy(update={"word": name})) for name in names}

        return await self.compute(make)

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Let the thread do something; returns what came of it, or raises it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class Detecting:
    """One client's, one stream after the other. Between `detect` and `transcribe` all audio is for this stage."""

    def __init__(self, words: WakeWords, settings: WakeSettings, stream: EventStream) -> None:
        self._words = words
        self._settings = settings
        self._stream = stream
        self._wanted: tuple[str, ...] = ()
        self._detectors: Mapping[str, WakeWord] = {}
        self._begin({})

    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage.

        Raises ProtocolError, GoneError, and EngineError where a detector can't be loaded.
        """
        if Detect.is_type(event.type):
            self._wanted = names_in(event)
            self._begin(await self._words.load(self._wanted, self._settings))
        elif Transcribe.is_type(event.type):
            self._wanted = ()
            return False
        elif not self._wanted:
            return False
        elif AudioStart.is_type(event.type):
            await self._begin_anew()
        elif AudioChunk.is_type(event.type):
            await self._hear(event)
        elif AudioStop.is_type(event.type):
            if not self._heard:
                self._stream.send(NotDetected())
                await self._stream.flush()
            await self._begin_anew()
        else:
            return False
        return True

    def _begin(self, detectors: Mapping[str, WakeWord]) -> None:
        self._detectors = detectors
        self._audio = IncomingAudio()
        self._samples = 0
        self._heard = False

    async def _begin_anew(self) -> None:
        if self._samples:

            def reset() -> None:
                for detector in self._detectors.values():
                    detector.reset()

            await self._words.compute(reset)
        self._begin(self._detectors)

    async def _hear(self, event: Event) -> None:
        numbered = event.data.get("timestamp")
        for name, at_ms in await self._words.compute(lambda: self._words_in(event)):
            self._heard = True
            at = numbered if type(numbered) is int else round(at_ms)
            self._stream.send(Detection(name=name, timestamp=at))
        await self._stream.flush()

    def _words_in(self, event: Event) -> list[tuple[str, float]]:
        """Return the words that were noticed in a chunk, and when: milliseconds from the stream's beginning."""
        pcm = self._audio.feed(event)
        found = []
        for at in range(0, len(pcm), FRAME_SAMPLES):
            frame = pcm[at : at + FRAME_SAMPLES]
            self._samples += len(frame)
            found += [
                (name, ms_from_samples(self._samples)) for name, word in self._detectors.items() if word.hears(frame)
            ]
        return found


def names_in(event: Event) -> tuple[str, ...]:
    """Return which words are to be detected: all there are where none is named. Raises ProtocolError."""
    named = event.data.get("names")
    if named is None or named == []:
        return WAKE_NAMES
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ProtocolError("detect comes with a list of names, or without.")
    found = tuple(name for name in WAKE_NAMES if name in named)
    if not found:
        raise ProtocolError(f"none of these wake words is known; there are {', '.join(WAKE_NAMES)}.")
    return found


def _become_normal() -> None:
    """Take the calling thread out of the real-time class, where it may not compute for as long as a client sends.

    It keeps the niceness of the daemon: while other programs held it up it might have the interpreter's lock, for which
    the daemon's own thread would wait.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

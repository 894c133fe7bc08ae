"""A voice's graph: whole, or cut before its vocoder, which is then run over a few frames at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.onnx import StoppableSession
from voicebot.engines.piper.windows import windows
from voicebot.engines.protocols import Cancel
from voicebot.errors import EngineError

_log = logging.getLogger(__name__)
_VOICE: Final = ".onnx"
_ENCODER: Final = ".encoder.onnx"
_DECODER: Final = ".decoder.onnx"
Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that is being spoken, at the voice's own rate."""

    durations: NDArray[np.int64] | None
    """Samples for each phoneme id; None where the graph does not say."""
    audio_from: Callable[[int], Iterator[NDArray[np.float32]]]
    """Makes the samples, of -1..1, from one of them on, piece by piece. Raises CancelledWorkError or EngineError."""


class Graph(Protocol):
    """Phoneme ids to sound."""

    def speak(self, inputs: Inputs, cancel: Cancel) -> Sentence:
        """Speak a sentence; `inputs` are those of the whole graph. Raises CancelledWorkError or EngineError."""


def load_graph(voice: Path, threads: int) -> Graph:
    """Load the parts of a voice where they lie beside it, else all of it. Raises EngineError."""
    stem = voice.name.removesuffix(_VOICE)
    encoder, decoder = voice.with_name(stem + _ENCODER), voice.with_name(stem + _DECODER)
    if encoder.exists() and decoder.exists():
        try:
            return CutGraph(StoppableSession(encoder, threads), StoppableSession(decoder, threads))
        except EngineError as error:
            _log.warning("%s; %s will speak a whole sentence at a time.", error, voice.name)
    return WholeGraph(StoppableSession(voice, threads))


class WholeGraph:
    """A graph that makes the whole sentence in one run."""

    def __init__(self, session: StoppableSession) -> None:
        self._session = session

    def speak(self, inputs: Inputs, cancel: Cancel) -> Sentence:
        """Speak a sentence."""

        def audio_from(start: int) -> Iterator[NDArray[np.float32]]:
            yield self._session.run(inputs, cancel)[0].ravel()[start:]

        return Sentence(None, audio_from)


class CutGraph:
    """A graph in two parts, as the model store cuts it. Raises EngineError when these are no such parts."""

    def __init__(self, encoder: StoppableSession, decoder: StoppableSession) -> None:
        self._encoder = encoder
        self._decoder = decoder
        try:
            self._context_frames = int(decoder.metadata["context_frames"])
            self._frame_samples = int(decoder.metadata["frame_samples"])
        except (KeyError, ValueError) as error:
            raise EngineError(f"{decoder.model} is no part of a voice ({error!r})") from error
        self._durations = encoder.metadata.get("durations")
        self._frames = encoder.outputs[0]

    def speak(self, inputs: Inputs, cancel: Cancel) -> Sentence:
        """Speak a sentence: all its frames are made before this returns."""
        outputs = dict(zip(self._encoder.outputs, self._encoder.run(inputs, cancel), strict=True))
        frames = outputs.pop(self._frames)
        durations = outputs.pop(self._durations).ravel() if self._durations else None
        samples = None if durations is None else durations.astype(np.int64) * self._frame_samples
        size = self._frame_samples

        def audio_from(start: int) -> Iterator[NDArray[np.float32]]:
            for window in windows(frames.shape[2], self._context_frames, start // size):
                seen = frames[:, :, window.seen_from : window.seen_to]
                made = self._decoder.run({self._frames: seen, **outputs}, cancel)[0].ravel()
                first = max(start, window.start * size)
                yield made[first - window.seen_from * size : (window.stop - window.seen_from) * size]

        return Sentence(samples, audio_from)

"""Audio as clients send it, made 16 kHz mono int16."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray
from wyoming.audio import AudioFormat
from wyoming.event import Event

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, silence
from voicebot.interfaces.wyoming.wire import ProtocolError

_TYPES: Final = {1: "u1", 2: "<i2", 4: "<i4"}
"""By the bytes of a sample, as WAV files have them."""
_FORMS: Final[dict[str, Container[int]]] = {"rate": range(8000, 192_001), "width": _TYPES, "channels": range(1, 9)}


class IncomingAudio:
    """One stream of audio-chunk events. Every chunk says what form it has, and that may change."""

    def __init__(self, quality: str = "HQ") -> None:
        """`quality`: of the resampling, by soxr's names; "HQ" holds back 40 ms of audio, "LQ" 20 ms."""
        self._quality = quality
        self._format: AudioFormat | None = None
        self._resampler: Any = None

    def feed(self, event: Event) -> Pcm:
        """Return what a chunk adds. Raises ProtocolError for one in a form that is not known."""
        form = _format_of(event)
        before = silence(0)
        if form != self._format:
            before = self.finish()
            self._format = form
            if form.rate != SAMPLE_RATE_HZ:
                self._resampler = soxr.ResampleStream(form.rate, SAMPLE_RATE_HZ, 1, "int16", self._quality)
        pcm = _mono(event.payload or b"", form)
        if self._resampler is not None:
            pcm = self._resampler.resample_chunk(pcm)
        return np.concatenate((before, pcm)) if len(before) else pcm

    def finish(self) -> Pcm:
        """Return what was held back. The next chunk begins a new stream."""
        resampler, self._resampler, self._format = self._resampler, None, None
        if resampler is None:
            return silence(0)
        rest: Pcm = resampler.resample_chunk(silence(0), last=True)
        return rest


def _format_of(event: Event) -> AudioFormat:
    return AudioFormat(*(_known(event, name, values) for name, values in _FORMS.items()))


def _known(event: Event, name: str, values: Container[int]) -> int:
    value = event.data.get(name)
    if type(value) is not int or value not in values:
        raise ProtocolError("audio has a rate of 8000 to 192000, a width of 1, 2 or 4 bytes and 1 to 8 channels.")
    return value


def _mono(payload: bytes, form: AudioFormat) -> Pcm:
    if len(payload) % (form.width * form.channels):
        raise ProtocolError("a chunk of audio ends within a sample.")
    samples: NDArray[Any] = np.frombuffer(payload, np.dtype(_TYPES[form.width]))
    if form.width == 1:
        samples = (samples.astype(np.int16) - 128) << 8
    elif form.width == 4:
        samples = (samples >> 16).astype(np.int16)
    if form.channels > 1:
        samples = samples.reshape(-1, form.channels).mean(axis=1).astype(np.int16)
    return samples.astype(np.int16, copy=False)

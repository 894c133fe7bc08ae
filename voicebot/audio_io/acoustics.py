"""A synthetic room, for tests and scenarios: the way from loudspeaker to microphone, and noise of a known level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.audio import FRAME_SAMPLES, FULL_SCALE, Pcm, level_dbfs, samples_from_ms, silence

_DECAY_DB: Final = 60.0
_ACTIVE_RANGE_DB: Final = 25.0  # from the loudest frame down to where a voice becomes a pause
_LEAST_TALKERS: Final = 8


@dataclass(frozen=True, slots=True)
class EchoPath:
    """What happens to sound between loudspeaker and microphone.

    `gain_db` is what the whole response does to the power of white noise. `room_ms` is the reverberation time
    (RT60); half of the response's energy arrives directly and half as an exponentially decaying tail of noise, the
    model of J. D. Polack for a diffuse field. 0 is a room without walls.
    """

    delay_ms: float
    gain_db: float = -4.0
    room_ms: float = 250.0
    seed: int = 1

    def impulse_response(self) -> NDArray[np.float32]:
        """Return the response at 16 kHz, which begins with `delay_ms` of zeros."""
        tail_samples = samples_from_ms(self.room_ms)
        time = np.arange(1, tail_samples + 1) / max(1, tail_samples)
        tail = np.random.default_rng(self.seed).standard_normal(tail_samples) * 10 ** (-_DECAY_DB / 20 * time)
        if tail_samples:
            tail /= np.linalg.norm(tail)
        response = np.concatenate((np.zeros(samples_from_ms(self.delay_ms)), [1.0], tail))
        scale = 10 ** (self.gain_db / 20) / float(np.linalg.norm(response))
        return np.asarray(response * scale, np.float32)


class EchoSimulator:
    """Streaming convolution by overlap-save: what the microphone hears of each block that the speaker plays."""

    def __init__(self, path: EchoPath, block_samples: int = FRAME_SAMPLES) -> None:
        response = path.impulse_response()
        self._block_samples = block_samples
        self._size = 1 << (len(response) + block_samples - 2).bit_length()
        self._response = np.fft.rfft(response, self._size)
        self._response_samples = len(response)
        self._heard = np.zeros(self._size, np.float32)
        self._ringing_samples = 0

    def feed(self, reference: Pcm) -> Pcm:
        """Take the next `block_samples` that are played and return as many that are heard at the same time."""
        if reference.any():
            self._ringing_samples = self._response_samples + self._block_samples
        elif self._ringing_samples <= 0:
            return silence(self._block_samples)
        self._ringing_samples -= self._block_samples
        self._heard = np.concatenate((self._heard[self._block_samples :], reference.astype(np.float32)))
        heard = np.fft.irfft(np.fft.rfft(self._heard) * self._response, self._size)
        return _to_pcm(heard[-self._block_samples :])


def white_noise(samples: int, dbfs: float, seed: int = 1) -> Pcm:
    """Return Gaussian noise of that RMS level."""
    return at_level(np.random.default_rng(seed).standard_normal(samples), dbfs)


def babble(talkers: Sequence[Pcm], samples: int, dbfs: float, seed: int = 1) -> Pcm:
    """Return many people talking at once, at that RMS level over all.

    Every clip is one talker, equally loud, looped from a random place. Fewer than 8 clips begin anew at other places
    until there are 8 talkers.
    """
    random = np.random.default_rng(seed)
    mixed = np.zeros(samples)
    for number in range(max(_LEAST_TALKERS, len(talkers))):
        clip = talkers[number % len(talkers)]
        looped = np.roll(clip, -int(random.integers(len(clip))))
        level = 10 ** (active_speech_dbfs(clip) / 20)
        mixed += np.resize(looped, samples) / level
    return at_level(mixed, dbfs)


def active_speech_dbfs(pcm: Pcm) -> float:
    """Return the RMS level of the frames of 20 ms in which somebody speaks, as ITU-T P.56 means it.

    Speech is what is within 25 dB of the loudest frame. Set noise to this level less the SNR wanted.
    """
    frames = [pcm[at : at + FRAME_SAMPLES] for at in range(0, len(pcm), FRAME_SAMPLES)]
    levels = np.array([level_dbfs(frame) for frame in frames])
    powers = 10 ** (levels[levels > levels.max() - _ACTIVE_RANGE_DB] / 10)
    return float(10 * np.log10(powers.mean()))


def at_level(wave: NDArray[np.float64] | Pcm, dbfs: float) -> Pcm:
    """Return a wave scaled to an RMS level; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    return _to_pcm(wave * (FULL_SCALE * 10 ** (dbfs / 20) / rms)) if rms else silence(len(wave))


def _to_pcm(wave: NDArray[np.floating]) -> Pcm:
    return np.asarray(np.clip(np.rint(wave), -FULL_SCALE, FULL_SCALE - 1), np.int16)

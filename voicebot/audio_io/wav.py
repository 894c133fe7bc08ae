"""Sound files in and out: any rate, width and channel count becomes 16 kHz mono int16."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voicebot.errors import AudioFileError

_LONGEST_S: Final = 3600
_RATES_HZ: Final = range(1000, 768_001)
"""A file of a lower rate that is small on disk would be huge at 16 kHz; no sound card has a higher one."""


def resample(samples: NDArray[np.float32], from_hz: int) -> NDArray[np.float32]:
    """Return float samples at 16 kHz; the same array when they are already."""
    if from_hz == SAMPLE_RATE_HZ:
        return samples
    converted: NDArray[np.float32] = soxr.resample(samples, from_hz, SAMPLE_RATE_HZ)
    return converted


def to_int16(samples: NDArray[np.float32]) -> Pcm:
    """Return floats of -1..1 as int16, clipped."""
    return np.minimum(np.rint(np.clip(samples, -1, 1) * FULL_SCALE), FULL_SCALE - 1).astype(np.int16)


def read_wav(path: Path) -> Pcm:
    """Read a sound file as 16 kHz mono int16; channels are averaged. Raises AudioFileError."""
    try:
        if not path.is_file():
            raise AudioFileError(f"{path}: there is no such file; name an existing sound file.")
        if path.stat().st_size == 0:
            raise AudioFileError(f"{path}: the file is empty; record it again.")
        with soundfile.SoundFile(path) as file:
            if file.samplerate not in _RATES_HZ:
                raise AudioFileError(f"{path}: {file.samplerate} Hz is no rate of sound; record it at 16000 Hz.")
            if file.frames > _LONGEST_S * file.samplerate:
                raise AudioFileError(f"{path}: longer than {_LONGEST_S} s; cut it into shorter files.")
            samples = file.read(dtype="float32", always_2d=True)
            rate_hz = int(file.samplerate)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:  # TypeError: raw, by its name
        raise AudioFileError(f"{path}: this is no readable sound file ({_reason(error)}).") from error
    if len(samples) == 0:
        raise AudioFileError(f"{path}: the file has no samples (truncated?); record it again.")
    mono = np.clip(np.nan_to_num(samples), -1, 1).mean(axis=1, dtype=np.float32)  # floats may be of any size
    return to_int16(resample(mono, rate_hz))


def write_wav(path: Path, *channels: Pcm) -> None:
    """Write 16 kHz int16 channels of equal length; the file appears whole or not at all. Raises AudioFileError."""
    try:
        _write_whole(path, channels)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioFileError(f"{path}: the file can't be written ({_reason(error)}).") from error


def _write_whole(path: Path, channels: tuple[Pcm, ...]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            soundfile.write(file, np.stack(channels, axis=1), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
            file.flush()
            Path(file.name).chmod(0o644)
            os.replace(file.name, path)  # noqa: PTH105 - the one call that replaces atomically
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _reason(error: Exception) -> str:
    known = error.strerror if isinstance(error, OSError) else None
    text = known or str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
    return text or type(error).__name__

"""Sound files of every shape come in as 16 kHz mono int16; what is none is refused with a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voicebot.audio import Pcm
from voicebot.audio_io import wav
from voicebot.audio_io.wav import read_wav, write_wav
from voicebot.errors import AudioFileError

TONE_HZ = 440
LEVEL = 0.5


def tone(rate_hz: int, duration_s: float = 1.0) -> NDArray[np.float64]:
    return LEVEL * np.sin(2 * np.pi * TONE_HZ * np.arange(int(rate_hz * duration_s)) / rate_hz)


def assert_is_tone(pcm: Pcm, *, level: float = LEVEL, tolerance: float = 0.01) -> None:
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(16_000, abs=2)
    steady = pcm[1_000:15_000].astype(float) / 32_768
    assert np.sqrt(2 * np.mean(steady**2)) == pytest.approx(level, rel=tolerance)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.argmax(spectrum) * 16_000 / len(steady) == pytest.approx(TONE_HZ, abs=2)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_every_width(tmp_path: Path, subtype: str, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate_hz), rate_hz, subtype=subtype)
    assert_is_tone(read_wav(tmp_path / "a.wav"), tolerance=0.02)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_rate_and_channel_count(tmp_path: Path, rate_hz: int, channels: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile(tone(rate_hz)[:, None], channels), rate_hz)
    assert_is_tone(read_wav(tmp_path / "a.wav"))


def test_channels_are_averaged(tmp_path: Path) -> None:
    one_sided = np.stack([tone(16_000), np.zeros(16_000)], axis=1)
    soundfile.write(tmp_path / "a.wav", one_sided, 16_000)
    assert_is_tone(read_wav(tmp_path / "a.wav"), level=LEVEL / 2)


def test_floats_out_of_range_are_clipped_and_no_number_is_silence(tmp_path: Path) -> None:
    samples = np.array([2.0, -2.0, np.nan, np.inf, 0.0], np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    assert read_wav(tmp_path / "a.wav").tolist() == [32_767, -32_768, 0, 32_767, 0]


def test_16_khz_int16_comes_back_bit_for_bit(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32_768, 32_768, 5_000).astype(np.int16)
    write_wav(tmp_path / "a.wav", pcm)
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav"), pcm)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(AudioFileError, match="there is no such file"):
            read_wav(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioFileError, match="the file is empty"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [b"# Notes\n\nhello, world\n" * 20, b"RIFF", bytes(1000), b"\xff\xd8\xff\xe0" * 99])
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match="no readable sound file"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [4, 12, 20, 30, 43, 44])
def test_a_file_cut_in_its_header_is_refused(tmp_path: Path, kept: int) -> None:
    write_wav(tmp_path / "a.wav", np.ones(1000, np.int16))
    os.truncate(tmp_path / "a.wav", kept)
    with pytest.raises(AudioFileError, match=r"a\.wav"):
        read_wav(tmp_path / "a.wav")


def test_of_a_file_cut_in_its_data_the_rest_is_read(tmp_path: Path) -> None:
    pcm = np.arange(1000, dtype=np.int16)
    write_wav(tmp_path / "a.wav", pcm)
    os.truncate(tmp_path / "a.wav", 44 + 2 * 600 + 1)
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav"), pcm[:600])


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(0, np.int16))
    with pytest.raises(AudioFileError, match="no samples"):
        read_wav(tmp_path / "a.wav")


def test_a_file_that_is_too_long_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "_LONGEST_S", 1)
    write_wav(tmp_path / "a.wav", np.zeros(16_001, np.int16))
    with pytest.raises(AudioFileError, match="longer than 1 s"):
        read_wav(tmp_path / "a.wav")


def test_two_channels_are_written_left_and_right(tmp_path: Path) -> None:
    left, right = np.arange(100, dtype=np.int16), np.arange(100, 200, dtype=np.int16)
    write_wav(tmp_path / "a.wav", left, right)
    samples, rate_hz = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate_hz == 16_000
    np.testing.assert_array_equal(samples, np.stack([left, right], axis=1))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, np.ones(100, np.int16))
    before = path.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(AudioFileError, match=r"a\.wav: the file can't be written \(no space left on device\)\."):
        write_wav(path, np.zeros(100, np.int16))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

"""Audio in the forms that clients send."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.audio import AudioChunk
from wyoming.event import Event

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.wire import ProtocolError


def tone(rate: int) -> Pcm:
    """Return half a second of 440 Hz."""
    wave: Pcm = (8000 * np.sin(np.arange(rate // 2) * (2 * np.pi * 440 / rate))).astype(np.int16)
    return wave


def taken(rate: int, width: int, channels: int, payload: bytes, chunk: int = 960) -> Pcm:
    audio = IncomingAudio()
    size = chunk * width * channels
    parts = [
        audio.feed(AudioChunk(rate, width, channels, payload[at : at + size]).event())
        for at in range(0, len(payload), size)
    ]
    return np.concatenate([*parts, audio.finish()])


def likeness(pcm: Pcm, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """Return the correlation with the tone, but for the beginning and the end, which resampling may change."""
    wanted = tone(rate_hz)[: len(pcm)]
    middle = slice(800, len(wanted) - 800)
    return float(np.corrcoef(pcm[: len(wanted)][middle], wanted[middle])[0, 1])


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(rate: int) -> None:
    pcm = taken(rate, 2, 1, tone(rate).tobytes())
    assert abs(len(pcm) - SAMPLE_RATE_HZ // 2) <= 2
    assert likeness(pcm) > 0.999


def test_any_width_and_number_of_channels_becomes_mono_int16() -> None:
    pcm = tone(SAMPLE_RATE_HZ)
    assert np.array_equal(taken(SAMPLE_RATE_HZ, 4, 1, (pcm.astype(np.int32) << 16).tobytes()), pcm)
    eight = ((pcm >> 8) + 128).astype(np.uint8)
    assert np.abs(taken(SAMPLE_RATE_HZ, 1, 1, eight.tobytes()).astype(int) - pcm).max() < 256
    stereo = np.stack([pcm, np.zeros_like(pcm)], axis=1)
    assert np.abs(taken(SAMPLE_RATE_HZ, 2, 2, stereo.tobytes()).astype(int) - pcm // 2).max() <= 1


def test_the_form_may_change_between_two_chunks() -> None:
    audio = IncomingAudio()
    parts = [audio.feed(AudioChunk(rate, 2, 1, tone(rate).tobytes()).event()) for rate in (48_000, 16_000, 8000)]
    assert abs(sum(map(len, [*parts, audio.finish()])) - 3 * SAMPLE_RATE_HZ // 2) <= 4


@given(
    st.fixed_dictionaries({name: st.integers() | st.none() | st.text() for name in ("rate", "width", "channels")})
    | st.fixed_dictionaries(
        {"rate": st.integers(7990, 8010), "width": st.integers(0, 5), "channels": st.integers(0, 9)}
    ),
    st.binary(max_size=50),
)
def test_any_chunk_is_audio_or_refused(data: dict[str, object], payload: bytes) -> None:
    try:
        pcm = IncomingAudio().feed(Event("audio-chunk", data, payload))
    except ProtocolError:
        return
    assert pcm.dtype == np.int16

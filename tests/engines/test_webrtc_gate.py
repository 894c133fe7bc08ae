"""The gate: speech opens it, an empty room does not."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, FULL_SCALE, Pcm, level_dbfs, silence
from voicebot.engines.webrtc_gate import WebRtcGate


def opened(gate: WebRtcGate, pcm: Pcm, size: int = FRAME_SAMPLES) -> list[bool]:
    return [gate.opens(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def noise(level_dbfs: float) -> Pcm:
    wave: Pcm = (np.random.default_rng(3).standard_normal(48_000) * FULL_SCALE * 10 ** (level_dbfs / 20)).astype(
        np.int16
    )
    return wave


@pytest.mark.parametrize("question", ["france", "spider", "egg", "joke", "sum"])
def test_speech_opens_it(questions: dict[str, Pcm], question: str) -> None:
    pcm = questions[question]
    frames = [pcm[at : at + FRAME_SAMPLES] for at in range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES)]
    found = opened(WebRtcGate(2, -60), pcm)
    loud = [is_open for is_open, frame in zip(found, frames, strict=True) if level_dbfs(frame) > -30]
    assert len(loud) > 10
    assert sum(loud) > 0.8 * len(loud)


@pytest.mark.parametrize("size", [160, 320, 480])
def test_silence_never_opens_it(size: int) -> None:
    assert not any(opened(WebRtcGate(0, -60), silence(16_000), size))


def test_faint_noise_never_opens_it_however_long_it_lasts() -> None:
    assert not any(opened(WebRtcGate(0, -60), noise(-70)))


def test_it_is_the_floor_that_keeps_faint_noise_out() -> None:
    assert any(opened(WebRtcGate(0, -90), noise(-70)))


def test_a_frame_at_full_scale_is_no_error() -> None:
    WebRtcGate(2, -60).opens(np.full(FRAME_SAMPLES, -FULL_SCALE, np.int16))

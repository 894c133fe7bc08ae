"""The workers get as many threads as their seats suit."""

from __future__ import annotations

import pytest

from tests.cpu.processors import equal, rk3588
from voicebot.config.box import CoreSettings
from voicebot.cpu.box import Box
from voicebot.cpu.seats import seats
from voicebot.daemon import _threads
from voicebot.workers.threads import Threads


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (rk3588(), Threads(asr=4, slm=4, slm_prefill=4, tts=4)),
        (equal(4, smt=2), Threads(asr=2, slm=2, slm_prefill=2, tts=2)),  # eight threads, and four cores
        (equal(2), Threads(asr=2, slm=1, slm_prefill=2, tts=2)),
    ],
)
def test_by_the_seats(box: Box, expected: Threads) -> None:
    assert _threads(CoreSettings(), seats(box)) == expected


def test_what_the_user_says_goes_before_it() -> None:
    cores = CoreSettings(asr_threads=1, slm_threads=3)
    assert _threads(cores, seats(rk3588())) == Threads(asr=1, slm=3, slm_prefill=3, tts=4)
    assert _threads(cores, None).asr == 1

"""How many threads each stage gets."""

from __future__ import annotations

import pytest

from voicebot.config.box import CoreSettings
from voicebot.workers.threads import Threads


@pytest.mark.parametrize(
    ("cores", "heavy", "decode"), [(1, 1, 1), (2, 2, 1), (3, 1, 1), (4, 2, 2), (6, 3, 3), (8, 4, 4), (64, 4, 4)]
)
def test_the_number_of_cores_decides(cores: int, heavy: int, decode: int) -> None:
    assert Threads.choose(CoreSettings(), cores) == Threads(heavy, decode, heavy, heavy)


def test_settings_win() -> None:
    settings = CoreSettings(asr_threads=5, slm_threads=6, slm_prefill_threads=7, tts_threads=8)
    assert Threads.choose(settings, 8) == Threads(5, 6, 7, 8)


def test_the_prefill_follows_what_is_set_for_decoding() -> None:
    assert Threads.choose(CoreSettings(slm_threads=3), 8) == Threads(4, 3, 3, 4)


def test_threads_are_found_by_the_stage() -> None:
    threads = Threads(1, 2, 3, 4)
    assert [threads.of(stage) for stage in ("asr", "slm", "tts", "turn")] == [1, 2, 4, 1]

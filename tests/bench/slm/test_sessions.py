"""What sessions get together, and how evenly."""

from __future__ import annotations

import pytest

from voicebot.bench.slm.sessions import Together


def test_the_total_is_of_all_and_fairness_of_the_slowest() -> None:
    together = Together((10.0, 20.0, 30.0))
    assert together.total == 60.0
    assert together.fairness == pytest.approx(0.5)
    assert Together((7.0,)).fairness == 1

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from voicebot.models.format_choice import choose, loss, median_speed, relative_speed, turn_ms
from voicebot.models.tuned import Figures, Speed


def speed(factor: float = 1.0) -> Speed:
    return Speed(prefill_128_ms=300 * factor, prefill_16_ms=50 * factor, token_ms=7 * factor)


def figures(name: str, factor: float, perplexity: float) -> Figures:
    return Figures(format=name, size=1000, speed=speed(factor), perplexity=perplexity)


INSTALLED = figures("as installed", 1.0, 20.0)


def test_a_turn_is_its_prefills_and_a_first_clause() -> None:
    assert turn_ms(speed()) == pytest.approx(50 + 0.5 * 300 + 16 * 7)


def test_the_fastest_within_the_loss_is_chosen() -> None:
    measured = [INSTALLED, figures("a", 0.6, 20.1), figures("b", 0.4, 20.39), figures("c", 0.2, 20.41)]
    assert choose(measured).format == "b"
    assert choose(measured, most_loss=0.01).format == "a"
    assert choose(measured, most_loss=0.1).format == "c"


def test_the_installed_one_stays_unless_another_is_clearly_faster() -> None:
    assert choose([INSTALLED]) is INSTALLED
    assert choose([INSTALLED, figures("lossy", 0.1, 30.0)]) is INSTALLED
    assert choose([INSTALLED, figures("hardly", 0.98, 19.0)]) is INSTALLED
    assert choose([INSTALLED, figures("clearly", 0.95, 19.0)]).format == "clearly"


def test_a_gain_in_prediction_is_no_loss() -> None:
    assert loss(figures("better", 1, 19.0), INSTALLED) == pytest.approx(-0.05)


candidates = some.lists(some.tuples(some.floats(0.1, 3.0), some.floats(10.0, 40.0)), max_size=8)


@given(candidates, some.floats(0.0, 1.0))
def test_what_is_chosen_is_never_slower_nor_too_lossy(others: list[tuple[float, float]], most_loss: float) -> None:
    measured = [INSTALLED, *(figures(str(i), *other) for i, other in enumerate(others))]
    best = choose(measured, most_loss)
    assert turn_ms(best.speed) <= turn_ms(INSTALLED.speed)
    assert loss(best, INSTALLED) <= most_loss
    # It is what pairwise elimination, which needs no more than two files on the disk, comes to as well.
    kept = INSTALLED
    for candidate in measured[1:]:
        kept = choose([INSTALLED, kept, candidate], most_loss)
    assert turn_ms(kept.speed) == turn_ms(best.speed)


def test_a_slow_minute_does_not_count_against_a_candidate() -> None:
    quiet, busy = (speed(1.0), speed(0.5)), (speed(8.0), speed(4.0))
    one_sided = (speed(1.0), speed(9.0))
    assert relative_speed(speed(2.0), [busy, quiet, one_sided]) == speed(1.0)


def test_the_median_is_of_each_time_by_itself() -> None:
    speeds = [
        Speed(prefill_128_ms=1, prefill_16_ms=9, token_ms=5),
        Speed(prefill_128_ms=2, prefill_16_ms=8, token_ms=6),
        Speed(prefill_128_ms=3, prefill_16_ms=7, token_ms=4),
    ]
    assert median_speed(speeds) == Speed(prefill_128_ms=2, prefill_16_ms=8, token_ms=5)

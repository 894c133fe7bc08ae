"""What is growth and what is noise."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from voicebot.bench.growth import Sample, failures, fit, growth, series, warm
from voicebot.bench.growth_plot import draw, growth_figure
from voicebot.errors import VoicebotError

HOURS = [number / 10 for number in range(241)]


def noise(seed: int, size: float = 0.2) -> list[float]:
    random = Random(seed)  # noqa: S311 - no secret
    return [random.gauss(0, size) for _ in HOURS]


def samples(
    mb_per_hour: float = 0.0, *, tasks_per_hour: float = 0.0, worker_mb_per_hour: float | None = None
) -> list[Sample]:
    return [
        Sample(
            hours=hour,
            turns=round(hour * 180),
            rss_mb=100 + mb_per_hour * hour + off - (20 - 10 * hour if hour < 2 else 0),
            pss_mb={} if worker_mb_per_hour is None else {"asr": 160.0},
            anonymous_mb={} if worker_mb_per_hour is None else {"asr": 150.0 + worker_mb_per_hour * hour},
            tasks=2 + round(tasks_per_hour * hour) + (number % 7 == 0),
            threads=3,
            descriptors=9,
        )
        for number, (hour, off) in enumerate(zip(HOURS, noise(3), strict=True))
    ]


def test_a_line_is_found_with_its_error() -> None:
    line = fit(HOURS, [50 + 0.3 * hour + off for hour, off in zip(HOURS, noise(1), strict=True)])
    assert line.slope == pytest.approx(0.3, abs=3 * line.error)
    assert line.at_start == pytest.approx(50, abs=0.1)
    assert line.error == pytest.approx(0.2 / (len(HOURS) / 12) ** 0.5 / 24, rel=0.3)  # of independent samples
    assert line.rises


def test_noise_is_no_slope() -> None:
    rising = sum(fit(HOURS, noise(seed)).rises for seed in range(100))
    assert rising <= 8  # two standard errors: about 2 of 100 on this side


def test_what_is_taken_in_steps_is_known_less_surely() -> None:
    walk, at = [], 0.0
    for off in noise(5):
        at = 0.95 * at + off
        walk.append(at)
    independent = [walk[(number * 97) % len(walk)] for number in range(len(walk))]
    assert fit(HOURS, walk).error > 3 * fit(HOURS, independent).error


def test_little_is_no_line() -> None:
    assert fit([], []).slope == 0
    assert fit([0.0, 1.0], [3.0, 9.0]).rises is False
    assert fit(HOURS, [7.0] * len(HOURS)).rises is False
    assert fit(HOURS, [7 + hour for hour in HOURS]).rises is True


def test_the_warm_up_is_not_judged() -> None:
    flat = samples()
    assert warm(flat)[0].hours == pytest.approx(4.8, abs=0.11)
    assert failures(growth(flat), 0.05) == []


def test_memory_that_grows_is_named() -> None:
    (sentence,) = failures(growth(samples(0.2)), 0.05)
    assert sentence.startswith("daemon_rss grows by 0.2")
    (sentence,) = failures(growth(samples(worker_mb_per_hour=1.5)), 0.05)
    assert sentence == "workers_allocated grows by 1.5 ± 0.0 MB an hour."
    assert failures(growth(samples(0.2, worker_mb_per_hour=0.1)), 1.0) == []


def test_a_task_that_is_left_behind_is_found_among_those_that_come_and_go() -> None:
    assert failures(growth(samples(tasks_per_hour=1)), 0.05) == ["16 tasks in the second half, 7 in the first."]


def test_too_little_is_not_judged() -> None:
    assert failures(growth(samples()[:5]), 9.0) == [
        "4 samples after the warm-up are too few to judge; let it run for longer."
    ]


def test_the_series_are_whole() -> None:
    values = series(samples(worker_mb_per_hour=0.0))
    assert {len(each) for each in values.values()} == {len(HOURS)}
    assert values["asr_allocated_mb"][-1] == 150
    assert series([]) == {"hours": [], "turns": [], "rss_mb": [], "tasks": [], "threads": [], "descriptors": []}


def test_a_picture_has_workers_where_there_are_some(tmp_path: Path) -> None:
    assert len(growth_figure(samples()).axes) == 2
    assert len(growth_figure(samples(worker_mb_per_hour=0.0)).axes) == 3
    draw(samples(), tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(VoicebotError, match="can't be written"):
        draw(samples(), tmp_path / "missing" / "one.png")
    with pytest.raises(VoicebotError, match="can't be written"):
        draw(samples(), tmp_path / "one.xyz")

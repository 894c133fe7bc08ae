"""What is known of one core holds for all of its kind."""

from __future__ import annotations

import pytest

from tests.cpu.processors import costs, equal, rk3588, unknown
from voicebot.cpu.box import Box
from voicebot.cpu.demand import Work
from voicebot.cpu.forecast import Forecast
from voicebot.cpu.placement import Seat
from voicebot.cpu.seats import seats

WORK = Work("tts", 40)
LITTLE = Seat((0, 1, 2, 3), 4)


def home(box: Box) -> Seat:
    return seats(box).seats["tts"]


def test_the_cost_on_one_cluster_is_that_on_all_alike() -> None:
    board = Forecast(rk3588(), costs(), 0.0)
    one_cluster = Seat((6, 7), 2)
    curve = board.curve(WORK, home(rk3588()))
    assert curve is not None
    assert curve == board.curve(WORK, one_cluster)
    assert curve.top_s == pytest.approx(costs()["tts", "policy4"].careful_seconds(40, 2.4))


@pytest.mark.parametrize("forecast", [Forecast(rk3588(), {}, 0.0), Forecast(unknown(8), costs("all"), 0.0)])
def test_without_a_cost_or_a_frequency_nothing_is_foretold(forecast: Forecast) -> None:
    assert forecast.curve(WORK, home(forecast.box)) is None


def test_what_is_known_of_big_cores_says_nothing_of_little_ones() -> None:
    big_only = {key: cost for key, cost in costs().items() if key[1] == "policy4"}
    assert Forecast(rk3588(), big_only, 0.0).curve(WORK, LITTLE) is None
    assert Forecast(rk3588(), big_only, 0.0).energy(WORK, LITTLE, 1.0) is None


def test_energy_is_power_times_time_of_all_threads() -> None:
    board = Forecast(rk3588(), costs(), 0.0)
    seconds = costs()["tts", "policy4"].seconds(40, 1.2)
    assert board.energy(WORK, home(rk3588()), 0.5) == pytest.approx(4 * 1024 * 0.675**2 * 1_200_000 * seconds)
    assert board.energy(WORK, Seat((4, 5, 6, 7), 1), 0.5) == pytest.approx(1024 * 0.675**2 * 1_200_000 * seconds)


def test_without_voltages_there_is_no_energy() -> None:
    assert Forecast(equal(8), costs("policy7"), 0.0).energy(WORK, home(equal(8)), 1.0) is None

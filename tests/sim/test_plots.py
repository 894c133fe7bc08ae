"""Pictures: what is in them, and what happens where they can't be made."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from voicebot.errors import VoicebotError
from voicebot.sim import plots
from voicebot.sim.chip import rk3588
from voicebot.sim.compare import regimes
from voicebot.sim.costs import SLM_1_5B
from voicebot.sim.plots import check_matplotlib, draw, latency_against_energy, temperature_over_time, turn_timeline
from voicebot.sim.study import Question, Study, first_turn, study


@pytest.fixture(scope="module")
def done() -> Study:
    three = regimes(rk3588(), ["voicebot", "performance", "powersave"])
    return study(Question(rk3588(), SLM_1_5B, 1, 90.0, 1, three), lambda _what: None)


def test_a_study_becomes_three_pictures_in_two_formats(done: Study, tmp_path: Path) -> None:
    files = draw(done, tmp_path / "new" / "folder")
    assert [file.name for file in files] == [
        f"rk3588-1-{what}.{kind}" for what in ("energy", "heat", "turn") for kind in ("png", "svg")
    ]
    for file in files:
        if file.suffix == ".png":
            assert file.read_bytes().startswith(b"\x89PNG")
        else:
            assert ET.parse(file).getroot().tag.endswith("svg")  # noqa: S314 - it was just written


def test_every_governor_is_a_point_and_the_front_leaves_ours_out(done: Study) -> None:
    axes = latency_against_energy("title", done.rows).axes[0]
    front, *points = axes.lines
    assert [text.get_text() for text in axes.texts] == ["voicebot", "performance", "powersave"]
    assert len(points) == 3
    assert np.asarray(front.get_xdata()).tolist() == [done.rows[1].p95_ms, done.rows[2].p95_ms]


def test_temperatures_are_one_line_each_and_the_trip_only_if_it_is_near(done: Study) -> None:
    cool = temperature_over_time("title", done.outcomes, trip_c=85.0).axes[0]
    hot = temperature_over_time("title", done.outcomes, trip_c=45.0).axes[0]
    assert len(cool.lines) == 3
    assert len(hot.lines) == 4


def test_a_turn_shows_stages_frequencies_and_power(done: Study) -> None:
    detailed = first_turn(done.question, done.outcomes[0])
    stages, clocks, power = turn_timeline("title", detailed, detailed.turns[0]).axes
    labels = [label.get_text() for label in stages.get_yticklabels()]
    assert labels == ["recognition", "reading", "decoding", "synthesis", "end of turn"]
    assert len(stages.patches) >= 5
    assert [line.get_label() for line in clocks.lines] == ["policy0", "policy4, policy6"]
    assert np.asarray(power.lines[0].get_ydata()).max() > 3


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_matplotlib()
    monkeypatch.setattr(plots, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    with pytest.raises(
        VoicebotError, match=r"^plots need matplotlib; install it with: pip install 'voicebot\[plots\]'"
    ):
        check_matplotlib()


def test_a_folder_that_cannot_be_written_is_an_error(done: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VoicebotError, match="the plots can't be written"):
        draw(done, tmp_path / "file")

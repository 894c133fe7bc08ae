"""Every scenario that ships comes out as it expects, with scripted engines behind the real voice detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

SCENARIOS = sorted((Path(__file__).parents[2] / "fixtures/scenarios").glob("*.toml"))


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 15


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_comes_out_as_it_expects(run: Run, scenario: Path) -> None:
    (judged,) = run("replay", "--pipeline", "scripted", scenario, "--json").json()["scenarios"]
    assert judged["missed"] == []

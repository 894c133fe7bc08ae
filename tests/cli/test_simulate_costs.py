"""`voicebot simulate --costs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

QUICK = ("simulate", "--costs", "--minutes", 2)


def test_what_would_be_learnt_is_told_beside_the_truth(run: Run) -> None:
    result = run(*QUICK, "--json").json()
    assert (result["schema"], result["box"], result["model"], result["minutes"]) == (1, "rk3588", "1.5B Q4", 2)
    assert list(result["runs"]) == ["voicebot", "fixed frequencies"]
    for found in result["runs"].values():
        assert {each["stage"] for each in found} == {"asr", "slm_read", "slm", "tts", "turn"}
        for each in found:
            share = each["fitted"]["gcycles_per_unit"] / each["true"]["gcycles_per_unit"]
            assert each["error"] == pytest.approx(share - 1, abs=1e-4)


def test_people_see_two_tables(run: Run) -> None:
    done = run(*QUICK, "--box", "x86")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "x86_8core, 1.5B Q4, 2 minutes each, seed 1"
    assert [line.split("  ")[0] for line in lines if "c fitted" in line] == ["voicebot", "fixed frequencies"]


def test_it_is_for_one_user(run: Run) -> None:
    run(*QUICK, "--users", 2).failed(2, "--costs is for one user: requests of several hinder each other.")

"""How a reply is cut on boxes of different speed."""

from __future__ import annotations

from voicebot.config.pipeline import LadderSettings
from voicebot.sim.chip import rk3588, x86_8core
from voicebot.sim.costs import SLM_1_5B, SLM_2B, SMOLLM2_135M
from voicebot.sim.shape import Shapes, cut

CLAUSES = (8, 11, 12, 9)


def test_what_the_first_clause_loses_is_spoken_with_the_next() -> None:
    assert cut(CLAUSES, 100, 100) == CLAUSES
    assert cut(CLAUSES, 4, 100) == (4, 15, 12, 9)
    assert cut(CLAUSES, 4, 10) == (4, 10, 5, 10, 2, 9)
    assert cut((8,), 5, 10) == (5, 3)
    assert cut((3,), 5, 10) == (3,)


def test_a_fast_box_cuts_nothing() -> None:
    assert Shapes(x86_8core(), SMOLLM2_135M, 4).cut(CLAUSES, 0.5) == CLAUSES


def test_a_slow_one_begins_sooner_unless_it_has_no_ladder() -> None:
    cuts = Shapes(rk3588(), SLM_1_5B, 4).cut(CLAUSES, 0.4)
    assert cuts[0] < CLAUSES[0]
    assert sum(cuts) == sum(CLAUSES)
    assert Shapes(rk3588(), SLM_1_5B, 4, LadderSettings(enabled=False)).cut(CLAUSES, 0.4) == CLAUSES


def test_beside_others_the_first_clause_covers_the_slower_next_one() -> None:
    alone, beside = Shapes(x86_8core(), SLM_2B, 4), Shapes(x86_8core(), SLM_2B, 4)
    with beside.costs.asking("slm"), beside.costs.asking("slm"), beside.costs.asking("slm"):
        assert beside.cut(CLAUSES, 0.3)[0] > alone.cut(CLAUSES, 0.3)[0]

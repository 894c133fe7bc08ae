"""Figures, their limits, and what of them is printed."""

from __future__ import annotations

from voicebot.bench.slm.report import Limit, Part, missed, rounded


def test_a_figure_is_held_against_its_bounds() -> None:
    assert Limit("ms", 30.0, at_most=30).met
    assert not Limit("ms", 30.1, at_most=30).met
    assert Limit("ratio", 0.97, at_least=0.97).met
    assert not Limit("ratio", 0.96, at_least=0.97).met
    assert [Limit("share", value, 1.1, 0.9).met for value in (0.8, 1.0, 1.2)] == [False, True, False]


def test_what_could_not_be_measured_is_missed() -> None:
    parts = {"stop": Part({}, [Limit("p95", None, at_most=30), Limit("p50", 1.0, at_most=30)]), "decode": Part({})}
    assert missed(parts) == ["stop: p95"]


def test_json_has_tables_and_limits_with_few_digits() -> None:
    rows = [{"k": 1, "ms": 11.81234}, {"k": 32, "ms": 181.44}]
    assert Part({"v(k)": rows}, [Limit("p50 ms", 0.51239, at_most=1.0)]).as_json() == {
        "v(k)": [{"k": 1, "ms": 11.812}, {"k": 32, "ms": 181.4}],
        "limits": [{"figure": "p50 ms", "value": 0.512, "at_most": 1.0, "met": True}],
    }


def test_counts_and_words_are_left_as_they_are() -> None:
    assert [rounded(value) for value in (1234, "yes", None, 0.00049)] == [1234, "yes", None, 0.0]

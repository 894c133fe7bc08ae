from __future__ import annotations

from itertools import pairwise, takewhile

import pytest

from voicebot.sim.script import FIRST_CLAUSE_TOKENS, REPLY_TOKENS, scripts


def test_requests_are_a_poisson_process() -> None:
    seconds = 200_000.0
    begins = [script.begin_s for script in scripts(1, 1, seconds)]
    gaps = [after - before for before, after in pairwise(begins)]
    assert len(begins) == pytest.approx(seconds / 20, rel=0.03)
    mean_s = sum(gaps) / len(gaps)
    spread = (sum((gap - mean_s) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread / mean_s == pytest.approx(1.0, abs=0.05)


def test_the_same_seed_says_the_same_and_another_something_else() -> None:
    assert list(scripts(1, 2, 600.0)) == list(scripts(1, 2, 600.0))
    assert list(scripts(1, 2, 600.0)) != list(scripts(2, 2, 600.0))
    assert list(scripts(1, 2, 600.0)) != list(scripts(1, 3, 600.0))


def test_a_longer_hour_begins_as_a_shorter_one() -> None:
    short = list(scripts(1, 1, 300.0))
    assert list(takewhile(lambda script: script.begin_s < 300.0, scripts(1, 1, 3600.0))) == short


def test_people_speak_three_seconds_and_pause_less_than_at_the_end() -> None:
    spoken = []
    for script in scripts(3, 1, 40_000.0):
        spoken.append(sum(end - begin for begin, end in script.speech))
        assert all(before[1] < after[0] for before, after in pairwise(script.speech))
        assert 0.032 <= script.soft_end_s <= 0.096
        assert 0.200 <= script.endpoint_s <= 0.640
        assert sum(script.clause_tokens) == REPLY_TOKENS
        assert script.clause_tokens[0] == FIRST_CLAUSE_TOKENS
        assert min(script.clause_tokens) > 0
    assert sum(spoken) / len(spoken) == pytest.approx(3.0, abs=0.1)

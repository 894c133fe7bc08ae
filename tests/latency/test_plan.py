"""How a reply is cut so that neither its first sound nor what follows it is late."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from voicebot.config.pipeline import ClauseSettings
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.plan import Ladders


class Stopped:
    def now_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        raise AssertionError(duration_s)


def costs(token_s: float) -> Costs:
    """Return those of a box that decodes a token in so long, and has the first sound of a clause 0.1 s later."""
    known = {
        "slm_read": StageCost(0.1, 0.0, 0.0),
        "slm": StageCost(0.0, token_s, 0.0),
        "tts_first": StageCost(0.1, 0.0, 0.0),
    }
    keys = {stage: FitKey(stage, "model", "core", 4) for stage in known}
    return Costs(Stopped(), keys, {keys[stage]: cost for stage, cost in known.items()})


def shaped(token_s: float, left_s: float, others: int = 0) -> ClauseSettings:
    """Return how a reply is cut that is due in so long, while others are answered."""
    box = costs(token_s)
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(box.asking("slm"))
        return Ladders(box).plan(lambda: left_s).shape(40, ClauseSettings(), 60).clauses


def test_a_fast_box_speaks_whole_sentences_whatever_the_hurry() -> None:
    assert shaped(0.01, 9.0) == ClauseSettings()
    assert shaped(0.01, 0.0) == ClauseSettings(first_words=3)


@pytest.mark.parametrize(("token_s", "first_words", "later_words"), [(0.04, 3, 12), (0.06, 3, 8), (0.07, 3, 7)])
def test_what_follows_a_short_beginning_is_there_when_that_has_been_heard(
    token_s: float, first_words: int, later_words: int
) -> None:
    """Three words are heard for a second, of which a fifth is left over and a tenth is for synthesis."""
    cut = shaped(token_s, 0.0)
    assert (cut.first_words, cut.later_words) == (first_words, later_words)
    assert 1.4 * token_s * later_words + 0.1 <= 0.8 * first_words / 3.0


def test_a_beginning_is_not_too_short_to_cover_what_follows() -> None:
    assert shaped(0.1, 0.0).first_words == 5
    assert shaped(0.3, 0.0) == ClauseSettings(first_words=8, later_words=6)


def test_beside_others_more_is_to_be_covered() -> None:
    assert [shaped(0.04, 0.0, others).first_words for others in (0, 1, 3, 6)] == [3, 3, 5, 8]
    assert shaped(0.04, 9.0, 9).first_words == 8

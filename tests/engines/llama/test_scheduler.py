"""Who computes what in a step: all that reply, those that read by their deadlines, and nobody waits for ever."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.llama.scheduler import Limits, Need, share_out

LIMITS = Limits(most=256, shared=40)


def replying() -> Need:
    return Need(1, True, 0.0, math.inf)


def reading(tokens: int, deadline_s: float = math.inf, arrived_s: float = 0.0) -> Need:
    return Need(tokens, False, arrived_s, deadline_s)


def test_one_alone_reads_as_much_as_a_step_holds() -> None:
    assert share_out([reading(1000)], LIMITS) == [256]
    assert share_out([reading(30)], LIMITS) == [30]
    assert share_out([replying()], LIMITS) == [1]
    assert share_out([], LIMITS) == []


def test_nobody_who_replies_waits_for_those_that_read() -> None:
    assert share_out([replying(), reading(1000), replying()], LIMITS) == [1, 38, 1]
    assert share_out([replying()] * 60 + [reading(1000)], LIMITS) == [1] * 60 + [8]


def test_the_earliest_deadline_is_first() -> None:
    assert share_out([reading(200, 0.9), reading(200, 0.3), reading(200)], LIMITS) == [56, 200, 0]
    assert share_out([replying(), reading(30, 0.9), reading(30, 0.3)], LIMITS) == [1, 9, 30]


def test_who_has_waited_longest_is_first_in_the_end() -> None:
    patient = reading(100, arrived_s=0.0)
    newcomers = [reading(256, arrived_s + 0.3, arrived_s) for arrived_s in (0.5, 0.9)]
    assert share_out([patient, newcomers[0]], LIMITS) == [0, 256]  # wanted at 0.8 s
    assert share_out([patient, newcomers[1]], LIMITS) == [100, 156]  # wanted at 1.2 s


@given(
    st.lists(
        st.builds(
            Need,
            tokens=st.integers(1, 5000),
            replying=st.booleans(),
            arrived_s=st.floats(0, 100),
            deadline_s=st.floats(0, 100) | st.just(math.inf),
        ),
        max_size=40,
    ),
    st.integers(1, 300),
)
def test_every_step_is_within_its_limits_and_goes_on(needs: list[Need], shared: int) -> None:
    limits = Limits(most=256, shared=shared)
    shares = share_out(needs, limits)
    some_reply = any(need.replying for need in needs)
    replies = sum(need.replying for need in needs)
    assert all(share == 1 for share, need in zip(shares, needs, strict=True) if need.replying)
    assert all(0 <= share <= need.tokens or need.replying for share, need in zip(shares, needs, strict=True))
    assert sum(shares) <= (min(256, max(shared, replies + limits.least)) if some_reply else 256)
    assert not needs or sum(shares) > 0
    read = [share for share, need in zip(shares, needs, strict=True) if not need.replying]
    assert not read or sum(read) > 0

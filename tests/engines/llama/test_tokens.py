"""How many tokens two sequences begin with alike."""

from __future__ import annotations

import pytest

from voicebot.engines.llama.tokens import common_prefix


@pytest.mark.parametrize(
    ("left", "right", "length"), [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 2], 2), ([1, 5, 3], [1, 2, 3], 1)]
)
def test_it_ends_at_the_first_difference_or_with_the_shorter(left: list[int], right: list[int], length: int) -> None:
    assert common_prefix(left, right) == common_prefix(tuple(right), left) == length

"""What makes a request complex, and that the score says why."""

from __future__ import annotations

import pytest

from voicebot.assistant.complexity import complexity
from voicebot.config.tiers import RouterSettings

RULES = RouterSettings()


@pytest.mark.parametrize(
    ("text", "points", "reasons"),
    [
        ("", 0, ()),
        ("What time is it?", 0, ()),
        ("What is the capital of France?", 0, ()),
        ("How are you?", 0, ()),
        ("How many times did it rain?", 0, ()),
        ("Play the song Fifty Ways to Leave Your Lover.", 0, ()),
        ("Why is the sky blue?", 2, ("reasoning",)),
        ("why", 2, ("reasoning",)),
        ("How does a refrigerator work?", 2, ("reasoning",)),
        ("What's the difference between a crow and a raven?", 2, ("reasoning",)),
        ("WHAT'S TWELVE TIMES SEVEN", 2, ("arithmetic",)),
        ("What is 12 * 7?", 2, ("arithmetic",)),
        ("what is 15% of 80", 2, ("arithmetic",)),
        ("What is the square root of 81?", 2, ("arithmetic",)),
        ("What is the capital of France? And who lives there?", 2, ("parts",)),
        ("Play some jazz and then read me the news", 2, ("parts",)),
        ("Set a timer for ten minutes.", 1, ("tools",)),
        ("Set a timer, and turn on the light.", 2, ("tools",)),
        ("Tell me a thing that you have always wanted to tell me but never did tell me", 1, ("long",)),
        ("yes and no and maybe or not", 1, ("clauses",)),
        (
            "Explain why a plane flies if it is heavier than air, and compare it to birds, which flap, and also kites",
            6,
            ("long", "clauses", "reasoning", "parts"),
        ),
    ],
)
def test_a_request_has_points_for_reasons(text: str, points: int, reasons: tuple[str, ...]) -> None:
    scored = complexity(text, RULES)
    assert (scored.points, scored.reasons) == (points, reasons)


def test_whatever_is_said_is_scored_in_no_time() -> None:
    assert complexity("why " * 10_000, RULES).points == 4
    assert complexity("?!... \N{GRINNING FACE} \x00", RULES).points == 0

"""Predicted times beside measured ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from voicebot.errors import VoicebotError
from voicebot.sim.here import here
from voicebot.sim.validation import Pair, Spoken, clause_tokens, predict, read_replay, validate

MARKS = {
    "soft_end": 60.0,
    "asr_final": 160.0,
    "committed": 300.0,
    "slm_first_token": 200.0,
    "slm_first_clause": 300.0,
    "tts_first_audio": 350.0,
    "audible": 370.0,
}


def turn(**more: Any) -> dict[str, Any]:
    whole = {"user": "what is the capital of France", "reply": "Paris is the capital.", "marks_ms": MARKS}
    return {**whole, "source": "slm", "interrupted": False, **more}


def written(tmp_path: Path, *turns: dict[str, Any]) -> Path:
    file = tmp_path / "replay.json"
    file.write_text(json.dumps({"turns": turns}))
    return file


def test_only_turns_that_the_model_answered_to_the_end_are_read(tmp_path: Path) -> None:
    silent = turn(marks_ms={**MARKS, "audible": None})
    spoken = read_replay(written(tmp_path, turn(), turn(source="intent"), turn(interrupted=True), silent))
    assert [(each.words, each.clause_tokens) for each in spoken] == [(6, (5,))]
    assert spoken[0].marks_ms == {**{k: v for k, v in MARKS.items() if k != "slm_first_token"}, "speech_end": 0.0}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"turns": [{}]}', '{"turns": 3}'])
def test_anything_else_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(VoicebotError, match="no output of `voicebot replay --json`"):
        read_replay(file)
    with pytest.raises(VoicebotError, match="has no turn"):
        read_replay(written(tmp_path, turn(source="intent")))


def test_the_end_of_a_turn_is_taken_from_the_measurement() -> None:
    """The commit is later than the first audio here, so the reply is heard 20 ms after it on any machine."""
    late = Spoken(6, (5,), {**MARKS, "speech_end": 0.0, "soft_end": 50.0, "committed": 1500.0})
    for cores in (1, 2):
        (marks,) = predict(here(cores), [late], 1)
        assert marks["soft_end"] == pytest.approx(50.0)
        assert marks["audible"] == pytest.approx(1520.0)


@pytest.mark.parametrize(
    ("reply", "most", "tokens"),
    [
        ("Paris.", 8, (2,)),
        ("To boil an egg, you need to heat it up with salt.", 8, (5, 9)),
        ("To boil an egg, you need to heat it up with salt.", 3, (3, 11)),
        ("17 + 25 = 42.", 3, (5, 4)),
        ("Yes, it is.", 8, (5,)),
        ("", 8, (1,)),
    ],
)
def test_a_reply_is_cut_as_the_service_does(reply: str, most: int, tokens: tuple[int, ...]) -> None:
    assert clause_tokens(reply, most) == tokens


def test_the_rung_that_was_taken_is_in_the_measurement(tmp_path: Path) -> None:
    long = turn(reply="The sunset on the moon is a breathtaking sight.", ladder={"first clause": "3 words"})
    assert read_replay(written(tmp_path, long))[0].clause_tokens == (3, 7)


def test_one_core_takes_longer_than_two() -> None:
    spoken = [Spoken(6, (8, 4), {**MARKS, "speech_end": 0.0})] * 5
    one, two = validate(spoken, 1, 1), validate(spoken, 2, 1)
    name = "first audio after the soft end"
    assert one.quantiles_ms[name]["p50"].predicted > 1.1 * two.quantiles_ms[name]["p50"].predicted
    assert one.quantiles_ms[name]["p50"].measured == pytest.approx(290.0)
    assert (one.cores, one.turns) == (1, 5)
    assert all(math.isfinite(pair.predicted) for of in two.quantiles_ms.values() for pair in of.values())


def test_a_difference_is_relative_to_what_was_measured() -> None:
    assert Pair(measured=100.0, predicted=90.0).difference == pytest.approx(-0.1)

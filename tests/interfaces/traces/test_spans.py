"""A turn becomes a trace: what lasts how long, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from voicebot.audio import samples_from_ms
from voicebot.events import TurnEnded, TurnEnergy
from voicebot.interfaces.traces.spans import Moment, TurnTrace, trace

ENDED_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def at(ms: float) -> int:
    """Return a sample by its distance from the end of the user's speech."""
    return samples_from_ms(5000 + ms)


def turn(**changes: Any) -> TurnEnded:
    marks = {"soft_end": 100, "asr_final": 250, "committed": 300, "slm_first_token": 320, "slm_first_clause": 400}
    marks |= {"tts_first_audio": 500, "audible": 520}
    fields: dict[str, Any] = {
        "session": "kitchen",
        "turn": 3,
        "revisions": 2,
        "user": "what is the capital of france",
        "reply": "It is Paris.",
        "heard": "It is",
        "source": "slm",
        "interrupted": True,
        "speech_end_sample": at(0),
        "marks": {name: at(ms) for name, ms in marks.items()},
        "stage_ms": {},
        "over_budget": ("endpoint",),
        "error": None,
        "missed": {"endpoint": "doubt"},
        "ladder": {"reply": "short"},
        "requests_ms": (("asr", 160.0, 150.0), ("tts", 90.0, 100.0), ("asr", 50.0, 40.0)),
    }
    return TurnEnded(**(fields | changes))


def traced(energy: TurnEnergy | None = None, *, texts: bool = False, **changes: Any) -> TurnTrace:
    """Return the trace of a turn that ended 2 s after the user."""
    return trace(turn(**changes), Moment(at(2000), ENDED_NS), energy, texts=texts)


def test_the_whole_lasts_from_the_users_last_sound_to_the_end_of_the_reply() -> None:
    whole = traced().whole
    assert (whole.name, whole.end_ns) == ("turn", ENDED_NS)
    assert whole.begin_ns == ENDED_NS - 2000 * MS


def test_each_stage_lasts_from_mark_to_mark() -> None:
    found = traced()
    spans_ms = {
        one.name: ((one.begin_ns - found.whole.begin_ns) / MS, (one.end_ns - found.whole.begin_ns) / MS)
        for one in found.stages
    }
    assert spans_ms == {
        "endpoint": (0, 300),
        "asr": (100, 250),
        "slm": (250, 400),
        "tts": (400, 500),
        "playback": (520, 2000),
    }
    assert found.marks_ns["slm_first_token"] == ENDED_NS - (2000 - 320) * MS


def test_a_late_stage_says_why() -> None:
    attributes = {one.name: one.attributes for one in traced().stages}
    assert attributes["endpoint"] == {"voicebot.over_budget": True, "voicebot.missed": "doubt"}
    assert attributes["asr"] == {"voicebot.over_budget": False}


def test_the_whole_has_the_figures_of_the_turn_and_no_words() -> None:
    assert traced(TurnEnergy("kitchen", 3, 4.5, measured=True)).whole.attributes == {
        "voicebot.session": "kitchen",
        "voicebot.turn": 3,
        "voicebot.source": "slm",
        "voicebot.revisions": 2,
        "voicebot.interrupted": True,
        "voicebot.over_budget": ("endpoint",),
        "voicebot.voice_to_voice_ms": 520.0,
        "voicebot.missed.endpoint": "doubt",
        "voicebot.ladder.reply": "short",
        "voicebot.requests.asr.p90_ms": (160.0, 50.0),
        "voicebot.requests.asr.took_ms": (150.0, 40.0),
        "voicebot.requests.tts.p90_ms": (90.0,),
        "voicebot.requests.tts.took_ms": (100.0,),
        "voicebot.energy_j": 4.5,
        "voicebot.energy_measured": True,
    }


def test_words_are_told_on_request() -> None:
    attributes = traced(texts=True).whole.attributes
    words = [attributes[f"voicebot.{name}"] for name in ("user", "reply", "heard")]
    assert words == ["what is the capital of france", "It is Paris.", "It is"]


def test_what_did_not_happen_has_no_span() -> None:
    found = traced(marks={"soft_end": at(100)}, error="the asr worker died.")
    assert found.stages == ()
    assert found.error == "the asr worker died."
    assert "voicebot.voice_to_voice_ms" not in found.whole.attributes


@pytest.mark.parametrize("marks", [{}, {"slm_first_clause": at(0), "tts_first_audio": at(-300), "audible": at(2500)}])
def test_no_span_ends_before_it_begins_and_all_are_inside_of_the_whole(marks: dict[str, int]) -> None:
    found = traced(marks=marks)
    for one in (found.whole, *found.stages):
        assert found.whole.begin_ns <= one.begin_ns <= one.end_ns <= found.whole.end_ns

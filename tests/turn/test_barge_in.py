"""What is said over a reply: meant to stop it, or not, or not to be told yet. With the rules that are shipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.config.pipeline import BargeInSettings
from voicebot.pipeline.rules import barge_in_rules
from voicebot.turn.barge_in import Overheard, Verdict, is_command_only, judge

SETTINGS = BargeInSettings()
RULES = barge_in_rules(SETTINGS)
REPLY = "The capital of France is Paris, and it is the largest city of the country."
MEANT, NOT_MEANT, OPEN = Verdict.MEANT, Verdict.NOT_MEANT, Verdict.OPEN
SHORT_MS, LONG_MS = 350.0, SETTINGS.sure_ms
SURE, UNSURE = SETTINGS.sure_logprob, SETTINGS.sure_logprob - 0.01


def verdict(text: str, duration_ms: float, *, ended: bool, reply: str = REPLY, mean_logprob: float = SURE) -> Verdict:
    return judge(Overheard(text, mean_logprob, duration_ms, ended), reply, RULES)


@pytest.mark.parametrize("text", [*SETTINGS.commands, "Stop!", "WAIT, what about Spain?", "cancel the timer"])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("duration_ms", [SHORT_MS, LONG_MS, 5000])
def test_a_command_always_stops_the_reply(text: str, ended: bool, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=ended) is MEANT


@pytest.mark.parametrize("text", ["stop", "wait a minute"])
def test_a_command_wins_even_when_the_reply_has_the_same_words(text: str) -> None:
    assert verdict(text, SHORT_MS, ended=False, reply=f"They {text} for the bus.") is MEANT


@pytest.mark.parametrize(
    "text", [*SETTINGS.backchannels, "Right, okay.", "mm-hm mm-hm", "Yeah, yeah, yeah, okay.", "Oh, I see!"]
)
@pytest.mark.parametrize("duration_ms", [SHORT_MS, LONG_MS, 3000])
def test_a_backchannel_never_stops_it(text: str, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=True) is NOT_MEANT
    assert verdict(text, duration_ms, ended=False) is OPEN


@pytest.mark.parametrize(
    ("text", "duration_ms", "so_far"),
    [
        ("what", SHORT_MS, OPEN),
        ("yeah but", SHORT_MS, OPEN),
        ("what about Spain", SHORT_MS, MEANT),  # as many words as decide
        ("what about", LONG_MS, MEANT),  # as long as decides
        ("right so what", SHORT_MS, MEANT),
        ("Who?", LONG_MS - 1, OPEN),
    ],
)
def test_other_words_stop_it_when_they_are_enough_or_when_they_end(
    text: str, duration_ms: float, so_far: Verdict
) -> None:
    assert verdict(text, duration_ms, ended=False) is so_far
    assert verdict(text, duration_ms, ended=True) is MEANT


@pytest.mark.parametrize("text", ["", " ", "...", "?!"])
def test_a_noise_has_no_words(text: str) -> None:
    assert verdict(text, SETTINGS.wordless_ms - 1, ended=False) is OPEN
    assert verdict(text, SETTINGS.wordless_ms, ended=False) is NOT_MEANT
    assert verdict(text, SHORT_MS, ended=True) is NOT_MEANT


@pytest.mark.parametrize("text", ["the capital of France", "France is Paris and", "Paris", "capital off France is"])
@pytest.mark.parametrize("duration_ms", [SHORT_MS, 4000])
def test_our_own_echo_never_stops_it(text: str, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=True) is NOT_MEANT
    assert verdict(text, duration_ms, ended=False) is OPEN


@pytest.mark.parametrize("text", ["what is the capital of Spain", "is it the largest one in Europe"])
def test_a_question_with_some_of_the_replys_words_stops_it(text: str) -> None:
    assert verdict(text, LONG_MS, ended=True) is MEANT


@pytest.mark.parametrize("text", ["what", "I think so too", "you", "Thank you."])
def test_words_that_the_recogniser_is_unsure_of_stop_it_only_when_the_sound_is_long(text: str) -> None:
    for duration_ms in (SHORT_MS, LONG_MS, SETTINGS.wordless_ms - 1):
        assert verdict(text, duration_ms, ended=False, mean_logprob=UNSURE) is OPEN
        assert verdict(text, duration_ms, ended=True, mean_logprob=UNSURE) is NOT_MEANT
    assert verdict(text, SETTINGS.wordless_ms, ended=False, mean_logprob=UNSURE) is MEANT


def test_a_command_stops_it_however_unsure_the_recogniser_is() -> None:
    assert verdict("stop", SHORT_MS, ended=False, mean_logprob=-9) is MEANT


def test_without_a_reply_nothing_is_an_echo() -> None:
    assert verdict("Paris", SHORT_MS, ended=True, reply="") is MEANT


TEXTS = st.lists(
    st.sampled_from([*SETTINGS.commands, *SETTINGS.backchannels, *REPLY.split(), "what", "about", "Spain", "no"]),
    max_size=6,
).map(" ".join)


@given(TEXTS, st.floats(0, 10_000), st.floats(-3, 0))
def test_at_its_end_there_is_a_verdict(text: str, duration_ms: float, mean_logprob: float) -> None:
    assert verdict(text, duration_ms, ended=True, mean_logprob=mean_logprob) is not OPEN


@given(TEXTS, st.floats(0, 10_000), st.floats(-3, 0))
def test_a_verdict_that_is_given_early_is_the_one_at_the_end(
    text: str, duration_ms: float, mean_logprob: float
) -> None:
    so_far = verdict(text, duration_ms, ended=False, mean_logprob=mean_logprob)
    assert so_far in {OPEN, verdict(text, duration_ms, ended=True, mean_logprob=mean_logprob)}


@given(TEXTS, st.floats(0, 10_000), st.floats(0, 10_000))
def test_what_was_meant_stays_meant_as_time_passes(text: str, duration_ms: float, more_ms: float) -> None:
    if verdict(text, duration_ms, ended=False) is MEANT:
        assert verdict(text, duration_ms + more_ms, ended=False) is MEANT


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("Stop.", True),
        ("Stop, stop it!", True),
        ("Wait a minute.", True),
        ("Please stop.", True),
        ("Okay, stop.", False),
        ("Wait, what about Spain?", False),
        ("Cancel the timer.", False),
        ("", False),
        ("...", False),
    ],
)
def test_a_command_alone_needs_no_answer(text: str, so: bool) -> None:
    assert is_command_only(text, RULES) is so

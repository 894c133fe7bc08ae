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
SHORT_MS, LONG_MS = 350.0, float(SETTINGS.sure_ms)
CERTAIN = SETTINGS.certain_logprob
LIKELY = (SETTINGS.certain_logprob + SETTINGS.doubtful_logprob) / 2
DOUBTFUL = SETTINGS.doubtful_logprob - 0.01
SENSE, NONSENSE = SETTINGS.sensible_text_end, SETTINGS.sensible_text_end / 2


def verdict(
    text: str,
    duration_ms: float,
    *,
    ended: bool,
    reply: str = REPLY,
    mean_logprob: float = CERTAIN,
    text_end: float | None = None,
) -> Verdict:
    return judge(Overheard(text, mean_logprob, duration_ms, ended, text_end), reply, RULES)


@pytest.mark.parametrize("text", [*SETTINGS.commands, "Stop!", "WAIT, which of them?", "cancel the timer"])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("duration_ms", [SHORT_MS, LONG_MS, 5000])
def test_a_command_always_stops_the_reply(text: str, ended: bool, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=ended) is MEANT


@pytest.mark.parametrize("text", [*SETTINGS.openings, "No, Spain.", "what about Spain?"])
@pytest.mark.parametrize("ended", [False, True])
def test_so_do_words_that_open_an_objection(text: str, ended: bool) -> None:
    assert verdict(text, SHORT_MS, ended=ended) is MEANT
    assert not is_command_only(text, RULES)


@pytest.mark.parametrize("text", ["stop", "wait a minute", "actually"])
@pytest.mark.parametrize("mean_logprob", [CERTAIN, -9.0])
def test_they_win_whatever_is_being_said_and_however_doubtful_they_are(text: str, mean_logprob: float) -> None:
    reply = f"They {text} for the bus."
    assert verdict(text, SHORT_MS, ended=False, reply=reply, mean_logprob=mean_logprob) is MEANT


@pytest.mark.parametrize(
    "text",
    [*SETTINGS.backchannels, "Right, okay.", "mm-hm mm-hm", "Yeah, yeah, yeah, okay.", "Oh, I see!", "mhnn hmmm"],
)
@pytest.mark.parametrize("duration_ms", [SHORT_MS, LONG_MS])
def test_a_backchannel_never_stops_it(text: str, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=True) is NOT_MEANT
    assert verdict(text, duration_ms, ended=False) is OPEN


@pytest.mark.parametrize("text", ["", " ", "...", "?!", "Mmm", "hm mhm"])
def test_a_noise_and_a_hum_have_no_words(text: str) -> None:
    assert verdict(text, SETTINGS.wordless_ms - 1, ended=False) is OPEN
    assert verdict(text, SETTINGS.wordless_ms, ended=False) is NOT_MEANT
    assert verdict(text, SHORT_MS, ended=True) is NOT_MEANT


@pytest.mark.parametrize("text", ["the capital of France", "France is Paris and", "Paris", "capital off France is"])
@pytest.mark.parametrize("duration_ms", [SHORT_MS, 4000])
def test_our_own_echo_never_stops_it(text: str, duration_ms: float) -> None:
    assert verdict(text, duration_ms, ended=True) is NOT_MEANT
    assert verdict(text, duration_ms, ended=False) is OPEN


@pytest.mark.parametrize("text", ["who is the king of Spain", "is it the largest one in Europe"])
def test_a_question_with_some_of_the_replys_words_stops_it(text: str) -> None:
    assert verdict(text, LONG_MS, ended=False) is MEANT


def test_without_a_reply_nothing_is_an_echo() -> None:
    assert verdict("Paris", SHORT_MS, ended=True, reply="") is MEANT


@pytest.mark.parametrize("text", ["which one", "yeah which", "tell me about Spain"])
class TestOtherWords:
    def test_they_stop_it_when_they_have_lasted_long_enough(self, text: str) -> None:
        assert verdict(text, LONG_MS - 1, ended=False) is OPEN
        for mean_logprob in (CERTAIN, LIKELY):
            assert verdict(text, LONG_MS, ended=False, mean_logprob=mean_logprob) is MEANT
            assert verdict(text, LONG_MS, ended=True, mean_logprob=mean_logprob) is MEANT

    def test_short_ones_stop_it_at_their_end_when_the_recogniser_is_certain(self, text: str) -> None:
        assert verdict(text, SHORT_MS, ended=True) is MEANT

    def test_short_likely_ones_have_to_make_sense(self, text: str) -> None:
        assert verdict(text, SHORT_MS, ended=True, mean_logprob=LIKELY) is OPEN
        assert verdict(text, SHORT_MS, ended=True, mean_logprob=LIKELY, text_end=SENSE) is MEANT
        assert verdict(text, SHORT_MS, ended=True, mean_logprob=LIKELY, text_end=NONSENSE) is NOT_MEANT

    def test_doubtful_ones_stop_it_only_when_the_sound_is_very_long(self, text: str) -> None:
        for duration_ms in (SHORT_MS, LONG_MS, SETTINGS.wordless_ms - 1):
            assert verdict(text, duration_ms, ended=False, mean_logprob=DOUBTFUL) is OPEN
            assert verdict(text, duration_ms, ended=True, mean_logprob=DOUBTFUL) is NOT_MEANT
        assert verdict(text, SETTINGS.wordless_ms, ended=False, mean_logprob=DOUBTFUL) is MEANT


TEXTS = st.lists(
    st.sampled_from(
        [*SETTINGS.commands, *SETTINGS.openings, *SETTINGS.backchannels, *REPLY.split(), "which", "of", "Spain", "mm"]
    ),
    max_size=6,
).map(" ".join)
DURATIONS = st.floats(0, 10_000)
LOGPROBS = st.floats(-3, 0)


@given(TEXTS, DURATIONS, LOGPROBS, st.floats(0, 1))
def test_at_its_end_and_with_its_sense_known_there_is_a_verdict(
    text: str, duration_ms: float, mean_logprob: float, text_end: float
) -> None:
    assert verdict(text, duration_ms, ended=True, mean_logprob=mean_logprob, text_end=text_end) is not OPEN


@given(TEXTS, DURATIONS, LOGPROBS, st.floats(0, 1))
def test_a_verdict_that_is_given_early_is_the_one_at_the_end(
    text: str, duration_ms: float, mean_logprob: float, text_end: float
) -> None:
    final = verdict(text, duration_ms, ended=True, mean_logprob=mean_logprob, text_end=text_end)
    for ended in (False, True):
        assert verdict(text, duration_ms, ended=ended, mean_logprob=mean_logprob) in {OPEN, final}


@given(TEXTS, DURATIONS, DURATIONS, LOGPROBS)
def test_what_was_meant_stays_meant_as_time_passes(
    text: str, duration_ms: float, more_ms: float, mean_logprob: float
) -> None:
    if verdict(text, duration_ms, ended=False, mean_logprob=mean_logprob) is MEANT:
        assert verdict(text, duration_ms + more_ms, ended=False, mean_logprob=mean_logprob) is MEANT


@given(TEXTS, DURATIONS, LOGPROBS, LOGPROBS)
def test_more_certain_words_are_never_less_meant(text: str, duration_ms: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if verdict(text, duration_ms, ended=False, mean_logprob=low) is MEANT:
        assert verdict(text, duration_ms, ended=False, mean_logprob=high) is MEANT


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
        ("No.", False),
        ("", False),
        ("...", False),
    ],
)
def test_a_command_alone_needs_no_answer(text: str, so: bool) -> None:
    assert is_command_only(text, RULES) is so

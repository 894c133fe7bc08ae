"""How much silence ends a turn, by what is known at the pause. With the rules that are shipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voicebot.config.pipeline import EndpointSettings
from voicebot.pipeline.rules import endpoint_rules
from voicebot.turn.endpoint import EndOfTurn, Evidence, Voice, log_odds

RULES = endpoint_rules(EndpointSettings())
FINISHED = Evidence("Tell me about the weather in Spain.", 0.9, -0.1, 2.0, Voice(0.95, -4.0, -20.0, 0.5))
CUT_OFF = Evidence("Tell me about the weather", 0.0005, -0.6, 1.2, Voice(0.05, 2.0, -3.0, 1.2))
OPEN_WORDS = sorted(word for (word,) in RULES.open_words)
DIGITS = sorted(word for (word,) in RULES.digits)


def needed_ms(evidence: Evidence) -> float:
    return EndOfTurn(RULES).needed_ms(evidence)


def test_a_finished_request_needs_the_least_silence() -> None:
    assert needed_ms(FINISHED) == RULES.floor_ms


def test_a_request_that_is_cut_off_needs_the_most() -> None:
    assert needed_ms(CUT_OFF) == RULES.ceiling_ms


@pytest.mark.parametrize("evidence", [Evidence(""), Evidence("what is it"), Evidence("...", 0.9), Evidence("", 0.9)])
def test_where_the_words_or_their_end_are_not_known_a_fixed_silence_is(evidence: Evidence) -> None:
    assert needed_ms(evidence) == RULES.unknown_ms


@pytest.mark.parametrize("word", [*OPEN_WORDS, *(f"{word}." for word in OPEN_WORDS), OPEN_WORDS[0].upper()])
def test_after_some_words_nobody_has_finished(word: str) -> None:
    assert needed_ms(replace(FINISHED, text=f"Tell me about {word}")) == RULES.ceiling_ms


def test_a_question_may_end_with_a_preposition() -> None:
    assert needed_ms(replace(FINISHED, text="Where does chocolate come from?")) == RULES.floor_ms
    assert needed_ms(replace(FINISHED, text="Where does chocolate come from?", text_end=0.01)) == RULES.ceiling_ms


@pytest.mark.parametrize("end", ["...", "…", ",", "-", "... "])
def test_after_some_signs_nobody_has_finished(end: str) -> None:
    assert needed_ms(replace(FINISHED, text=f"Tell me about Spain{end}")) == RULES.ceiling_ms


@pytest.mark.parametrize(
    "text",
    [
        "My number is five five",
        "five five five one",
        "it is 5 5",
        "call 555",
        "code 12 34",
        *(f"one {d}" for d in DIGITS),
    ],
)
def test_whoever_dictates_digits_is_given_time(text: str) -> None:
    assert needed_ms(replace(FINISHED, text=text)) == RULES.dictation_ms
    assert needed_ms(replace(CUT_OFF, text=text)) >= RULES.dictation_ms


@pytest.mark.parametrize(
    "text",
    [
        "Set a timer for five.",  # one digit is a number
        "What is five five?",  # a question is whole
        "My number is five five five one two three four five six seven",  # a number that is whole
        "My number is 5551234567",
        "five five it is",
        "Set a timer for 20.",
        "It was built in 1969.",
    ],
)
def test_other_numbers_are_words_like_others(text: str) -> None:
    assert needed_ms(replace(FINISHED, text=text)) == RULES.floor_ms


@pytest.mark.parametrize("text", ["Yes.", "no", "Okay!", "Yes, sure."])
def test_a_short_answer_is_whole_whatever_the_models_think(text: str) -> None:
    assert needed_ms(replace(CUT_OFF, text=text)) == RULES.answer_ms
    assert needed_ms(replace(FINISHED, text=text)) == RULES.floor_ms


def test_a_syllable_that_was_hardly_understood_is_no_answer() -> None:
    assert needed_ms(replace(CUT_OFF, text="Bye.", mean_logprob=-0.9)) == RULES.ceiling_ms


def test_a_longer_sentence_that_begins_like_an_answer_is_judged() -> None:
    assert needed_ms(replace(CUT_OFF, text="yes it was")) == RULES.ceiling_ms
    assert needed_ms(replace(CUT_OFF, text="yes yes yes")) == RULES.ceiling_ms


TEXTS = st.sampled_from(["tell me about Spain", "Tell me about Spain.", "what time is it?", "play", "and so on"])
PROBABILITIES = st.floats(0, 1)
VOICES = st.builds(Voice, PROBABILITIES, st.floats(-30, 30), st.floats(-90, 10), st.floats(0, 9))
EVIDENCE = st.builds(Evidence, TEXTS, PROBABILITIES, st.floats(-5, 0), st.floats(0, 30), st.none() | VOICES)
ANY_TEXT = st.one_of(TEXTS, st.text(max_size=20), st.sampled_from([*OPEN_WORDS, *DIGITS, "yes", "five 5 55"]))


@given(EVIDENCE, ANY_TEXT, st.lists(st.floats(0, 10_000), max_size=10))
def test_it_is_always_between_the_floor_and_the_ceiling(evidence: Evidence, text: str, pauses_ms: list[float]) -> None:
    end = EndOfTurn(RULES)
    for pause_ms in pauses_ms:
        end.went_on(pause_ms)
    assert RULES.floor_ms <= end.needed_ms(replace(evidence, text=text)) <= RULES.ceiling_ms


@given(EVIDENCE, PROBABILITIES)
def test_a_sentence_that_more_probably_ends_needs_no_more_silence(evidence: Evidence, text_end: float) -> None:
    low, high = sorted((evidence.text_end or 0.0, text_end))
    assert needed_ms(replace(evidence, text_end=high)) <= needed_ms(replace(evidence, text_end=low))


@given(EVIDENCE, VOICES, PROBABILITIES)
def test_a_voice_that_has_more_probably_ended_needs_no_more_silence(
    evidence: Evidence, voice: Voice, end: float
) -> None:
    low, high = sorted((voice.end, end))
    surer, doubtful = (replace(evidence, voice=replace(voice, end=value)) for value in (high, low))
    assert needed_ms(surer) <= needed_ms(doubtful)


@given(EVIDENCE, VOICES, st.floats(-30, 30))
def test_a_voice_that_falls_lower_needs_no_more_silence(evidence: Evidence, voice: Voice, pitch: float) -> None:
    low, high = sorted((voice.pitch_semitones, pitch))
    falling, rising = (replace(evidence, voice=replace(voice, pitch_semitones=value)) for value in (low, high))
    assert needed_ms(falling) <= needed_ms(rising)


@given(EVIDENCE, VOICES, st.floats(-90, 10))
def test_a_voice_that_fades_needs_no_more_silence_than_one_that_is_cut(
    evidence: Evidence, voice: Voice, level_db: float
) -> None:
    soft, loud = sorted((voice.level_db, level_db))
    fading, sudden = (replace(evidence, voice=replace(voice, level_db=value)) for value in (soft, loud))
    assert needed_ms(fading) <= needed_ms(sudden)


@given(EVIDENCE, VOICES, st.floats(0, 9))
def test_a_sound_that_is_held_needs_no_more_silence_than_one_that_changes(
    evidence: Evidence, voice: Voice, change: float
) -> None:
    slow, fast = sorted((voice.change, change))
    held, changing = (replace(evidence, voice=replace(voice, change=value)) for value in (slow, fast))
    assert needed_ms(held) <= needed_ms(changing)


@given(EVIDENCE, st.floats(-5, 0))
def test_words_that_are_surer_need_no_more_silence(evidence: Evidence, mean_logprob: float) -> None:
    low, high = sorted((evidence.mean_logprob, mean_logprob))
    assert needed_ms(replace(evidence, mean_logprob=high)) <= needed_ms(replace(evidence, mean_logprob=low))


@given(EVIDENCE, st.floats(0, 30))
def test_who_has_spoken_for_longer_needs_no_more_silence(evidence: Evidence, speech_s: float) -> None:
    short, long = sorted((evidence.speech_s, speech_s))
    assert needed_ms(replace(evidence, speech_s=long)) <= needed_ms(replace(evidence, speech_s=short))


@given(EVIDENCE)
def test_better_odds_need_no_more_silence_and_even_odds_the_silence_of_doubt(evidence: Evidence) -> None:
    odds = log_odds(evidence, RULES)
    needed = needed_ms(evidence)
    if odds >= RULES.sure_odds:
        assert needed == RULES.floor_ms
    elif odds <= RULES.open_odds:
        assert needed == RULES.ceiling_ms
    else:
        assert (needed <= RULES.doubt_ms) == (odds >= RULES.doubt_odds)


class TestPatience:
    """Who pauses for long inside of his turns is waited for longer in doubt; and in doubt only."""

    IN_DOUBT = replace(FINISHED, text_end=0.1, voice=Voice(0.3, 0.0, -3.0, 1.0))

    def test_the_example_is_in_doubt(self) -> None:
        assert RULES.floor_ms < needed_ms(self.IN_DOUBT) < RULES.ceiling_ms

    def test_long_pauses_make_it_patient_step_by_step(self) -> None:
        end = EndOfTurn(RULES)
        needed = [end.needed_ms(self.IN_DOUBT)]
        for _ in range(6):
            end.went_on(1000)
            needed.append(end.needed_ms(self.IN_DOUBT))
        assert needed == sorted(set(needed))

    def test_short_pauses_do_not(self) -> None:
        end = EndOfTurn(RULES)
        for _ in range(20):
            end.went_on(100)
        assert end.needed_ms(self.IN_DOUBT) == needed_ms(self.IN_DOUBT)

    def test_turns_without_long_pauses_make_it_forget(self) -> None:
        end = EndOfTurn(RULES)
        for _ in range(5):
            end.went_on(1500)
        before = end.needed_ms(self.IN_DOUBT)
        end.turn_ended()
        assert needed_ms(self.IN_DOUBT) < end.needed_ms(self.IN_DOUBT) < before
        for _ in range(60):
            end.turn_ended()
        assert end.needed_ms(self.IN_DOUBT) == pytest.approx(needed_ms(self.IN_DOUBT), abs=1)

    def test_what_is_sure_is_as_sure_as_ever(self) -> None:
        end = EndOfTurn(RULES)
        for _ in range(20):
            end.went_on(1500)
        assert end.needed_ms(FINISHED) == RULES.floor_ms
        assert end.needed_ms(CUT_OFF) == RULES.ceiling_ms

    @given(EVIDENCE, st.lists(st.floats(0, 5000), max_size=8))
    def test_it_is_never_less_patient_than_at_first(self, evidence: Evidence, pauses_ms: list[float]) -> None:
        assume(log_odds(evidence, RULES) < RULES.sure_odds)
        end = EndOfTurn(RULES)
        for pause_ms in pauses_ms:
            end.went_on(pause_ms)
        assert end.needed_ms(evidence) >= needed_ms(evidence) - 1e-6


def test_a_command_alone_has_time_to_go_on() -> None:
    """Nobody waits for an answer to it, and "wait" may become "wait, what about Spain?"."""
    rules = endpoint_rules(EndpointSettings(), ("wait", "stop"))
    alone, going_on = replace(FINISHED, text="Wait."), replace(FINISHED, text="Wait, what about Spain?")
    assert EndOfTurn(rules).needed_ms(alone) == rules.doubt_ms
    assert EndOfTurn(rules).needed_ms(replace(FINISHED, text="Wait. Wait.")) == rules.doubt_ms
    assert EndOfTurn(rules).needed_ms(going_on) == rules.floor_ms

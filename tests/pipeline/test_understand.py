"""What is answered with silence, what is asked back, and what is handed to the model."""

from __future__ import annotations

import pytest

from voicebot.assistant.history import History
from voicebot.config.pipeline import BargeInSettings, PhraseSettings
from voicebot.pipeline.recognize import Recognized
from voicebot.pipeline.rules import barge_in_rules
from voicebot.pipeline.understand import Request, understand

PHRASES = PhraseSettings()
RULES = barge_in_rules(BargeInSettings())
SURE, UNSURE = PHRASES.ask_back_logprob, PHRASES.ask_back_logprob - 0.01


def asked(text: str, mean_logprob: float = SURE, *, history: History | None = None, **phrases: str) -> Request:
    settings = PHRASES.model_copy(update=phrases)
    return understand(Recognized(text, mean_logprob), history or History("Be brief."), settings, RULES)


def after_asking_back(words: str = "Kumquat.") -> History:
    history = History("Be brief.")
    history.add(words, "Sorry, did you say: Kumquat?", unsure=True)
    return history


@pytest.mark.parametrize("text", ["What is the capital of France?", "Yes.", "No, stop."])
def test_most_words_are_for_the_model(text: str) -> None:
    assert asked(text) == Request(text)


@pytest.mark.parametrize("text", ["Stop.", "wait", "Never mind!", "Stop, please stop."])
@pytest.mark.parametrize("mean_logprob", [SURE, UNSURE])
def test_a_mere_command_is_answered_with_silence(text: str, mean_logprob: float) -> None:
    assert asked(text, mean_logprob) == Request(text, reply="")


def test_words_that_were_hardly_understood_are_asked_back() -> None:
    assert asked("Kumquat?!", UNSURE) == Request("Kumquat?!", reply="Sorry, did you say: Kumquat?", unsure=True)


@pytest.mark.parametrize("text", ["{words}", "{", "a {name} b", "%s", "\\1"])
def test_whatever_the_words_are_they_are_said_as_they_are(text: str) -> None:
    assert asked(text, UNSURE).reply == f"Sorry, did you say: {text}?"


@pytest.mark.parametrize("phrase", ["What?", "{words} or {what}?", "Was {words} a question {"])
def test_whatever_the_phrase_is_it_is_no_error(phrase: str) -> None:
    assert asked("Kumquat.", UNSURE, ask_back=phrase).reply == phrase.replace("{words}", "Kumquat")


@pytest.mark.parametrize("text", [*PHRASES.affirmations, "Yes, yes.", "Yes! That's right."])
@pytest.mark.parametrize("mean_logprob", [SURE, UNSURE])
def test_who_affirms_it_is_answered(text: str, mean_logprob: float) -> None:
    assert asked(text, mean_logprob, history=after_asking_back()) == Request("Kumquat.")


def test_who_says_something_else_is_answered_for_that() -> None:
    assert asked("No, a lemon.", history=after_asking_back()) == Request("No, a lemon.")
    assert asked("Stop.", history=after_asking_back()) == Request("Stop.", reply="")


def test_a_yes_is_only_a_yes_where_nothing_was_asked() -> None:
    history = after_asking_back()
    history.add("Kumquat.", "It is a fruit.")
    assert asked("Yes.", history=history) == Request("Yes.")

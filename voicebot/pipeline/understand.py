"""What a request asks for, before any model is asked: silence, a question back, or an answer."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.assistant.history import History
from voicebot.config.pipeline import PhraseSettings
from voicebot.pipeline.recognize import Recognized
from voicebot.turn.barge_in import BargeInRules, is_command_only
from voicebot.turn.wording import consists_of, phrases, words


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be answered, and how."""

    text: str
    """The user's words; those of the request before when he only said that they were understood."""
    reply: str | None = None
    """The whole reply where no model is needed for it; empty where silence is the answer."""
    unsure: bool = False
    """The reply asks whether the words were understood."""


def understand(said: Recognized, history: History, settings: PhraseSettings, rules: BargeInRules) -> Request:
    """Decide how what was said is answered."""
    if is_command_only(said.text, rules):
        return Request(said.text, reply="")
    if history.asked_back is not None and consists_of(words(said.text), phrases(settings.affirmations)):
        return Request(history.asked_back)
    if said.mean_logprob < settings.ask_back_logprob:
        return Request(said.text, settings.ask_back.replace("{words}", said.text.rstrip(" .?!")), unsure=True)
    return Request(said.text)

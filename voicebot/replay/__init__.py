"""Plays clips and scenarios to a session as a person would speak them, and reports what happened."""

from voicebot.replay.conversation import Clip, Conversation, Spoken, hold, speak_in_turn
from voicebot.replay.energies import Energies
from voicebot.replay.perform import Performance, perform
from voicebot.replay.report import report, turns_of
from voicebot.replay.scenario import Scenario, load_scenarios

__all__ = [
    "Clip",
    "Conversation",
    "Energies",
    "Performance",
    "Scenario",
    "Spoken",
    "hold",
    "load_scenarios",
    "perform",
    "report",
    "speak_in_turn",
    "turns_of",
]

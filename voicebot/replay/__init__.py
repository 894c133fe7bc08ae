"""Plays clips to a session as a person would speak them, and reports what happened."""

from voicebot.replay.conversation import Clip, Conversation, Spoken, hold, speak_in_turn
from voicebot.replay.report import report

__all__ = ["Clip", "Conversation", "Spoken", "hold", "report", "speak_in_turn"]

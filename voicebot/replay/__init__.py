"""Plays clips to a session as a person would speak them, and reports what happened.

Here the truth about the user's speech is known, to the sample: times are counted from the last voiced sample of the
clip, and not from where the voice detector believed it to be.
"""

from voicebot.replay.conversation import Clip, Conversation, Spoken, hold, speak_in_turn
from voicebot.replay.report import report

__all__ = ["Clip", "Conversation", "Spoken", "hold", "report", "speak_in_turn"]

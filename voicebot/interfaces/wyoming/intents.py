"""Intents for a Wyoming client: what the assistant understands of a text without asking a model.

There is one. Words such as "stop" and "never mind", alone, want nothing any more, and the assistant says nothing to
them; everything else is for the language model, by `transcript`. It is called what Home Assistant calls it. Recognising
an intent does nothing; what follows from it is the client's.
"""

from __future__ import annotations

from typing import Final

from wyoming.event import Event
from wyoming.intent import Intent, NotRecognized, Recognize

from voicebot.interfaces.wyoming.handle import context_of
from voicebot.interfaces.wyoming.wire import EventStream, text_of
from voicebot.turn.barge_in import BargeInRules, is_command_only

NEVER_MIND: Final = "HassNevermind"


class Intents:
    """One client's requests."""

    def __init__(self, rules: BargeInRules, longest_text: int, stream: EventStream) -> None:
        self._rules = rules
        self._longest_text = longest_text
        self._stream = stream

    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage. Raises ProtocolError, GoneError."""
        if not Recognize.is_type(event.type):
            return False
        text, context = text_of(event, self._longest_text), context_of(event)
        if is_command_only(text, self._rules):
            self._stream.send(Intent(NEVER_MIND, context=context))
        else:
            self._stream.send(NotRecognized("Only what stops the assistant is understood without a model.", context))
        await self._stream.flush()
        return True

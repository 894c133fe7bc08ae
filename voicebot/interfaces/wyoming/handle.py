"""Text to reply for a Wyoming client: the language model answers, and knows what was said before.

A transcript that a client sends is a request. Its context may name a conversation, which may go on over another
connection; without a name a conversation lasts as long as the connection.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from wyoming.asr import Transcript
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled

from voicebot.assistant.history import History
from voicebot.clock import Clock
from voicebot.config.pipeline import SlmSettings
from voicebot.interfaces.wyoming.wire import EventStream, ProtocolError, text_of
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.stages import Slm

_MOST_CONVERSATIONS: Final = 32
_FORGOTTEN_AFTER_S: Final = 600.0
"""Home Assistant begins another conversation after 300 s."""
_LONGEST_ID: Final = 200
Context = dict[str, str]


@dataclass(slots=True)
class Conversation:
    """What was said in one."""

    history: History
    place: str
    """Its name for the language model, which keeps a place for each."""
    used_s: float
    ledger: WorkLedger = field(default_factory=WorkLedger)


class Conversations:
    """All clients' conversations that have a name, while `keep` runs. The one that rested longest goes first."""

    def __init__(self, system_prompt: str, clock: Clock) -> None:
        self._system_prompt = system_prompt
        self._clock = clock
        self._known: OrderedDict[str, Conversation] = OrderedDict()
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._known)

    def new(self) -> Conversation:
        """Return one without a name, which belongs to whoever asks."""
        return Conversation(History(self._system_prompt), f"wyoming-{next(self._numbers)}", self._clock.now_s())

    def named(self, name: str) -> Conversation:
        """Return the one of that name, an empty one where it is not known."""
        now_s = self._clock.now_s()
        found = self._known.pop(name, None) or self.new()
        found.used_s = now_s
        self._known[name] = found
        while len(self._known) > _MOST_CONVERSATIONS:
            self._known.popitem(last=False)
        return found

    async def keep(self) -> None:
        """Forget each once it has rested for 10 minutes, until cancelled."""
        while True:
            now_s = self._clock.now_s()
            while self._known and self._oldest.used_s + _FORGOTTEN_AFTER_S <= now_s:
                self._known.popitem(last=False)
            until_s = (self._oldest.used_s if self._known else now_s) + _FORGOTTEN_AFTER_S
            await self._clock.sleep_s(until_s - now_s)

    @property
    def _oldest(self) -> Conversation:
        return next(iter(self._known.values()))


class Handling:
    """One client's requests, one after the other."""

    def __init__(
        self, slm: Slm, settings: SlmSettings, longest_text: int, conversations: Conversations, stream: EventStream
    ) -> None:
        self._slm = slm
        self._max_tokens = settings.max_tokens
        self._longest_text = longest_text
        self._conversations = conversations
        self._own: Conversation | None = None
        self._stream = stream

    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage.

        Raises ProtocolError, GoneError, and what the language model raises.
        """
        if not Transcript.is_type(event.type):
            return False
        text = " ".join(text_of(event, self._longest_text).split())
        context = context_of(event)
        if text:
            await self._answer(text, self._conversation(context), context)
        else:
            self._stream.send(NotHandled("There is nothing to answer.", context))
            await self._stream.flush()
        return True

    def _conversation(self, context: Context | None) -> Conversation:
        if context is not None:
            return self._conversations.named(context["conversation_id"])
        if self._own is None:
            self._own = self._conversations.new()
        return self._own

    async def _answer(self, text: str, conversation: Conversation, context: Context | None) -> None:
        charged_to.set(Work(conversation.ledger))
        messages = conversation.history.messages(text)
        reply = ""
        self._stream.send(HandledStart(context))
        async with aclosing(self._slm.generate(messages, self._max_tokens, session=conversation.place)) as pieces:
            async for piece in pieces:
                added = piece if reply else piece.lstrip()
                if added:
                    reply += added
                    self._stream.send(HandledChunk(added))
                    await self._stream.flush()
        conversation.history.add(text, reply.strip())
        self._stream.send(Handled(reply.strip(), context), HandledStop())
        await self._stream.flush()


def context_of(event: Event) -> Context | None:
    """Return what a request says of its conversation, which is its name, to be sent back; None without one.

    Raises ProtocolError.
    """
    context = event.data.get("context")
    name = context.get("conversation_id") if isinstance(context, dict) else None
    if name is None:
        return None
    if not isinstance(name, str) or len(name) > _LONGEST_ID:
        raise ProtocolError(f"a conversation_id is a text of at most {_LONGEST_ID} characters.")
    return {"conversation_id": name}

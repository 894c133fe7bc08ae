"""Sessions that ask at random: conversations that grow, begin again, overflow the context, and use a tool. Pure."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from voicebot.engines.protocols import Message, SlmRequest, Tool

Kind = Literal["plain", "tools", "overflowing"]

_MOST_TOKENS: Final = 24
"""The longest reply that is asked for."""
_KINDS: Final[tuple[Kind, ...]] = ("plain", "overflowing", "tools", "plain", "plain", "plain")
_TURNS: Final[dict[Kind, int]] = {"plain": 3, "tools": 2, "overflowing": 12}
"""After so many a conversation begins again. The first two kinds are short enough for a context of 384 tokens."""
_SENTENCES: Final = (
    "What is the capital of France?",
    "How many legs does a spider have?",
    "Tell me about the moon.",
    "What can I cook with eggs and rice?",
    "Say that again.",
    "My shopping list is milk, bread, butter and apples. Read it back to me.",
    "And why is that so?",
    "Name three colors.",
)
_BEGUN: Final = ("", "", "", "", "Well, ", "I think that ")
_STORY: Final = "Once there was an old king in a far country, and he had a garden with many kinds of trees in it. "
_SWITCH: Final = Tool(
    "switch_light",
    "Turn a light on or off.",
    {
        "type": "object",
        "properties": {"room": {"type": "string", "enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
        "required": ["room", "on"],
    },
)


class Talker:
    """One session. It says part of a sentence, or all of it, and waits for its reply before the next."""

    def __init__(self, session: str, kind: Kind, system: Message, random: Random) -> None:
        self.session = session
        self.kind = kind
        self._random = random
        self._system = system
        self._messages: tuple[Message, ...] = (system,)
        self._turns = 0
        self._sentence = self._choose()
        self._asked: tuple[Message, ...] | None = None

    @property
    def waits(self) -> bool:
        """Whether it has asked and not heard the reply."""
        return self._asked is not None

    def ask(self) -> SlmRequest:
        """Return its next request."""
        tools = (_SWITCH,) if self.kind == "tools" else ()
        draw = self._random.random()
        if draw < 0.6:
            self._asked = (*self._messages, Message("user", self._sentence))
            must_call = self.kind == "tools" and self._random.random() < 0.5
            begun = "" if must_call else self._random.choice(_BEGUN)
            most = self._random.randint(1, _MOST_TOKENS)
            return SlmRequest("generate", self._asked, self.session, most, begun, tools=tools, must_call=must_call)
        words = self._sentence.split()
        partial = " ".join(words[: self._random.randint(1, len(words))])
        messages = (*self._messages, Message("user", partial))
        return SlmRequest("prefill" if draw < 0.8 else "end", messages, self.session, tools=tools)

    def hear(self, reply: str) -> None:
        """Go on after a reply. One that was cancelled before it said anything is as if it had not been asked for."""
        asked, self._asked = self._asked, None
        if asked is None or not reply:
            return
        self._turns += 1
        self._messages = (*asked, Message("assistant", reply))
        if self._turns >= _TURNS[self.kind]:
            self._messages, self._turns = (self._system,), 0
        self._sentence = self._choose()

    def _choose(self) -> str:
        sentence = self._random.choice(_SENTENCES)
        return _STORY * self._random.randint(1, 4) + sentence if self.kind == "overflowing" else sentence


def talkers(count: int, system: Message, random: Random) -> list[Talker]:
    """Return so many sessions of all kinds."""
    return [Talker(f"session {number}", _KINDS[number % len(_KINDS)], system, random) for number in range(count)]

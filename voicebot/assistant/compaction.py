"""Which of a conversation's oldest exchanges are to be summarised, how that is asked for, and what comes of it.

Pure: whoever has the model asks it. Sizes are estimated in tokens from letters. With the shipped model and settings an
English conversation really has 7 % less to 14 % more tokens, a German one 30 %, a French one 40 % more, for which there
is `chars_per_token`. Where the estimate is too low, the engine leaves out what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from voicebot.assistant.facts import Fact, FactFinder, newest
from voicebot.assistant.history import Exchange, History, Notes
from voicebot.assistant.speakable import speakable
from voicebot.config.history import HistorySettings
from voicebot.engines.protocols import Message

SizeOf = Callable[[Iterable[Message]], float]
"""How many tokens messages have."""

SUMMARY_BEGINS: Final = "The user talked about"
"""The summary is begun for the model: without that the smallest ones go on with the conversation, or answer it."""

_MESSAGE_TOKENS: Final = 5
"""What ChatML puts around a message."""
_NOTE_TAKER: Final = Message("system", "You write short notes of conversations.")
_REQUEST: Final = "In one or two short sentences, what did the user talk about?"
_SPEAKER: Final = re.compile(r"\b(?:user|assistant):", re.IGNORECASE)
_LAST_SENTENCE_END: Final = re.compile(r"(?s).*[.!?](?=\s|$)")
_LEAST_VARIETY: Final = 0.5
"""Of the words of a summary, how many are different: 0.7 and more in those of the shipped model, 0.2 in a loop."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """A plan to replace the oldest open exchanges by notes."""

    exchanges: tuple[Exchange, ...]
    earlier: Notes | None
    """What the model is told of those before them."""
    facts: tuple[Fact, ...]
    """Of all of them, what is to be kept in the user's own words."""
    late: bool
    """The conversation would hardly fit with one more turn: there is no time to ask for a summary."""

    def request(self) -> tuple[Message, ...]:
        """Return the conversation that asks for the summary; the reply is to go on after SUMMARY_BEGINS."""
        lines = [f"Earlier: {self.earlier.summary}"] if self.earlier is not None and self.earlier.summary else []
        for exchange in self.exchanges:
            lines += [f"{message.role.capitalize()}: {message.content}" for message in exchange.messages()]
        return _NOTE_TAKER, Message("user", "\n".join([*lines, "", _REQUEST]))

    def apply(self, history: History, summary: str | None) -> bool:
        """Replace the exchanges, all at once; None leaves them out with a mark, which stays.

        Returns False, with nothing changed, when they are not the oldest open ones any more.
        """
        earlier = self.earlier or Notes()
        kept = earlier.summary if summary is None else summary
        notes = Notes(kept, earlier.left_out or summary is None, self.facts)
        return history.notes == self.earlier and history.compact(self.exchanges, notes)


def plan(
    history: History, size_of: SizeOf, context_tokens: int, reply_tokens: int, rules: HistorySettings
) -> Compaction | None:
    """Return what to compact, now that a turn has ended; None as long as there is room enough.

    The newest exchange always stays, since the next one may be about its words.
    """
    room = max(1, context_tokens - reply_tokens)
    size, exchanges = size_of(history.messages()), history.open_exchanges
    if size <= rules.start_share * room:
        return None
    # The facts of all of them, although some may stay open, since how many is not known yet.
    notes = Notes(facts=_facts(history, exchanges, rules))
    left = size_of([history.system(notes)]) + rules.summary_tokens
    sizes = [size_of(exchange.messages()) for exchange in exchanges]
    left += sum(sizes)
    count = 0
    while count < len(exchanges) - 1 and left > rules.target_share * room:
        left -= sizes[count]
        count += 1
    if count == 0:
        return None
    chosen = exchanges[:count]
    return Compaction(chosen, history.notes, _facts(history, chosen, rules), size > rules.full_share * room)


def estimate(rules: HistorySettings) -> SizeOf:
    """Return a measure of messages in tokens, from their letters."""

    def size_of(messages: Iterable[Message]) -> float:
        return sum(len(message.content) / rules.chars_per_token + _MESSAGE_TOKENS for message in messages)

    return size_of


def usable_summary(reply: str, compaction: Compaction, rules: HistorySettings) -> str | None:
    """Return what a model made of the request as a summary, up to its last whole sentence.

    `reply`: the words after SUMMARY_BEGINS. None if it is empty, far too long, goes round in circles, goes on with the
    conversation or says the request again.
    """
    words = speakable(reply).split()
    variety = len({word.casefold() for word in words}) / max(1, len(words))
    too_long = len(reply) > 2 * rules.summary_tokens * rules.chars_per_token
    if not words or too_long or variety < _LEAST_VARIETY:
        return None
    text = " ".join([SUMMARY_BEGINS, *words])
    if _SPEAKER.search(text) or _REQUEST.casefold() in text.casefold():
        return None
    if " ".join(words).casefold() in " ".join(compaction.request()[-1].content.split()).casefold():
        return None
    whole = _LAST_SENTENCE_END.match(text)
    return whole[0] if whole else text


def _facts(history: History, exchanges: Iterable[Exchange], rules: HistorySettings) -> tuple[Fact, ...]:
    finder = FactFinder(rules)
    before = history.notes.facts if history.notes is not None else ()
    found = (fact for exchange in exchanges if not exchange.unsure for fact in finder.find(exchange.user))
    return newest((*before, *found), rules.fact_letters)

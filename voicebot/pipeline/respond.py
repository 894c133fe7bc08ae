"""From the conversation to the clauses of a reply."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from voicebot.assistant.speakable import speakable
from voicebot.engines.protocols import Message
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.draft import Draft
from voicebot.turn.chunker import ClauseChunker, ClauseRules


async def respond(
    draft: Draft,
    messages: tuple[Message, ...],
    max_tokens: int,
    rules: ClauseRules,
    clauses: Channel[str],
    mark: Callable[[str], None],
) -> None:
    """Stream a reply into `clauses`, and close it.

    Marks slm_first_token and slm_first_clause. A reply that runs out of tokens ends with a whole sentence if it can.
    """
    chunker = ClauseChunker(rules)
    pieces = 0
    async with aclosing(draft.generate(messages, max_tokens)) as stream:
        async for text in stream:
            pieces += 1
            if pieces == 1:
                mark("slm_first_token")
            for clause in chunker.feed(text):
                await _send(clause, clauses, mark)
    for clause in chunker.finish(cut_short=pieces >= max_tokens):
        await _send(clause, clauses, mark)
    await clauses.close()


async def _send(clause: str, clauses: Channel[str], mark: Callable[[str], None]) -> None:
    spoken = speakable(clause)
    if spoken:
        mark("slm_first_clause")
        await clauses.send(spoken)

"""From the conversation to the clauses of a reply."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from voicebot.assistant.speakable import speakable
from voicebot.engines.protocols import Message
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.stages import Slm
from voicebot.turn.chunker import ClauseChunker, ClauseRules


async def respond(
    slm: Slm,
    messages: tuple[Message, ...],
    max_tokens: int,
    rules: ClauseRules,
    clauses: Channel[str],
    mark: Callable[[str], None],
) -> None:
    """Stream a reply into `clauses`, and close it.

    Marks slm_first_token and slm_first_clause. A reply that runs out of tokens in the middle of a sentence ends
    with the sentence before, if it has one.
    """
    chunker = ClauseChunker(rules)
    sent = pieces = 0
    async with aclosing(slm.generate(messages, max_tokens)) as stream:
        async for text in stream:
            pieces += 1
            if pieces == 1:
                mark("slm_first_token")
            for clause in chunker.feed(text):
                sent += await _send(clause, clauses, mark)
    cut_short = pieces >= max_tokens and sent > 0
    for clause in chunker.finish():
        if not cut_short:
            sent += await _send(clause, clauses, mark)
    await clauses.close()


async def _send(clause: str, clauses: Channel[str], mark: Callable[[str], None]) -> bool:
    spoken = speakable(clause)
    if not spoken:
        return False
    mark("slm_first_clause")
    await clauses.send(spoken)
    return True

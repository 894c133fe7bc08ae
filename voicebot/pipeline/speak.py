"""From clauses to audio, just ahead of what is played."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from voicebot.audio import Pcm
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.stages import Tts
from voicebot.turn.heard import HeardReply


@dataclass(frozen=True, slots=True)
class ClauseAudio:
    """Some audio of the clause with that number."""

    clause: int
    pcm: Pcm


async def speak(
    tts: Tts,
    clauses: Channel[str],
    audio: Channel[ClauseAudio],
    reply: HeardReply,
    mark: Callable[[str], None],
    on_clause: Callable[[str, int], None],
) -> None:
    """Synthesise each clause into `audio`, and close it. Marks tts_first_audio.

    `on_clause` is called with each clause's text and number of samples.
    """
    async for text in clauses:
        number = reply.add_clause(text)
        samples = 0
        async with aclosing(tts.synthesize(text, first=number == 0)) as stream:
            async for speech in stream:
                mark("tts_first_audio")
                reply.add_words(number, speech.word_ends)
                reply.add_audio(number, len(speech.pcm))
                samples += len(speech.pcm)
                await audio.send(ClauseAudio(number, speech.pcm))
        reply.complete_clause(number)
        on_clause(text, samples)
    await audio.close()

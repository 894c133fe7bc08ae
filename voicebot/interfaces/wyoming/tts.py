"""Text to speech for a Wyoming client, a clause at a time: audio leaves before the rest of the text is known.

One audio-start and one audio-stop for each request, however many clauses it has.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, Eventable
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped

from voicebot.assistant.speakable import speakable
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.config.pipeline import ClauseSettings
from voicebot.interfaces.wyoming.wire import EventStream, ProtocolError, text_of
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.stages import Tts
from voicebot.turn.chunker import ClauseChunker, ClauseRules

_CHUNK_SAMPLES: Final = samples_from_ms(100)
_FORM: Final = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}
_OWN: Final = {"synthesize", "synthesize-chunk", "synthesize-stop"}


class Synthesis:
    """One client's, one request after the other."""

    def __init__(self, tts: Tts, clauses: ClauseSettings, longest_text: int, stream: EventStream) -> None:
        self._tts = tts
        self._rules = ClauseRules(clauses.first_letters, clauses.first_words, clauses.later_words)
        self._longest_text = longest_text
        self._stream = stream
        self._ledger = WorkLedger()
        self._chunker: ClauseChunker | None = None
        """Of a request whose text comes piece by piece."""
        self._letters = 0
        self._clauses = 0

    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage.

        Raises ProtocolError, GoneError, and what the synthesizer raises.
        """
        if SynthesizeStart.is_type(event.type):
            self._chunker = self._begin(event)
        elif SynthesizeChunk.is_type(event.type) and self._chunker is not None:
            await self._speak(self._chunker.feed(self._text_of(event)))
        elif SynthesizeStop.is_type(event.type) and self._chunker is not None:
            await self._speak(self._chunker.finish())
            await self._end(SynthesizeStopped())
            self._chunker = None
        elif Synthesize.is_type(event.type) and self._chunker is None:
            chunker = self._begin(event)
            await self._speak(chunker.feed(self._text_of(event)))
            await self._speak(chunker.finish())
            await self._end()
        else:
            # The whole text also comes within a streamed request, for servers that can't stream.
            return event.type in _OWN
        return True

    def _begin(self, event: Event) -> ClauseChunker:
        if event.data.get("text_format") not in {None, "text"}:
            raise ProtocolError("only plain text can be spoken here.")
        charged_to.set(Work(self._ledger))
        self._letters = self._clauses = 0
        return ClauseChunker(self._rules)

    def _text_of(self, event: Event) -> str:
        text = text_of(event, self._longest_text - self._letters)
        self._letters += len(text)
        return text

    async def _speak(self, clauses: list[str]) -> None:
        for clause in clauses:
            if spoken := speakable(clause):
                self._start()
                async with aclosing(self._tts.synthesize(spoken, first=self._clauses == 1)) as stream:
                    async for speech in stream:
                        await self._send(speech.pcm)

    def _start(self) -> None:
        if self._clauses == 0:
            self._stream.send(AudioStart(**_FORM))
        self._clauses += 1

    async def _send(self, pcm: Pcm) -> None:
        for at in range(0, len(pcm), _CHUNK_SAMPLES):
            self._stream.send(AudioChunk(**_FORM, audio=pcm[at : at + _CHUNK_SAMPLES].tobytes()))
        await self._stream.flush()

    async def _end(self, *events: Eventable) -> None:
        if self._clauses == 0:  # a text without any word is silence
            self._start()
        self._stream.send(AudioStop(), *events)
        await self._stream.flush()

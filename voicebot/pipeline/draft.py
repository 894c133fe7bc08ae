"""A reply in the making to one text: put down when the user goes on, and taken up again if the text stays the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from voicebot.engines.protocols import Message, Speech
from voicebot.latency.plan import Shape
from voicebot.latency.work import Work
from voicebot.pipeline.stages import Slm, Tts


class Draft:
    """Stands between a revision and the stages, and keeps what they gave: it is both an Slm's and a Tts's iterations.

    What is asked for again is given from what is kept; only what is missing is asked of the stages.
    """

    def __init__(self, slm: Slm, tts: Tts, text: str, work: Work, session: str = "") -> None:
        self.text = text
        """What the user said."""
        self.work = work
        """What it cost, whichever revision asked for it."""
        self.text_end: float | None = None
        """Probability that a sentence ends after it, once that is known."""
        self.shape: Shape | None = None
        """How the reply is made, once that was decided: cut otherwise, its audio would be of no use."""
        self._slm = slm
        self._session = session
        self._tts = tts
        self._pieces: list[str] = []
        self._complete = False
        self._spoken: dict[str, list[Speech]] = {}

    async def generate(self, messages: tuple[Message, ...], max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece, from its beginning."""
        for piece in tuple(self._pieces):
            yield piece
        if self._complete or len(self._pieces) >= max_tokens:
            return
        begun = "".join(self._pieces)
        left = max_tokens - len(self._pieces)
        async with aclosing(self._slm.generate(messages, left, begun, session=self._session)) as stream:
            async for piece in stream:
                self._pieces.append(piece)
                yield piece
        self._complete = True

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield a clause's audio; at once if it has been made to its end."""
        if text in self._spoken:
            for speech in self._spoken[text]:
                yield speech
            return
        made: list[Speech] = []
        async with aclosing(self._tts.synthesize(text, first=first)) as stream:
            async for speech in stream:
                made.append(speech)
                yield speech
        self._spoken[text] = made

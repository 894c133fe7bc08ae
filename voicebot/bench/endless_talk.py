"""Somebody who never stops talking to the assistant: questions, interruptions, hesitations, murmurs, the button."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, silence
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import Clock
from voicebot.engines.protocols import Cancel, Message
from voicebot.engines.scripted import ScriptedModel, hum
from voicebot.interfaces.service import Service
from voicebot.pipeline.session import Session
from voicebot.turn.table import State

_POLL_S: Final = 0.1
_SETTLE_S: Final = 0.7
"""No turn can still be about to open as long after a clip."""
_PATIENCE_S: Final = 8.0
"""A reply that is not heard as long after the question will not be."""
_LONGEST_TURN_S: Final = 90.0
_WORDS: Final = (
    *("a", "the", "one", "seven", "of", "and", "to", "in", "for", "with", "what", "when", "who", "how", "is", "are"),
    *("was", "can", "tell", "me", "you", "it", "this", "that", "about", "more", "river", "city", "clock", "music"),
    *("kitchen", "light", "garden", "winter", "history", "number", "train", "weather", "story", "friend", "water"),
)


@dataclass(frozen=True, slots=True)
class Words:
    """What is said: 16 kHz mono int16, each drawn at random."""

    random: Random
    questions: Sequence[Pcm]
    interruptions: Sequence[Pcm]
    murmurs: Sequence[Pcm]
    """What is said over a reply and is not to stop it."""
    pause_s: tuple[float, float]
    """Between a reply and the next question, at least and at most."""


def hummed(random: Random, pause_s: tuple[float, float]) -> Words:
    """Return hums, which a scripted recogniser takes for words; those of a third of a second for murmurs."""

    def hums(count: int, shortest_s: float, longest_s: float) -> list[Pcm]:
        return [hum(round(random.uniform(shortest_s, longest_s) * SAMPLE_RATE_HZ)) for _ in range(count)]

    return Words(random, hums(200, 0.8, 5.0), hums(50, 1.2, 2.0), [hum(SAMPLE_RATE_HZ // 3)], pause_s)


def words_for(pcm: Pcm) -> str:
    """Return what a scripted recogniser makes of a hum: the same for the same length."""
    seconds = len(pcm) / SAMPLE_RATE_HZ
    return "mm-hm" if seconds < 1.0 else _sentence(Random(len(pcm)), round(seconds * 2.5))  # noqa: S311 - no secret


def reply_to(messages: tuple[Message, ...]) -> str:
    """Return one to four sentences of what a scripted model says to it."""
    random = Random(messages[-1].content)  # noqa: S311 - no secret
    return " ".join(_sentence(random, random.randint(3, 12)) + "." for _ in range(random.randint(1, 4)))


def _sentence(random: Random, words: int) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(max(1, words))).capitalize()


class ForgetfulModel(ScriptedModel):
    """Keeps no request."""

    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        """Know everything already."""
        computed = super().prefill(messages, cancel)
        self.prefills.clear()
        return computed

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel, begun: str = ""
    ) -> Iterator[str]:
        """Yield the scripted reply."""
        self.requests.clear()
        yield from super().generate(messages, max_tokens, cancel, begun)


class Talk:
    """One conversation, through one replayed microphone."""

    def __init__(self, service: Service, session: Session, port: ReplayPort, words: Words, clock: Clock) -> None:
        self._service = service
        self._session = session
        self._port = port
        self._words = words
        self._clock = clock
        self._said_until = 0

    async def next_round(self) -> None:
        """Say one thing, of a kind drawn at random, and wait until it is over."""
        await self._clock.sleep_s(self._words.random.uniform(*self._words.pause_s))
        shares = {self.question: 70, self.interruption: 12, self.hesitation: 8, self.murmur: 5, self.button: 5}
        (kind,) = self._words.random.choices(tuple(shares), tuple(shares.values()))
        await kind()

    async def question(self) -> None:
        """Ask, and hear the reply to its end."""
        self._say(self._any(self._words.questions))
        await self._settle()

    async def interruption(self) -> None:
        """Stop the reply with words, which may be the next question."""
        await self._speak_over(self._words.interruptions)

    async def murmur(self) -> None:
        """Say "mm-hm" while the reply is heard."""
        await self._speak_over(self._words.murmurs)

    async def button(self) -> None:
        """Stop the reply without a word, as an interface does."""
        self._say(self._any(self._words.questions))
        if await self._audible():
            self._service.stop(self._session.name)
        await self._settle()

    async def hesitation(self) -> None:
        """Pause in the middle of a question."""
        question = self._any(self._words.questions)
        half, pause_s = len(question) // 2, self._words.random.uniform(0.3, 2.0)
        self._say(question[:half])
        self._say(silence(round(pause_s * SAMPLE_RATE_HZ)))
        self._say(question[half:])
        await self._settle()

    async def _speak_over(self, clips: Sequence[Pcm]) -> None:
        self._say(self._any(self._words.questions))
        if await self._audible():
            self._say(self._any(clips))
        await self._settle()

    def _say(self, pcm: Pcm) -> None:
        self._said_until = self._port.say(pcm) + len(pcm)

    def _any(self, clips: Sequence[Pcm]) -> Pcm:
        return self._words.random.choice(clips)

    async def _audible(self) -> bool:
        """Wait for the reply and a moment more; return whether it is heard then."""
        give_up = self._said_until + _PATIENCE_S * SAMPLE_RATE_HZ
        while self._session.state is not State.SPEAKING and self._port.now_sample() < give_up:
            await self._clock.sleep_s(_POLL_S)
        await self._clock.sleep_s(self._words.random.uniform(0.1, 1.5))
        return self._session.state is State.SPEAKING

    async def _settle(self) -> None:
        """Wait until what was said is answered, and nothing more is to come."""
        give_up = self._said_until + _LONGEST_TURN_S * SAMPLE_RATE_HZ
        while self._port.now_sample() < self._said_until + _SETTLE_S * SAMPLE_RATE_HZ or not self._idle:
            await self._clock.sleep_s(_POLL_S)
            if self._port.now_sample() > give_up:
                self._session.stop()
                return

    @property
    def _idle(self) -> bool:
        return self._session.state is State.IDLE and self._port.playback.queued_samples == 0

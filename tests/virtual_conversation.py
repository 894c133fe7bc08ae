"""A conversation in virtual time: a script speaks, scripted engines answer, and all that happens is kept."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np

from tests.voice import MS_PER_LETTER, heard_by_now, spoken, written
from voicebot.audio import AUDIBLE_LEVEL, Pcm, ms_from_samples, samples_from_ms, voiced_span
from voicebot.audio_io.playback import Played
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Cancel, Message, Speech, Transcript
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurn, hum
from voicebot.errors import EngineError
from voicebot.events import Event, StateChanged, TurnEnded
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

CLOCK: Final = LoopClock()
APOLOGY_MS: Final = 800
PATIENCE_S: Final = 120.0
QUIET_S: Final = 0.7
"""No turn can still be about to open as long after a sound."""

LEAD_IN_S: Final = 0.5
"""Of the quiet room, before anything else: what is louder than that is a voice."""
COUGH_MS: Final = 250
"""A shorter hum has no words."""

SomeEvent = TypeVar("SomeEvent")


def understood(pcm: Pcm) -> str:
    """Recognise the readable voice; a hum is a question, a short one a noise."""
    if written(pcm):
        return heard_by_now(pcm)
    span = voiced_span(pcm)
    voiced_ms = 0.0 if span is None else ms_from_samples(span[1] - span[0])
    return "what about question one" if voiced_ms >= COUGH_MS else ""


def unfinished(reply: str = "", **options: Any) -> ScriptedModel:
    """Return a model for which no sentence has ended, so that a turn ends only when the silence is long."""
    options = {"script": lambda _: reply, **options} if reply else options
    return ScriptedModel(finished=lambda _: 0.0, **options)


@dataclass
class FailingRecognizer(ScriptedRecognizer):
    """Fails at its first so many requests."""

    failures: int = 1

    def __post_init__(self) -> None:
        recognised = self.script

        def script(pcm: Pcm) -> str:
            if self.failures:
                self.failures -= 1
                raise EngineError("the recogniser failed.")
            return recognised(pcm)

        self.script = script


@dataclass
class FailingModel(ScriptedModel):
    """Fails at its first so many requests, after a few words."""

    failures: int = 1
    words_before: int = 0

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel, begun: str = ""
    ) -> Iterator[str]:
        for number, word in enumerate(super().generate(messages, max_tokens, cancel, begun)):
            if self.failures and number == self.words_before:
                self.failures -= 1
                raise EngineError("the language model failed.")
            yield word


@dataclass
class FailingSynthesizer(ScriptedSynthesizer):
    """Fails at its first so many requests for clauses from the n-th of a reply on."""

    failures: int = 1
    clauses_before: int = 0
    _clause: int = 0

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        self._clause = 0 if first else self._clause + 1
        if self.failures and self._clause == self.clauses_before:
            self.failures -= 1
            raise EngineError("the synthesizer failed.")
        yield from super().synthesize(text, first=first, cancel=cancel)


@dataclass
class HearingRecognizer(ScriptedRecognizer):
    """Keeps the audio that it was given."""

    heard: list[Pcm] = field(default_factory=list)

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        self.heard.append(pcm)
        return super().transcribe(pcm, cancel, thorough=thorough)


@dataclass
class DoubtfulRecognizer(ScriptedRecognizer):
    """Is as sure of the words as it is told."""

    script: Callable[[Pcm], str] = understood
    sure: Callable[[str], float] = lambda _: -0.1

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        transcript = super().transcribe(pcm, cancel, thorough=thorough)
        return replace(transcript, mean_logprob=self.sure(transcript.text))


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


class Talk:
    """One session and whoever speaks to it."""

    def __init__(self, settings: PipelineSettings, stages: Stages) -> None:
        self.events: list[Event] = []
        self.played: list[Played] = []
        self.state_at: list[tuple[int, str]] = []
        self.remembered: list[int] = []
        """How many exchanges the history had after each event."""
        self.log = _Log()
        self.port = ReplayPort(CLOCK, record=True)
        self.session = Session("talk", self.port, stages, settings, self._observe)
        self.port.playback.subscribe(self.played.extend)
        self._sound_until = 0

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        self.remembered.append(len(self.session.history.exchanges))
        if isinstance(event, StateChanged):
            self.state_at.append((event.at_sample, event.state))

    def say(self, pcm: Pcm) -> int:
        """Speak from the next frame on; return the first sample."""
        start = self.port.say(pcm)
        self._sound_until = start + len(pcm)
        return start

    def speak(self, text: str, ms_per_letter: float = MS_PER_LETTER) -> int:
        """Say words."""
        return self.say(spoken(text, ms_per_letter))

    def say_ms(self, duration_ms: float) -> int:
        return self.say(hum(samples_from_ms(duration_ms)))

    async def ask_ms(self, duration_ms: float) -> TurnEnded:
        """Speak, and wait for the end of the turn."""
        self.say_ms(duration_ms)
        await self.quiet()
        return self.turns[-1]

    async def until(self, state: State) -> None:
        """Wait until the conversation is in a state, looking every millisecond."""
        async with asyncio.timeout(PATIENCE_S):
            while self.session.state is not state:
                await CLOCK.sleep_s(0.001)

    async def quiet(self) -> None:
        """Wait until nobody speaks and nothing more is to come."""
        async with asyncio.timeout(PATIENCE_S):
            quiet_from = self._sound_until + samples_from_ms(QUIET_S * 1000)
            while self.port.now_sample() < quiet_from or self.session.state is not State.IDLE:
                await CLOCK.sleep_s(0.01)

    def of(self, kind: type[SomeEvent]) -> list[SomeEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def turns(self) -> list[TurnEnded]:
        return self.of(TurnEnded)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.of(StateChanged)]

    @property
    def user(self) -> Pcm:
        return self.port.recording()[0]

    @property
    def reply(self) -> Pcm:
        return self.port.recording()[1]

    @property
    def replies(self) -> list[tuple[int, int]]:
        """Return where the speaker was audible, each stretch from its first sample to the one after its last."""
        return stretches(self.reply)


def stretches(pcm: Pcm, gap_ms: float = 2) -> list[tuple[int, int]]:
    """Return where a sound is audible; silence of up to `gap_ms` belongs to it."""
    audible = np.flatnonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE_LEVEL)
    if len(audible) == 0:
        return []
    cuts = np.flatnonzero(np.diff(audible) > samples_from_ms(gap_ms))
    begins, ends = [0, *(cuts + 1)], [*cuts, len(audible) - 1]
    return [(int(audible[begin]), int(audible[end]) + 1) for begin, end in zip(begins, ends, strict=True)]


def length_ms(stretch: tuple[int, int]) -> float:
    return ms_from_samples(stretch[1] - stretch[0])


def tasks_left() -> set[str]:
    """Return the names of all tasks but this one."""
    return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}


def settings(**sections: dict[str, Any]) -> PipelineSettings:
    """Return settings without what would only blur a scripted conversation, unless they ask for it.

    There is no echo to be cancelled, and what is said is not looked at while the user still speaks.
    """
    plain: dict[str, dict[str, Any]] = {
        "speculation": {"partial_every_ms": 0},
        "hearing": {"echo_cancellation": False},
    }
    plain = {name: {**values, **sections.get(name, {})} for name, values in plain.items()}
    return PipelineSettings.model_validate({**sections, **plain})


def converse(
    script: Callable[[Talk], Coroutine[Any, Any, None]],
    using: PipelineSettings | None = None,
    *,
    asr: ScriptedRecognizer | None = None,
    slm: ScriptedModel | None = None,
    tts: ScriptedSynthesizer | None = None,
    turn: ScriptedTurn | None = None,
    stages: Stages | None = None,
) -> Talk:
    """Run a script in a conversation. Asserts that no task is left after it and no error was logged."""

    async def main() -> Talk:
        ears = asr or ScriptedRecognizer(understood)
        talk = Talk(using or settings(), stages or scripted_stages(CLOCK, ears, slm, tts, turn))
        logger = logging.getLogger("voicebot")
        logger.addHandler(talk.log)
        try:
            async with talk.port:
                running = asyncio.create_task(talk.session.run(), name="session")
                running.add_done_callback(functools.partial(_give_up_after, scripted=asyncio.current_task()))
                try:
                    await CLOCK.sleep_s(LEAD_IN_S)
                    await script(talk)
                except asyncio.CancelledError:
                    await running  # which has failed, and says why
                    raise
                talk.port.end()
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await running
                except asyncio.CancelledError:
                    assert running.cancelled()
        finally:
            logger.removeHandler(talk.log)
        assert tasks_left() == set()
        assert [line for line in talk.log.lines if line.startswith("ERROR")] == []
        return talk

    return run_virtual(main())


def _give_up_after(session: asyncio.Task[None], scripted: asyncio.Task[Any] | None) -> None:
    if scripted is not None and not session.cancelled() and session.exception() is not None:
        scripted.cancel()


def voiced(pcm: Pcm) -> Pcm:
    """Return a recording from its first to its last loud sample."""
    span = voiced_span(pcm)
    assert span is not None
    return pcm[span[0] : span[1] + 1]

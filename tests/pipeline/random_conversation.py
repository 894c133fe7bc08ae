"""Conversations that hypothesis makes up: what is said and pressed, and how the engines do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st

from tests.virtual_conversation import (
    CLOCK,
    DoubtfulRecognizer,
    FailingModel,
    FailingRecognizer,
    FailingSynthesizer,
    Talk,
    converse,
    settings,
    tasks_left,
)
from tests.voice import ReadableSynthesizer, heard_by_now, spoken
from voicebot.audio import Frame, Pcm, samples_from_ms, silence
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Cancel, Message, Speech, VoiceEnd
from voicebot.engines.scripted import Pace, ScriptedTurn, hum
from voicebot.errors import EngineError
from voicebot.pipeline.listen import Listener
from voicebot.turn.activity import VoiceEvent
from voicebot.turn.table import State

MS_PER_LETTER: Final = 40
WORDS: Final = (
    *("alpha", "bravo", "charlie,", "delta", "foxtrot.", "golf", "hotel", "india", "juliett", "kilo.", "lima", "mike"),
    *("november", "oscar,", "papa", "quebec", "romeo.", "sierra", "tango", "uniform", "victor", "whiskey", "xray."),
)
"""What replies are made of."""
QUESTIONS: Final = ("what is the time", "why", "tell me about the weather in spain", "my number is five five", "set a")
BACKCHANNELS: Final = ("mm-hm", "right, okay", "yeah", "uh-huh")
COMMANDS: Final = ("stop", "wait", "please stop", "never mind", "wait, what about spain")
ECHOES: Final = ("alpha bravo", "delta", "golf hotel india", "bravo charlie delta foxtrot golf")
MUMBLES: Final = ("kumquat", "and the may chant")
UNSURE_LOGPROB: Final = -1.2
AFFIRMATION: Final = "yes"
ASR, SLM, TTS, TURN = Pace(80), Pace(60, 10), Pace(70), Pace(30)


@dataclass(frozen=True)
class Step:
    """Something that happens, and how long nothing else does after it."""

    what: str
    """Words that are said; "noise", or "button" for a press of stop."""
    pause_ms: int
    noise_ms: int = 0
    inner_pause_ms: int = 0
    """A pause in the middle of the words."""


@dataclass(frozen=True)
class Play:
    """A whole conversation: what is said and pressed, and how the engines do."""

    steps: tuple[Step, ...]
    reply_words: int = 15
    asr: Pace = ASR
    slm: Pace = SLM
    tts: Pace = TTS
    turn: Pace | None = TURN
    """None for a pipeline without that model; below 0 for one that fails."""
    piece_ms: int = 10_000
    finished: tuple[float, ...] = (1.0,)
    """How probably a sentence ends after words, chosen by their number of letters."""
    voice_end: float = 0.9
    failures: tuple[int, int, int] = (0, 0, 0)
    fails_after_words: int = 0
    partial_every_ms: int = 0
    soft_end_ms: int = 64
    opener_after_ms: int = 0
    """0 for none."""


def paces(longest_ms: int) -> st.SearchStrategy[Pace]:
    return st.builds(Pace, st.integers(0, longest_ms), st.integers(0, 60))


def saying(texts: tuple[str, ...], longest_pause_ms: int) -> st.SearchStrategy[Step]:
    inner = st.one_of(st.just(0), st.integers(20, 1500))
    return st.builds(
        Step, st.sampled_from(texts), st.integers(0, longest_pause_ms), noise_ms=st.just(0), inner_pause_ms=inner
    )


QUESTION = st.builds(Step, st.sampled_from(QUESTIONS), st.integers(1200, 3500))
OVER_A_REPLY = saying((*BACKCHANNELS, *COMMANDS, *ECHOES), 1500)
NOISE = st.builds(Step, st.just("noise"), st.integers(0, 1500), st.one_of(st.integers(10, 300), st.integers(300, 3000)))
BUTTON = st.builds(Step, st.just("button"), st.integers(0, 1000))
STEPS = st.lists(
    st.one_of(
        QUESTION, QUESTION, saying(QUESTIONS, 2500), OVER_A_REPLY, NOISE, saying((*MUMBLES, AFFIRMATION), 2500), BUTTON
    ),
    min_size=1,
    max_size=9,
)
PROBABILITIES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
PLAYS = st.builds(
    Play,
    steps=STEPS.map(tuple),
    reply_words=st.integers(0, len(WORDS)),
    asr=paces(700),
    slm=paces(700),
    tts=paces(700),
    turn=st.one_of(st.none(), paces(700), st.just(Pace(-1))),
    piece_ms=st.sampled_from([30, 150, 10_000]),
    finished=st.lists(PROBABILITIES, min_size=1, max_size=4).map(tuple),
    voice_end=st.floats(0, 1),
    failures=st.one_of(st.just((0, 0, 0)), st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))),
    fails_after_words=st.integers(0, 8),
    partial_every_ms=st.sampled_from([0, 150, 700]),
    soft_end_ms=st.sampled_from([32, 64, 160]),
    opener_after_ms=st.sampled_from([0, 0, 100, 650]),
)


@dataclass
class ReadableFailingSynthesizer(FailingSynthesizer):
    """Speaks so that it can be read, and fails at times."""

    piece_ms: float = 10_000

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        list(super().synthesize(text, first=first, cancel=cancel))
        yield from ReadableSynthesizer(MS_PER_LETTER, piece_ms=self.piece_ms).synthesize(
            text, first=first, cancel=cancel
        )


@dataclass
class DoubtfulFailingRecognizer(FailingRecognizer, DoubtfulRecognizer):
    """Is unsure of mumbled words, and fails at times."""


@dataclass
class Held:
    """A conversation that was held."""

    talk: Talk
    frames: list[Frame]
    """What was listened to, in that order."""
    tasks_at_rest: set[str]
    """What still ran when all had come to rest, before the microphone ended."""


def settings_of(play: Play) -> PipelineSettings:
    return settings(
        endpoint={"longest_turn_ms": 4000, "pre_roll_ms": 100},
        speculation={"partial_every_ms": play.partial_every_ms, "soft_end_ms": play.soft_end_ms},
        playback={"ahead_ms": 300},
        clauses={"first_words": 4, "later_words": 6},
        openers={"enabled": play.opener_after_ms > 0, "after_ms": max(100, play.opener_after_ms)},
    )


def sound_of(step: Step) -> Pcm:
    if step.what == "noise":
        return hum(samples_from_ms(step.noise_ms))
    words = spoken(step.what, MS_PER_LETTER)
    if not step.inner_pause_ms:
        return words
    middle = len(words) // 2
    return np.concatenate((words[:middle], silence(samples_from_ms(step.inner_pause_ms)), words[middle:]))


def perform(play: Play) -> Held:
    """Hold the conversation and let it come to its end."""
    reply = " ".join(WORDS[: play.reply_words])
    frames: list[Frame] = []
    tasks_at_rest: set[str] = set()
    hear = Listener.hear

    def listen(self: Listener, frame: Frame, *, echo: bool = False) -> list[VoiceEvent]:
        frames.append(frame)
        return hear(self, frame, echo=echo)

    async def script(talk: Talk) -> None:
        for step in play.steps:
            if step.what == "button":
                talk.session.stop()
                assert talk.session.state is State.IDLE
                sound_ms = 0.0
            else:
                sound = sound_of(step)
                talk.say(sound)
                sound_ms = len(sound) / 16
            await CLOCK.sleep_s((sound_ms + step.pause_ms) / 1000)
        await talk.quiet()
        await CLOCK.sleep_s(0.05)
        tasks_at_rest.update(tasks_left())

    def judged(pcm: Pcm) -> VoiceEnd:
        del pcm
        if play.turn is not None and play.turn.first_ms < 0:
            raise EngineError("the turn model failed.")
        return VoiceEnd(play.voice_end, 0.0, -15.0, 0.7)

    def finished(messages: tuple[Message, ...]) -> float:
        return play.finished[len(messages[-1].content) % len(play.finished)]

    failures, words_before = play.failures, play.fails_after_words
    asr = DoubtfulFailingRecognizer(
        script=heard_by_now,
        pace=play.asr,
        failures=failures[0],
        sure=lambda text: UNSURE_LOGPROB if text in MUMBLES else -0.1,
    )
    slm = FailingModel(lambda _: reply, play.slm, finished, failures=failures[1], words_before=words_before)
    tts = ReadableFailingSynthesizer(
        ms_per_letter=MS_PER_LETTER,
        pace=play.tts,
        failures=failures[2],
        clauses_before=words_before % 3,
        piece_ms=play.piece_ms,
    )
    stages = scripted_stages(CLOCK, asr, slm, tts, ScriptedTurn(judged, play.turn or Pace()))
    openers = (hum(samples_from_ms(200)),) if play.opener_after_ms else ()
    stages = replace(stages, openers=openers, turn=stages.turn if play.turn else None)
    with patch.object(Listener, "hear", listen):
        talk = converse(script, settings_of(play), stages=stages)
    return Held(talk, frames, tasks_at_rest)

"""Words over a reply that the recogniser half believes: the language model says whether they make sense."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from tests.pipeline.test_interruption import BARGE_IN, LONG_REPLY, reach_reply, replying
from tests.virtual_conversation import CLOCK, DoubtfulRecognizer, Talk, converse
from tests.voice import ReadableSynthesizer, spoken
from voicebot.audio import Pcm, samples_from_ms, silence
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.errors import EngineError
from voicebot.turn.table import State
from voicebot.workers.inline import InlineSlm

LIKELY = (BARGE_IN.certain_logprob + BARGE_IN.doubtful_logprob) / 2


class JudgingModel(InlineSlm):
    """Finds words to make sense or not, after a while, and keeps what it was asked."""

    def __init__(self, *, sense: float = 1.0, takes_s: float = 0.0, fails: bool = False) -> None:
        super().__init__(replying(), CLOCK)
        self.asked: list[str] = []
        self.left = 0
        self._sense, self._takes_s, self._fails = sense, takes_s, fails

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        if messages[-1].content == "what is it":
            return 1.0
        self.asked.append(messages[-1].content)
        try:
            await CLOCK.sleep_s(self._takes_s)
        except asyncio.CancelledError:
            self.left += 1
            raise
        if self._fails:
            raise EngineError("the model failed.")
        return self._sense


def likely_words(slm: JudgingModel, sound: Pcm, *, mean_logprob: float = LIKELY, stop_s: float | None = None) -> Talk:
    """Let something be said over a reply of which the recogniser is as sure as that."""
    asr = DoubtfulRecognizer(sure=lambda text: -0.1 if text == "what is it" else mean_logprob)

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 1000)
        talk.say(sound)
        if stop_s is not None:
            await talk.until(State.WEIGHING)
            await CLOCK.sleep_s(stop_s)
            talk.session.stop()
        await talk.quiet()

    stages = scripted_stages(CLOCK, asr, tts=ReadableSynthesizer())
    return converse(script, stages=dataclasses.replace(stages, slm=slm))


def test_words_that_the_recogniser_doubts_do_not_end_a_reply() -> None:
    talk = likely_words(slm := JudgingModel(), spoken("may chant"), mean_logprob=BARGE_IN.doubtful_logprob - 0.1)
    (turn,) = talk.turns
    assert (turn.heard, turn.interrupted) == (LONG_REPLY, False)
    assert slm.asked == []


@pytest.mark.parametrize("takes_s", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("sense", [0.0, 1.0])
def test_likely_words_end_a_reply_when_they_make_sense(sense: float, takes_s: float) -> None:
    talk = likely_words(slm := JudgingModel(sense=sense, takes_s=takes_s), spoken("may chant"))
    assert slm.asked[0] == "may chant"
    assert len(slm.asked) == 1 + (sense > 0)  # the second time as the request of its own turn
    assert [turn.interrupted for turn in talk.turns] == ([True, False] if sense else [False])
    if not sense:
        assert talk.turns[0].heard == LONG_REPLY


def test_when_nobody_can_say_whether_likely_words_make_sense_the_reply_goes_on() -> None:
    talk = likely_words(JudgingModel(fails=True), spoken("may chant"))
    (turn,) = talk.turns
    assert (turn.heard, turn.error) == (LONG_REPLY, None)


def test_who_goes_on_while_his_words_are_judged_is_heard_whole() -> None:
    sound = np.concatenate((spoken("may chant"), silence(samples_from_ms(250)), spoken("of the birds be heard again")))
    talk = likely_words(JudgingModel(sense=0.0, takes_s=1.0), sound)
    assert [turn.user for turn in talk.turns[1:]] == ["may chant of the birds be heard again"]


def test_a_stop_while_words_are_judged_ends_that_too() -> None:
    talk = likely_words(slm := JudgingModel(takes_s=5.0), spoken("may chant"), stop_s=0.3)
    assert [turn.interrupted for turn in talk.turns] == [True]
    assert (len(slm.asked), slm.left) == (1, 1)

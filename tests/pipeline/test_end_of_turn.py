"""When a turn is committed: as soon as the silence is as long as the evidence asks for, whenever that comes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import pytest

from tests.virtual_conversation import (
    CLOCK,
    DoubtfulRecognizer,
    FailingModel,
    FailingRecognizer,
    Talk,
    converse,
    settings,
    unfinished,
)
from voicebot.audio import FRAME_MS, Pcm, ms_from_samples
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import VoiceEnd
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedTurn
from voicebot.errors import EngineError
from voicebot.events import TurnCommitted
from voicebot.turn.endpoint import EndOfTurn, Evidence, Voice
from voicebot.turn.table import State
from voicebot.workers.inline import InlineTurn

REPLY = "This is the answer."
CEILING_MS = settings().endpoint.ceiling_ms


@dataclass
class Judge:
    """Asks for as much silence as it is told, and keeps what it was told."""

    needed_ms: float
    evidence: list[Evidence] = field(default_factory=list)
    at_ms: list[float] = field(default_factory=list)
    pauses_ms: list[float] = field(default_factory=list)
    turns: int = 0


def judged_by(judge: Judge, *, say_ms: tuple[float, ...] = (1000,), pause_s: float = 0, **engines: Any) -> Talk:
    """Hold a conversation in which a judge decides how much silence ends a turn."""

    def needed(_: EndOfTurn, evidence: Evidence) -> float:
        judge.evidence.append(evidence)
        judge.at_ms.append(CLOCK.now_s() * 1000)
        return judge.needed_ms

    async def script(talk: Talk) -> None:
        for duration_ms in say_ms:
            talk.say_ms(duration_ms)
            await CLOCK.sleep_s(duration_ms / 1000 + pause_s)
        await talk.quiet()

    def ended(_: EndOfTurn) -> None:
        judge.turns += 1

    with (
        patch.object(EndOfTurn, "needed_ms", needed),
        patch.object(EndOfTurn, "went_on", lambda _, pause_ms: judge.pauses_ms.append(pause_ms)),
        patch.object(EndOfTurn, "turn_ended", ended),
    ):
        return converse(script, **{"slm": ScriptedModel(lambda _: REPLY), **engines})


def silence_ms(talk: Talk) -> float:
    """Return how much silence was waited for."""
    (turn,) = talk.turns
    return ms_from_samples(turn.marks["committed"] - turn.speech_end_sample)


@pytest.mark.parametrize("needed_ms", [200, 333, 700, 1500])
def test_a_turn_is_committed_when_the_silence_is_as_long_as_was_asked_for(needed_ms: float) -> None:
    talk = judged_by(Judge(needed_ms))
    assert needed_ms <= silence_ms(talk) + FRAME_MS
    assert silence_ms(talk) <= needed_ms + 2 * FRAME_MS


@pytest.mark.parametrize("asr_ms", [100, 150, 400, 1000])
def test_evidence_that_comes_late_commits_at_once(asr_ms: float) -> None:
    talk = judged_by(judge := Judge(120), asr=ScriptedRecognizer(lambda _: "a question", Pace(asr_ms)))
    assert len(judge.at_ms) == 1
    assert ms_from_samples(talk.of(TurnCommitted)[0].at_sample) == pytest.approx(judge.at_ms[0], abs=1)
    assert silence_ms(talk) > asr_ms + 64


def test_without_evidence_in_time_the_longest_silence_ends_the_turn() -> None:
    talk = judged_by(judge := Judge(120), asr=ScriptedRecognizer(lambda _: "a question", Pace(4000)))
    assert judge.evidence == []
    assert silence_ms(talk) == pytest.approx(CEILING_MS, abs=2 * FRAME_MS)
    assert talk.turns[0].heard == REPLY


def test_more_than_the_longest_silence_is_never_waited_for() -> None:
    assert silence_ms(judged_by(Judge(60_000))) == pytest.approx(CEILING_MS, abs=2 * FRAME_MS)


def test_the_evidence_is_the_words_their_certainty_the_length_of_the_speech_and_the_voice() -> None:
    turn = ScriptedTurn(lambda _: VoiceEnd(0.3, -2.0, -12.0, 0.8))
    judged_by(judge := Judge(300), asr=ScriptedRecognizer(lambda _: "A question."), slm=unfinished(REPLY), turn=turn)
    (evidence,) = judge.evidence
    assert (evidence.text, evidence.text_end, evidence.mean_logprob) == ("A question.", 0.0, -0.1)
    assert evidence.voice == Voice(0.3, -2.0, -12.0, 0.8)
    assert evidence.speech_s == pytest.approx(1.0, abs=0.1)


def failing(pcm: Pcm) -> VoiceEnd:
    del pcm
    raise EngineError("the turn model failed.")


def test_when_the_voice_cannot_be_judged_the_words_are() -> None:
    talk = judged_by(judge := Judge(300), turn=ScriptedTurn(failing))
    (evidence,) = judge.evidence
    assert (evidence.text_end, evidence.voice) == (1.0, None)
    assert talk.turns[0].error is None


@pytest.mark.parametrize(
    "engines",
    [
        {"asr": FailingRecognizer(lambda _: "a question")},
        {"slm": FailingModel(lambda _: REPLY)},
    ],
    ids=["recogniser", "model"],
)
def test_when_the_work_has_failed_nothing_is_known_but_the_silence(engines: dict[str, Any]) -> None:
    talk = judged_by(judge := Judge(500), **engines)
    assert judge.evidence[-1].text_end is None
    (turn,) = talk.turns
    assert turn.error is not None
    assert silence_ms(talk) + FRAME_MS >= 500
    assert silence_ms(talk) <= 500 + 2 * FRAME_MS


def test_each_revision_has_its_own_evidence_and_the_pause_between_them_is_told() -> None:
    judge = Judge(500)
    texts = iter(["what is", "what is it"])
    talk = judged_by(judge, say_ms=(600, 600), pause_s=0.4, asr=ScriptedRecognizer(lambda _: next(texts)))
    assert [evidence.text for evidence in judge.evidence] == ["what is", "what is it"]
    assert judge.pauses_ms == [pytest.approx(400, abs=2 * FRAME_MS)]
    assert judge.evidence[1].speech_s == pytest.approx(1.6, abs=0.1)
    assert talk.turns[0].revisions == 2


@pytest.mark.parametrize("asr_ms", [50, 400])
@pytest.mark.parametrize("ends", [(0.4, 0.2), (0.4, 0.6)])
def test_in_a_long_doubt_the_voice_is_judged_once_more_by_more_of_it(asr_ms: float, ends: tuple[float, float]) -> None:
    """More silence alone makes the model surer that the speaker has finished; that does not count."""
    heard: list[int] = []

    def judged(pcm: Pcm) -> VoiceEnd:
        heard.append(len(pcm))
        return VoiceEnd(ends[len(heard) - 1], -len(heard), -15.0, 0.7)

    asr = ScriptedRecognizer(lambda _: "a question", Pace(asr_ms))
    talk = judged_by(judge := Judge(1200), asr=asr, turn=ScriptedTurn(judged))
    voices = [evidence.voice for evidence in judge.evidence]
    assert voices == [Voice(ends[0], -1, -15.0, 0.7), Voice(min(ends), -2, -15.0, 0.7)]
    assert judge.evidence[0].text_end == judge.evidence[1].text_end == 1.0
    later_ms = ms_from_samples(heard[1] - heard[0])
    assert later_ms >= settings().endpoint.weigh_again_ms - 64 - 2 * FRAME_MS
    assert silence_ms(talk) == pytest.approx(1200, abs=2 * FRAME_MS)


@pytest.mark.parametrize("slow_s", [3, 30])
def test_a_voice_model_that_is_slow_the_second_time_delays_nothing(slow_s: float) -> None:
    class Slow(InlineTurn):
        asked = left = 0

        async def judge(self, pcm: Pcm) -> VoiceEnd:
            self.asked += 1
            try:
                await CLOCK.sleep_s(slow_s if self.asked > 1 else 0)
            except asyncio.CancelledError:
                self.left += 1
                raise
            return await super().judge(pcm)

    turn = Slow(ScriptedTurn(), CLOCK)
    stages = replace(scripted_stages(CLOCK, slm=ScriptedModel(lambda _: REPLY)), turn=turn)
    talk = judged_by(Judge(1000), stages=stages)
    assert silence_ms(talk) == pytest.approx(1000, abs=2 * FRAME_MS)
    assert talk.turns[0].heard == REPLY
    assert (turn.asked, turn.left) == (2, 1)


def test_a_pause_between_two_turns_is_none_inside_of_one() -> None:
    talk = judged_by(judge := Judge(200), say_ms=(600, 600), pause_s=4)
    assert judge.pauses_ms == []
    assert judge.turns == len(talk.turns) == 2


def test_evidence_of_a_stale_revision_is_not_heard() -> None:
    """The voice model answers after the user has gone on."""
    slow = ScriptedTurn(pace=Pace(500))
    judge = Judge(150)
    talk = judged_by(judge, say_ms=(600, 600), pause_s=0.4, turn=slow)
    assert len(judge.evidence) == 1
    assert talk.turns[0].revisions == 2


def test_finished_words_are_answered_sooner_than_unfinished_ones() -> None:
    """With the rules that are shipped."""

    async def script(talk: Talk) -> None:
        await talk.ask_ms(2000)

    sure, open_ = (silence_ms(converse(script, slm=slm)) for slm in (ScriptedModel(lambda _: REPLY), unfinished(REPLY)))
    assert sure <= settings().endpoint.floor_ms + 3 * FRAME_MS
    assert open_ == pytest.approx(CEILING_MS, abs=2 * FRAME_MS)


def test_a_mere_command_needs_no_evidence_and_has_time_to_go_on() -> None:
    async def script(talk: Talk) -> None:
        talk.speak("never mind")
        await talk.quiet()

    talk = converse(script, slm=(slm := unfinished(REPLY)))
    (turn,) = talk.turns
    assert (turn.source, turn.reply) == ("intent", "")
    assert silence_ms(talk) == pytest.approx(settings().endpoint.doubt_ms, abs=3 * FRAME_MS)
    assert slm.requests == []
    assert talk.session.history.exchanges == ()


class TestAskingBack:
    """A request that was hardly understood, and the answer to the question back."""

    def conversation(self, answer: str, *, over: bool = False) -> tuple[Talk, ScriptedModel]:
        """Answer when the question has been heard, or `over` its end."""
        slm = ScriptedModel(lambda messages: f"So it is {messages[-1].content}.")

        async def script(talk: Talk) -> None:
            talk.speak("a kumquat")
            if over:
                await talk.until(State.SPEAKING)
                await CLOCK.sleep_s(1.2)
            else:
                await talk.quiet()
            talk.speak(answer)
            await talk.quiet()

        asr = DoubtfulRecognizer(sure=lambda text: -1.5 if text == "a kumquat" else -0.1)
        return converse(script, asr=asr, slm=slm), slm

    def test_who_says_yes_is_answered_for_what_he_said_first(self) -> None:
        talk, slm = self.conversation("yes")
        asked, answered = talk.turns
        assert (asked.source, asked.heard) == ("intent", "Sorry, did you say: a kumquat?")
        assert (answered.source, answered.user, answered.heard) == ("slm", "yes", "So it is a kumquat.")
        assert len(slm.requests) == 1
        assert [message.content for message in slm.requests[0][1:]] == [
            "a kumquat",
            "Sorry, did you say: a kumquat?",
            "a kumquat",
        ]
        assert [exchange.user for exchange in talk.session.history.exchanges] == ["a kumquat"] * 2

    @pytest.mark.parametrize("answer", ["yes", "yeah, right", "that's right"])
    def test_a_yes_over_the_question_back_is_an_answer_and_no_backchannel(self, answer: str) -> None:
        talk, _ = self.conversation(answer, over=True)
        asked, answered = talk.turns
        assert asked.interrupted
        assert asked.heard.startswith("Sorry, did")
        assert (answered.user, answered.heard) == (answer, "So it is a kumquat.")

    def test_a_hum_over_the_question_back_is_none(self) -> None:
        talk, _ = self.conversation("mm-hm", over=True)
        assert [turn.interrupted for turn in talk.turns] == [False]

    def test_who_says_something_else_is_answered_for_that(self) -> None:
        talk, slm = self.conversation("no, a lemon")
        assert talk.turns[1].heard == "So it is no, a lemon."
        assert len(slm.requests) == 1

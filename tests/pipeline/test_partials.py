"""What has been said so far, while it is still being said: one look at a time, and what it is good for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.virtual_conversation import (
    CLOCK,
    HearingRecognizer,
    Talk,
    converse,
    settings,
    tasks_left,
    understood,
)
from tests.voice import spoken
from voicebot.audio import Pcm, samples_from_ms
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Transcript
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.errors import EngineError
from voicebot.events import Event, Interrupted, PartiallyTranscribed, Transcribed
from voicebot.latency.work import WorkLedger, charged_to
from voicebot.pipeline.partials import Partial, Partials, ReadAlong
from voicebot.pipeline.recognize import Recognized
from voicebot.turn.table import State


class Ears:
    """Takes a second, and costs one."""

    def __init__(self, *, fails: bool = False) -> None:
        self.heard: list[int] = []
        self.thorough: list[bool] = []
        self._fails = fails

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        work = charged_to.get()
        assert work is not None
        self.heard.append(len(pcm))
        self.thorough.append(thorough)
        try:
            await CLOCK.sleep_s(1)
        except asyncio.CancelledError:
            work.charge(0.5, cancelled=True)
            raise
        work.charge(1.0, cancelled=False)
        if self._fails:
            raise EngineError("the ears failed.")
        return Transcript("hello", -0.2, 0.0, 1.0, fallback=False)


class Looks:
    def __init__(self, ears: Ears) -> None:
        self.ledger = WorkLedger()
        self.seen: list[Partial] = []
        self.partials = Partials(ears, self.ledger, self.seen.append)


Script = Callable[[Looks, asyncio.TaskGroup], Coroutine[Any, Any, None]]


def looking(script: Script, ears: Ears) -> Looks:
    async def main() -> Looks:
        looks = Looks(ears)
        async with asyncio.TaskGroup() as group:
            await script(looks, group)
        assert tasks_left() == set()
        return looks

    return run_virtual(main())


def test_a_look_reports_what_it_saw_and_up_to_where() -> None:
    async def script(looks: Looks, group: asyncio.TaskGroup) -> None:
        assert not looks.partials.looking
        looks.partials.look(group, hum(500), 1500)
        assert looks.partials.looking
        await CLOCK.sleep_s(2)
        assert not looks.partials.looking

    looks = looking(script, ears := Ears())
    assert looks.seen == [Partial(Recognized("hello", -0.2), 1500)] == [looks.partials.latest]
    assert (ears.heard, ears.thorough) == ([500], [False])


def test_there_is_one_look_at_a_time() -> None:
    async def script(looks: Looks, group: asyncio.TaskGroup) -> None:
        for samples in (100, 200, 300):
            looks.partials.look(group, hum(samples), samples)
            await CLOCK.sleep_s(0.6)

    looks = looking(script, ears := Ears())
    assert ears.heard == [100, 300]
    assert [partial.until_sample for partial in looks.seen] == [100, 300]


@pytest.mark.parametrize("after_s", [0, 0.5, 1.0])
def test_nothing_is_reported_of_a_look_that_was_given_up(after_s: float) -> None:
    async def script(looks: Looks, group: asyncio.TaskGroup) -> None:
        looks.partials.look(group, hum(100), 100)
        await CLOCK.sleep_s(after_s)
        looks.partials.cancel()
        assert not looks.partials.looking
        looks.partials.look(group, hum(200), 200)

    looks = looking(script, Ears())
    assert [partial.until_sample for partial in looks.seen] == [200]


def test_a_look_that_fails_has_seen_no_words() -> None:
    async def script(looks: Looks, group: asyncio.TaskGroup) -> None:
        looks.partials.look(group, hum(100), 100)

    assert looking(script, Ears(fails=True)).seen == [Partial(Recognized("", 0.0), 100)]


def test_looks_are_counted_and_those_that_were_given_up_as_wasted() -> None:
    async def script(looks: Looks, group: asyncio.TaskGroup) -> None:
        looks.partials.look(group, hum(100), 100)
        await CLOCK.sleep_s(2)
        looks.partials.look(group, hum(100), 100)
        await CLOCK.sleep_s(0.5)
        looks.partials.cancel()

    ledger = looking(script, Ears()).ledger
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (1.5, 0.5)


SENTENCE = "tell me something about the weather in Spain"


def said(sentence: str = SENTENCE, *, every_ms: int, **engines: Any) -> Talk:
    async def script(talk: Talk) -> None:
        talk.speak(sentence)
        await talk.quiet()

    return converse(script, settings(speculation={"partial_every_ms": every_ms}), **engines)


def user_texts(model: ScriptedModel) -> list[str]:
    return [messages[-1].content for messages in model.prefills if messages[-1].role == "user"]


def test_while_the_user_speaks_the_model_takes_in_his_words() -> None:
    slm, asr = ScriptedModel(), HearingRecognizer(understood)
    talk = said(every_ms=700, asr=asr, slm=slm)
    texts = user_texts(slm)
    assert len(texts) == 3  # of a sentence of 2.6 s
    assert texts == sorted(texts, key=len)
    assert all(SENTENCE.lower().startswith(text) for text in texts)
    assert texts[-1].startswith("tell me something about")
    assert [len(pcm) for pcm in asr.heard] == sorted(len(pcm) for pcm in asr.heard)
    assert talk.turns[0].user == SENTENCE.lower()
    assert talk.turns[0].revisions == 1


def test_without_it_the_model_hears_nothing_before_the_end() -> None:
    slm, asr = ScriptedModel(), HearingRecognizer(understood)
    said(every_ms=0, asr=asr, slm=slm)
    assert user_texts(slm) == []
    assert len(asr.heard) == 1


def test_a_look_that_is_under_way_when_the_user_stops_is_given_up() -> None:
    """The last words are recognised at once, and nothing that is older is taken for them."""
    talk = said(every_ms=150, asr=ScriptedRecognizer(understood, Pace(140)))
    (turn,) = talk.turns
    assert turn.user == SENTENCE.lower()
    assert turn.marks["asr_final"] - turn.marks["soft_end"] == samples_from_ms(140)


def test_looks_at_an_utterance_that_goes_on_after_a_pause_begin_at_its_beginning() -> None:
    slm = ScriptedModel(finished=lambda _: 0.0)

    async def script(talk: Talk) -> None:
        talk.speak("tell me something")
        await CLOCK.sleep_s(len(spoken("tell me something")) / 16_000 + 0.8)
        talk.speak("about the weather in Spain")
        await talk.quiet()

    converse(script, settings(speculation={"partial_every_ms": 600}), slm=slm)
    assert user_texts(slm)[-1].startswith("tell me something about")


def test_a_long_speech_is_not_recognised_over_and_over() -> None:
    """All looks together take in three to four times the speech, however long it is."""
    asr = HearingRecognizer(lambda _: "a question")

    async def script(talk: Talk) -> None:
        talk.say_ms(20_000)
        await talk.quiet()

    converse(script, settings(speculation={"partial_every_ms": 600}), asr=asr)
    *looks, final = (len(pcm) for pcm in asr.heard)
    assert len(looks) > 5
    assert sum(looks) < 4 * final


def test_a_noise_in_which_nothing_is_recognised_warms_nothing() -> None:
    slm = ScriptedModel()

    async def script(talk: Talk) -> None:
        talk.say_ms(2000)
        await talk.quiet()

    converse(
        script,
        settings(speculation={"partial_every_ms": 300}),
        asr=ScriptedRecognizer(lambda _: ""),
        slm=slm,
    )
    assert user_texts(slm) == []


def partial(text: str, until_sample: int = 0) -> Partial:
    return Partial(Recognized(text, -0.2), until_sample)


def test_observers_are_told_when_the_words_are_others() -> None:
    told: list[Event] = []
    along = ReadAlong("local", told.append)
    for turn, text in [
        *((1, "What is"), (1, "what is."), (1, ""), (1, "what is"), (1, "What's the capital?"), (1, "What is")),
        *((2, "What is"), (2, "What is...")),
    ]:
        along.tell(turn, partial(text, 320))
    assert told == [
        PartiallyTranscribed("local", 1, 320, "What is"),
        PartiallyTranscribed("local", 1, 320, "What's the capital"),
        PartiallyTranscribed("local", 1, 320, "What is"),
        PartiallyTranscribed("local", 2, 320, "What is"),
    ]


def test_the_words_are_told_while_they_are_spoken_and_only_then() -> None:
    talk = said(every_ms=700)
    told = talk.of(PartiallyTranscribed)
    texts = [event.text for event in told]
    assert len(texts) == 3  # of a sentence of 2.6 s
    assert all(SENTENCE.lower().startswith(text) for text in texts)
    assert texts == sorted(set(texts), key=len)
    assert {event.turn for event in told} == {1}
    (turn,) = talk.turns
    assert all(event.until_sample < turn.speech_end_sample for event in told)
    moments = [event for event in talk.events if isinstance(event, PartiallyTranscribed | Transcribed)]
    assert isinstance(moments[-1], Transcribed)
    assert [type(event) for event in moments].count(Transcribed) == 1


def test_of_speech_over_a_reply_nothing_is_told_before_it_has_stopped_it() -> None:
    async def script(talk: Talk) -> None:
        talk.speak("what is it")
        await talk.until(State.SPEAKING)
        talk.speak("please wait and tell me something about the weather in Spain instead of that")
        await talk.quiet()

    slm = ScriptedModel(lambda _: "This is a long reply. " * 20)
    talk = converse(script, settings(speculation={"partial_every_ms": 300}), slm=slm)
    (interrupted,) = talk.of(Interrupted)
    before = [event for event in talk.of(PartiallyTranscribed) if event.turn == interrupted.turn]
    after = [event for event in talk.of(PartiallyTranscribed) if event.turn > interrupted.turn]
    assert all(event.until_sample < interrupted.speech_sample for event in before)
    assert after[0].until_sample > interrupted.confirmed_sample
    assert after[0].text.startswith("please wait")


def test_without_looks_nothing_is_told_before_the_end() -> None:
    assert said(every_ms=0).of(PartiallyTranscribed) == []

"""A conversation that begins with a word or a button, to the word of what is recognised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.virtual_conversation import CLOCK, HearingRecognizer, Talk, converse, settings, understood
from tests.voice import ReadableSynthesizer, heard_by_now
from voicebot.audio import Pcm
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, ScriptedWakeWord
from voicebot.events import AttentionChanged, Interrupted
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

WINDOW_S = 4.0
LATE_MS = 80
"""It knows that a word has ended when the next one has begun."""
LONG = "here is a very long story that goes on and on for quite a while before it ends"


def called(pcm: Pcm) -> bool:
    return "okay nabu" in heard_by_now(pcm)


def waiting_for_the_word(
    words: list[ScriptedWakeWord] | None = None, reply: str = "it is noon", asr: ScriptedRecognizer | None = None
) -> Stages:
    def make() -> ScriptedWakeWord:
        word = ScriptedWakeWord(called, LATE_MS)
        if words is not None:
            words.append(word)
        return word

    ears = asr or ScriptedRecognizer(understood)
    stages = scripted_stages(CLOCK, ears, ScriptedModel(lambda _: reply), ReadableSynthesizer())
    return replace(stages, make_wake_word=make)


def waking(mode: str = "word", **sections: dict[str, Any]) -> Any:
    return settings(wake={"mode": mode, "window_s": WINDOW_S}, **sections)


def changes(talk: Talk) -> list[bool]:
    return [change.attentive for change in talk.of(AttentionChanged)]


def requests(talk: Talk) -> list[str]:
    return [turn.user for turn in talk.turns]


async def asks(talk: Talk, *texts: str) -> None:
    for text in texts:
        talk.speak(text)
        await talk.quiet()


def test_without_the_word_nothing_is_recognised() -> None:
    asr = HearingRecognizer(understood)
    talk = converse(lambda talk: asks(talk, "what time is it", "nabu"), waking(), stages=waiting_for_the_word(asr=asr))
    assert asr.heard == []
    assert talk.events == []


def test_a_request_in_the_same_breath_is_recognised_without_the_word() -> None:
    talk = converse(lambda talk: asks(talk, "okay nabu what time is it"), waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["what time is it"]
    assert changes(talk) == [True]


def test_a_request_after_a_pause() -> None:
    talk = converse(lambda talk: asks(talk, "okay nabu", "what time is it"), waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["what time is it"]
    assert changes(talk) == [True]


def test_what_is_said_before_the_word_does_not_count() -> None:
    said = "we were just talking okay nabu what time is it"
    talk = converse(lambda talk: asks(talk, said), waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["what time is it"]


def test_after_a_reply_the_conversation_goes_on_for_a_while() -> None:
    async def script(talk: Talk) -> None:
        await asks(talk, "okay nabu what time is it", "and tomorrow")
        await CLOCK.sleep_s(WINDOW_S + 0.5)
        await asks(talk, "who is that")

    talk = converse(script, waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["what time is it", "and tomorrow"]
    assert changes(talk) == [True, False]


def test_the_word_is_left_out_where_it_was_not_needed() -> None:
    script = ("okay nabu what time is it", "okay nabu and tomorrow", "okay nabu", "and then")
    talk = converse(lambda talk: asks(talk, *script), waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["what time is it", "and tomorrow", "and then"]
    assert changes(talk) == [True, True, True]


def test_who_begins_in_time_may_speak_for_longer() -> None:
    async def script(talk: Talk) -> None:
        await asks(talk, "okay nabu")
        await CLOCK.sleep_s(WINDOW_S - 1.5)
        await asks(talk, "tell me all that you know about the spiders of the world please")

    talk = converse(script, waking(), stages=waiting_for_the_word())
    assert requests(talk) == ["tell me all that you know about the spiders of the world please"]


def test_the_word_stops_a_reply_and_begins_a_request() -> None:
    async def script(talk: Talk) -> None:
        talk.speak("okay nabu tell me a story")
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.5)
        talk.speak("okay nabu what time is it")
        await talk.quiet()

    talk = converse(script, waking(), stages=waiting_for_the_word(reply=LONG))
    assert requests(talk) == ["tell me a story", "what time is it"]
    assert [turn.interrupted for turn in talk.turns] == [True, False]
    assert len(talk.of(Interrupted)) == 1


def test_a_text_from_elsewhere_can_be_interrupted_without_the_word() -> None:
    async def script(talk: Talk) -> None:
        said = talk.session.say(LONG)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.5)
        talk.speak("stop")
        assert (await said).interrupted
        await talk.quiet()

    converse(script, waking(), stages=waiting_for_the_word())


def test_the_detector_of_the_word_sleeps_in_silence() -> None:
    words: list[ScriptedWakeWord] = []

    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(60)
        assert words[0].chunks == 0
        talk.speak("hm")
        await CLOCK.sleep_s(60)

    talk = converse(script, waking(), stages=waiting_for_the_word(words))
    assert talk.events == []
    assert 0 < words[0].chunks < 100


def test_push_to_talk() -> None:
    async def script(talk: Talk) -> None:
        await asks(talk, "who is that")
        talk.session.listen()
        await asks(talk, "what time is it")
        await CLOCK.sleep_s(WINDOW_S + 0.5)
        await asks(talk, "and tomorrow")
        talk.session.listen()
        talk.session.listen(pressed=False)
        await CLOCK.sleep_s(0.1)
        await asks(talk, "who is that")

    talk = converse(script, waking("push"), stages=replace(waiting_for_the_word(), make_wake_word=None))
    assert requests(talk) == ["what time is it"]
    assert changes(talk) == [True, False, True, False]


def test_a_button_that_is_pressed_late() -> None:
    async def script(talk: Talk) -> None:
        talk.speak("what time is it in the city of london")
        await CLOCK.sleep_s(0.8)
        talk.session.listen()
        await talk.quiet()

    talk = converse(script, waking("push"), stages=replace(waiting_for_the_word(), make_wake_word=None))
    assert len(requests(talk)) == 1
    assert requests(talk)[0].endswith("in the city of london")


@pytest.mark.parametrize("pressed", [True, False])
def test_who_is_always_heard_needs_no_button(pressed: bool) -> None:
    async def script(talk: Talk) -> None:
        talk.session.listen(pressed=pressed)
        await asks(talk, "what time is it")

    talk = converse(script, waking("always"), stages=replace(waiting_for_the_word(), make_wake_word=None))
    assert requests(talk) == ["what time is it"]
    assert changes(talk) == []

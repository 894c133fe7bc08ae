"""Coughs, noises and our own echo over a reply; and a reply that ends while somebody may be speaking."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pipeline.test_resumption import (
    LETTERS,
    SETTLED,
    goes_on_unharmed,
    letters,
    level,
    moments,
    no_word_is_lost_or_heard_twice,
    reach_reply,
    replying,
    spoken_over,
)
from tests.virtual_conversation import HearingRecognizer, Talk, converse, length_ms, settings
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.audio import ms_from_samples, samples_from_ms
from voicebot.engines.scripted import ScriptedRecognizer, hum
from voicebot.events import Interrupted, Resumed


@pytest.mark.parametrize("cough_ms", [70, 80])
def test_a_click_or_a_short_cough_ducks_the_reply_and_it_goes_on_without_a_gap(cough_ms: int) -> None:
    async def script(talk: Talk) -> None:
        await reach_reply(talk, 1000)
        talk.say_ms(cough_ms)
        await talk.quiet()

    talk = converse(script, slm=replying(), tts=ReadableSynthesizer())
    assert talk.states[3:] == ["speaking", "overlap", "speaking", "idle"]
    goes_on_unharmed(talk)
    assert talk.of(Resumed) == []
    assert letters(talk.reply) == LETTERS
    ducked, back = moments(talk, "overlap")[0], moments(talk, "speaking")[-1]
    assert level(talk.reply[ducked + SETTLED : back]) == pytest.approx(0.35 * level(talk.reply), rel=0.02)


@pytest.mark.parametrize("cough_ms", [100, 150, 200, 240])
def test_a_longer_cough_holds_the_reply_and_it_goes_on(cough_ms: int) -> None:
    async def script(talk: Talk) -> None:
        await reach_reply(talk, 1000)
        talk.say_ms(cough_ms)
        await talk.quiet()

    talk = converse(script, slm=replying(), tts=ReadableSynthesizer())
    assert "paused" in talk.states
    goes_on_unharmed(talk)
    no_word_is_lost_or_heard_twice(talk, moments(talk, "paused")[0], moments(talk, "speaking")[-1])


def test_a_noise_that_goes_on_holds_the_reply_only_for_a_while() -> None:
    asr = ScriptedRecognizer(lambda pcm: "a question" if len(pcm) < samples_from_ms(1700) and not talks else "")
    talks: list[Talk] = []

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 1000)
        talks.append(talk)
        talk.say_ms(4000)
        await talk.quiet()

    talk = converse(script, asr=asr, slm=replying(), tts=ReadableSynthesizer())
    goes_on_unharmed(talk)
    held, resumed = moments(talk, "paused")[0], moments(talk, "speaking")[-1]
    assert 1300 < ms_from_samples(resumed - held) < 1800
    no_word_is_lost_or_heard_twice(talk, held, resumed)


@pytest.mark.parametrize("text", ["is a long reply", "this is", "first of all"])
def test_words_of_the_reply_itself_are_our_echo(text: str) -> None:
    talk = spoken_over(spoken(text, 40), 1500)
    goes_on_unharmed(talk)
    assert len(talk.of(Resumed)) == 1


def test_words_of_the_reply_that_are_not_being_said_are_no_echo() -> None:
    talk = spoken_over(spoken("a third one as well"), 300)
    assert [turn.interrupted for turn in talk.turns] == [True, False]


@pytest.mark.parametrize("before_end_ms", [20, 60, 90, 140, 220])
def test_a_reply_that_ends_during_a_cough_has_ended(before_end_ms: int) -> None:
    reply = "This is a short reply."

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 60 * len(reply) - before_end_ms)
        talk.say_ms(90)
        await talk.quiet()
        await talk.ask_ms(1000)

    talk = converse(script, slm=replying(reply), tts=ReadableSynthesizer())
    assert [turn.heard for turn in talk.turns] == [reply, reply]
    assert talk.turns[0].user == "what about question one"
    assert level(talk.reply[slice(*talk.replies[-1])]) == level(talk.reply)


@pytest.mark.parametrize("ends_first_ms", [0, 30, 60])
def test_a_reply_that_ends_while_ducked_opens_a_turn_when_the_speech_is_confirmed(ends_first_ms: int) -> None:
    reply = "This is a short reply."

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 60 * len(reply) - 40 - ends_first_ms)
        talk.speak("what about Spain")
        await talk.quiet()

    talk = converse(script, slm=replying(reply), tts=ReadableSynthesizer())
    first, second = talk.turns
    assert (first.heard, first.interrupted) == (reply, False)
    assert second.user == "what about spain"
    assert talk.of(Interrupted) == []
    assert length_ms(talk.replies[0]) == pytest.approx(60 * len(reply), abs=5)


@pytest.mark.parametrize("noise_s", [3.0, 4.5])
def test_a_noise_that_outlasts_the_reply_is_no_part_of_the_next_question(noise_s: float) -> None:
    """It was taken for noise; what follows it without a pause is heard from where the reply ended."""
    reply = "This is a short reply, is it."
    noise = hum(samples_from_ms(1000 * noise_s))
    noise[-samples_from_ms(2) :] = 0  # or it would blur the first letter

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 500)
        talk.say(np.concatenate((noise, spoken("what about Spain"))))
        await talk.quiet()

    asr = HearingRecognizer(lambda pcm: written(pcm) or ("a question" if not asr.heard[1:] else ""))
    talk = converse(script, asr=asr, slm=replying(reply), tts=ReadableSynthesizer())
    first, second = talk.turns
    assert (first.heard, first.interrupted) == (reply, False)
    assert second.user == "what about spain"
    assert len(asr.heard[-1]) < samples_from_ms(1000 * noise_s)


def test_sounds_over_a_reply_do_not_shorten_the_next_turn() -> None:
    """The longest turn is counted from its own beginning, though there was no long silence before it."""
    pause = np.zeros(samples_from_ms(1000), np.int16)
    question = spoken("what about Spain and Portugal")

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 500)
        talk.say(np.concatenate((spoken("mm-hm"), pause, spoken("yeah"), pause, question)))
        await talk.quiet()

    using = settings(endpoint={"longest_turn_ms": 3000})
    talk = converse(script, using, slm=replying(), tts=ReadableSynthesizer())
    assert [turn.user for turn in talk.turns[1:]] == ["what about spain and portugal"]
    assert talk.turns[1].revisions == 1

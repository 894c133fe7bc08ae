"""What is said over a reply and meant: the reply is ended for good, remembered as far as it was heard, and answered."""

from __future__ import annotations

import numpy as np
import pytest

from tests.virtual_conversation import (
    CLOCK,
    HearingRecognizer,
    Talk,
    converse,
    length_ms,
    settings,
    stretches,
    understood,
)
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.assistant.history import Exchange
from voicebot.audio import FRAME_MS, Pcm, ms_from_samples, samples_from_ms, silence
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer
from voicebot.events import Interrupted, Resumed, Transcribed
from voicebot.turn.table import State

LONG_REPLY = "First of all, this is a long reply. It has a second sentence. It has a third one as well."
SECOND_REPLY = "Here is the second answer."
BARGE_IN = settings().barge_in


def replying(first: str = LONG_REPLY) -> ScriptedModel:
    """Return a model whose first reply is that and the next ones short."""
    replies = iter([first, *[SECOND_REPLY] * 9])
    return ScriptedModel(lambda _: next(replies))


def level(pcm: Pcm) -> float:
    return float(np.abs(pcm.astype(int)).max(initial=0))


def plain(text: str) -> str:
    return text.lower().replace(" ", "")


def letters(pcm: Pcm) -> str:
    """Return what is said in a recording, without spaces: none is spoken between clauses."""
    return plain(written(pcm))


async def reach_reply(talk: Talk, into_ms: float) -> None:
    talk.speak("what is it")
    await talk.until(State.SPEAKING)
    await CLOCK.sleep_s(into_ms / 1000)


def interrupted_by(sound: Pcm, into_ms: float = 1000, **engines: object) -> Talk:
    async def script(talk: Talk) -> None:
        await reach_reply(talk, into_ms)
        talk.say(sound)
        await talk.quiet()

    return converse(script, **{"slm": replying(), "tts": ReadableSynthesizer(), **engines})  # type: ignore[arg-type]


def onset_of(talk: Talk, number: int) -> int:
    """Return where the user's n-th utterance begins."""
    return stretches(talk.user, gap_ms=300)[number][0]


@pytest.mark.parametrize("into_ms", [40, 500, 1330, 2600, 4000])
def test_a_question_over_a_reply_ducks_holds_and_ends_it_and_is_answered(into_ms: int) -> None:
    talk = interrupted_by(spoken("what about Spain and Portugal"), into_ms)
    first, second = talk.turns
    (interruption,) = talk.of(Interrupted)
    assert (first.interrupted, second.interrupted) == (True, False)
    assert talk.states[3:9] == ["speaking", "overlap", "paused", "listening", "pending", "thinking"]
    assert (second.user, second.heard) == ("what about spain and portugal", SECOND_REPLY)
    assert talk.session.history.exchanges == (
        Exchange("what is it", first.heard),
        Exchange("what about spain and portugal", SECOND_REPLY),
    )

    onset = onset_of(talk, 1)
    assert abs(interruption.speech_sample - onset) <= samples_from_ms(FRAME_MS)
    assert interruption.ducked_sample is not None
    assert interruption.paused_sample is not None
    assert 0 <= ms_from_samples(interruption.ducked_sample - onset) <= 2 * FRAME_MS
    assert 0 <= ms_from_samples(interruption.paused_sample - onset) <= 96 + 2 * FRAME_MS
    assert ms_from_samples(interruption.confirmed_sample - onset) <= 1300

    (heard_from, heard_to), second_reply = stretches(talk.reply, gap_ms=300)
    assert 0 <= ms_from_samples(heard_to - interruption.paused_sample) <= FRAME_MS + 10
    assert level(talk.reply[slice(*second_reply)]) == level(talk.reply)
    heard = letters(talk.reply[heard_from:heard_to])
    assert plain(LONG_REPLY).startswith(heard)
    remembered = len(plain(first.heard))
    next_word = LONG_REPLY[len(first.heard) :].split(maxsplit=1)[0]
    assert len(heard) - len(next_word) < remembered <= len(heard) + 1


def test_the_model_is_told_only_what_was_heard() -> None:
    slm = replying()
    talk = interrupted_by(spoken("what about Spain"), 2000, slm=slm)
    assert [message.role for message in slm.requests[1]] == ["system", "user", "assistant", "user"]
    assert slm.requests[1][2].content == talk.turns[0].heard


def test_the_interruption_is_recognised_from_its_beginning() -> None:
    asr = HearingRecognizer(understood)
    sound = spoken("what about Spain and all of the other ones")
    interrupted_by(sound, asr=asr)
    (begin, end), *_ = stretches(asr.heard[-1], gap_ms=300)
    assert end - begin == pytest.approx(len(sound), abs=samples_from_ms(5))
    assert begin > samples_from_ms(200)


@pytest.mark.parametrize("text", ["stop", "stop it", "please stop", "that's enough", "never mind", "wait"])
def test_a_command_ends_the_reply_and_is_answered_with_silence(text: str) -> None:
    """There is nothing to say to "stop", and nothing to remember of it."""
    slm = replying()
    talk = interrupted_by(spoken(text), slm=slm)
    first, stopped = talk.turns
    assert first.interrupted
    assert (stopped.user, stopped.source, stopped.reply, stopped.heard) == (text, "intent", "", "")
    assert not stopped.interrupted
    assert "audible" not in stopped.marks
    assert len(stretches(talk.reply, gap_ms=300)) == 1
    assert [exchange.user for exchange in talk.session.history.exchanges] == ["what is it"]
    assert len(slm.requests) == 1
    assert talk.states[-1] == "idle"


def test_a_command_is_decided_as_soon_as_it_is_recognised() -> None:
    """Within the first look at what is said, the time that takes, and a frame or two."""
    (interruption,) = interrupted_by(spoken("stop", 70)).of(Interrupted)
    decided_ms = ms_from_samples(interruption.confirmed_sample - interruption.speech_sample)
    assert decided_ms <= BARGE_IN.first_look_ms + 80 + 2 * FRAME_MS


def test_a_command_before_a_question_ends_the_reply_while_the_user_is_still_speaking() -> None:
    talk = interrupted_by(spoken("wait, what about Spain?"))
    (interruption,) = talk.of(Interrupted)
    looks = 5 * 60 - BARGE_IN.first_look_ms
    decided_ms = ms_from_samples(interruption.confirmed_sample - interruption.speech_sample)
    assert decided_ms <= BARGE_IN.first_look_ms + max(0, looks) + BARGE_IN.look_every_ms + 80 + 2 * FRAME_MS
    assert "weighing" not in talk.states
    assert [(turn.user, turn.heard) for turn in talk.turns[1:]] == [("wait, what about spain?", SECOND_REPLY)]


@pytest.mark.parametrize("pause_ms", [100, 300])
@pytest.mark.parametrize("first", ["wait,", "right,", "no,"])
def test_a_short_pause_after_the_first_word_loses_none_of_them(first: str, pause_ms: int) -> None:
    """Whatever is decided in the pause, and whenever."""
    sound = np.concatenate((spoken(first), silence(samples_from_ms(pause_ms)), spoken("what about Spain")))
    for pace_ms in (0, 80, 400):
        talk = interrupted_by(sound, asr=ScriptedRecognizer(understood, Pace(pace_ms)))
        assert talk.turns[0].interrupted
        said = " ".join(turn.user for turn in talk.turns[1:])
        if talk.of(Resumed):  # it was not meant, and the reply had gone on
            assert first == "right,"
            assert said.endswith("what about spain")
        else:
            assert said == f"{first} what about spain"


def test_words_that_are_known_when_the_interruption_ends_are_not_recognised_again() -> None:
    asr = HearingRecognizer(understood)
    talk = interrupted_by(spoken("why so"), asr=asr)
    assert talk.states[3:8] == ["speaking", "overlap", "paused", "weighing", "pending"]
    second = talk.turns[1]
    assert (second.user, second.heard) == ("why so", SECOND_REPLY)
    assert second.marks["asr_final"] == second.marks["soft_end"]
    looks = len(asr.heard) - 1  # the first request was the first turn's
    assert 1 <= looks <= 3
    assert [event.text for event in talk.of(Transcribed)] == ["what is it", "why so"]
    assert len(asr.heard[-1]) >= len(spoken("why so"))


def test_who_goes_on_after_an_interruption_whose_words_were_known_is_heard_whole() -> None:
    pause = silence(samples_from_ms(400))
    sound = np.concatenate((spoken("why so"), pause, spoken("much of it")))
    slm = ScriptedModel(lambda _: LONG_REPLY, finished=lambda messages: float("so" not in messages[-1].content[-2:]))
    talk = interrupted_by(sound, slm=slm)
    assert [turn.user for turn in talk.turns[1:]] == ["why so much of it"]
    assert talk.turns[1].revisions == 2


def test_a_second_interruption_after_a_resumption() -> None:
    async def script(talk: Talk) -> None:
        await reach_reply(talk, 500)
        talk.speak("mm-hm")
        await talk.until(State.PAUSED)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.8)
        talk.speak("what about Spain")
        await talk.quiet()

    talk = converse(script, slm=replying(), tts=ReadableSynthesizer())
    first, second = talk.turns
    assert len(talk.of(Resumed)) == len(talk.of(Interrupted)) == 1
    assert first.interrupted
    assert second.user == "what about spain"
    held, resumed, _ = stretches(talk.reply, gap_ms=100)
    heard_before, heard_after = letters(talk.reply[slice(*held)]), letters(talk.reply[slice(*resumed)])
    whole = plain(LONG_REPLY)
    assert whole.startswith(heard_before)
    heard = plain(first.heard)
    assert heard_before[: len(heard)] == heard[: len(heard_before)]
    next_word = LONG_REPLY[len(first.heard) :].split(maxsplit=1)[0]
    end = whole.index(heard_after) + len(heard_after)
    assert end - len(next_word) < len(heard) <= end + 1


def test_interruptions_one_after_the_other() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        for _ in range(5):
            await talk.until(State.SPEAKING)
            await CLOCK.sleep_s(0.7)
            talk.say_ms(800)
            await talk.until(State.LISTENING)
        await talk.quiet()

    talk = converse(script, slm=ScriptedModel(lambda _: LONG_REPLY))
    assert [turn.interrupted for turn in talk.turns] == [*[True] * 5, False]
    assert len(talk.replies) == 6
    assert [exchange.heard for exchange in talk.session.history.exchanges] == [turn.heard for turn in talk.turns]


def test_what_was_never_synthesised_is_not_remembered() -> None:
    """The second clause is still being made when the user interrupts."""

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(2)
        await talk.ask_ms(1000)

    talk = converse(script, slm=replying(), tts=ScriptedSynthesizer(pace=Pace(5000)))
    assert talk.turns[0].interrupted
    assert talk.turns[0].heard == "First of all,"


def test_the_next_reply_is_at_full_level_after_one_that_ended_ducked() -> None:
    reply = "This is a short reply."

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s((60 * len(reply) - 60) / 1000)
        await talk.ask_ms(1000)

    talk = converse(script, slm=replying(reply))
    first, second = talk.replies
    assert talk.turns[0].heard == reply
    assert length_ms(first) > 60 * len(reply) - 10
    assert level(talk.reply[slice(*second)]) == level(talk.reply[slice(*first)])

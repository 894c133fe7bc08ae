"""Sounds over a reply that are not meant to stop it: it is ducked, held, and goes on with the first word not heard."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

from tests.virtual_conversation import (
    CLOCK,
    Talk,
    converse,
    settings,
    stretches,
    understood,
)
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.assistant.history import Exchange
from voicebot.audio import FRAME_MS, Pcm, ms_from_samples, samples_from_ms
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer
from voicebot.events import Interrupted, Resumed, TurnDiscarded
from voicebot.turn.table import State

REPLY = "First of all, this is a long reply. It has a second sentence. It has a third one as well."
LETTERS = "".join(REPLY.lower().split())
WORD_BEGINS = [0, *accumulate(len(word) for word in REPLY.split())]
FADE = samples_from_ms(10)
SETTLED = samples_from_ms(FRAME_MS) + FADE
"""After this a change of state can be heard."""


def replying(reply: str = REPLY) -> ScriptedModel:
    return ScriptedModel(lambda _: reply)


async def reach_reply(talk: Talk, into_ms: float) -> None:
    """Ask, and wait until so much of the reply was heard."""
    talk.say_ms(1000)
    await talk.until(State.SPEAKING)
    await CLOCK.sleep_s(into_ms / 1000)


def spoken_over(sound: Pcm, into_ms: float = 1000, **engines: object) -> Talk:
    """Return a conversation in which a reply is spoken over."""

    async def script(talk: Talk) -> None:
        await reach_reply(talk, into_ms)
        talk.say(sound)
        await talk.quiet()

    return converse(script, **{"slm": replying(), "tts": ReadableSynthesizer(), **engines})  # type: ignore[arg-type]


def level(pcm: Pcm) -> float:
    return float(np.abs(pcm.astype(int)).max(initial=0))


def letters(pcm: Pcm) -> str:
    """Return what is said in a recording, without spaces: none is spoken between clauses."""
    return written(pcm).replace(" ", "")


def moments(talk: Talk, state: str) -> list[int]:
    return [sample for sample, name in talk.state_at if name == state]


def goes_on_unharmed(talk: Talk) -> None:
    """One turn, its whole reply heard and remembered, at its full loudness in the end."""
    (turn,) = talk.turns
    assert (turn.heard, turn.interrupted, turn.error) == (REPLY, False, None)
    assert talk.session.history.exchanges == (Exchange(turn.user, REPLY),)
    assert talk.of(Interrupted) == []
    assert talk.of(TurnDiscarded) == []
    end = moments(talk, "speaking")[-1] + SETTLED
    assert level(talk.reply[end:]) == level(talk.reply)


def no_word_is_lost_or_heard_twice(talk: Talk, held: int, resumed: int) -> None:
    """Check what the loudspeaker played before a reply was held, and after it was resumed."""
    before, after = letters(talk.reply[: held + SETTLED]), letters(talk.reply[resumed:])
    assert LETTERS.startswith(before)
    assert LETTERS.endswith(after)
    begin = len(LETTERS) - len(after)
    assert begin in WORD_BEGINS, "it goes on at the beginning of a word"
    assert len(before) >= begin - 1, "no word is lost, but for a scrap at its end"
    word_ends = [*WORD_BEGINS[1:], len(LETTERS)]
    assert len(before) < next(end for end in word_ends if end > begin), "no whole word is heard twice"


@pytest.mark.parametrize("text", ["mm-hm", "right, okay", "Yeah.", "I see", "uh-huh, right"])
def test_a_backchannel_holds_the_reply_and_it_goes_on(text: str) -> None:
    talk = spoken_over(spoken(text))
    assert talk.states[3:] == ["speaking", "overlap", "paused", "weighing", "speaking", "idle"]
    goes_on_unharmed(talk)
    (resumed,) = talk.of(Resumed)
    no_word_is_lost_or_heard_twice(talk, moments(talk, "paused")[0], resumed.at_sample)


@pytest.mark.parametrize("into_ms", range(100, 2300, 110))
def test_wherever_the_reply_is_held_it_goes_on_with_the_first_word_that_was_not_heard(into_ms: int) -> None:
    talk = spoken_over(spoken("mm-hm"), into_ms)
    goes_on_unharmed(talk)
    no_word_is_lost_or_heard_twice(talk, moments(talk, "paused")[0], moments(talk, "speaking")[-1])


@pytest.mark.parametrize("piece_ms", [40, 150, 700])
def test_it_goes_on_in_the_middle_of_a_clause_that_is_still_being_synthesised(piece_ms: float) -> None:
    for into_ms in (300, 900, 1500):
        talk = spoken_over(spoken("mm-hm"), into_ms, tts=ReadableSynthesizer(piece_ms=piece_ms))
        goes_on_unharmed(talk)
        no_word_is_lost_or_heard_twice(talk, moments(talk, "paused")[0], moments(talk, "speaking")[-1])


def test_the_steps_over_a_reply_are_ducked_silent_and_back() -> None:
    sound = spoken("mm-hm")
    talk = spoken_over(sound)
    onset = stretches(talk.user)[1][0]
    ducked, held, resumed = (moments(talk, state)[-1] for state in ("overlap", "paused", "speaking"))
    assert 0 <= ms_from_samples(ducked - onset) <= 2 * FRAME_MS
    assert 0 <= ms_from_samples(held - onset) <= 96 + 2 * FRAME_MS
    loud = level(talk.reply[: ducked + 1])
    assert level(talk.reply[ducked + SETTLED : held]) == pytest.approx(0.35 * loud, rel=0.02)
    assert level(talk.reply[held + SETTLED : resumed]) == 0
    assert ms_from_samples(resumed - held) < 600
    assert level(talk.reply[resumed + SETTLED :]) == loud


def test_what_is_held_fades_out_and_what_is_resumed_fades_in() -> None:
    talk = spoken_over(spoken("mm-hm"))
    held, resumed = moments(talk, "paused")[0], moments(talk, "speaking")[-1]
    block = samples_from_ms(FRAME_MS)
    fade_from = -(-held // block) * block
    fading = np.abs(talk.reply[fade_from : fade_from + FADE].astype(int))
    ducked = 0.35 * level(talk.reply)
    assert (fading <= ducked * np.linspace(1, 0, FADE) + 2).all()
    assert fading.max() > ducked / 4
    assert not talk.reply[fade_from + FADE : resumed].any()
    resume_from = -(-resumed // block) * block
    rising = np.abs(talk.reply[resume_from : resume_from + FADE].astype(int))
    assert (rising <= level(talk.reply) * np.linspace(0, 1, FADE) + 2).all()
    assert rising.max() > level(talk.reply) / 2


def test_several_backchannels_in_one_reply() -> None:
    async def script(talk: Talk) -> None:
        await reach_reply(talk, 500)
        for _ in range(4):
            talk.speak("mm-hm")
            await talk.until(State.PAUSED)
            await talk.until(State.SPEAKING)
            await CLOCK.sleep_s(0.6)
        await talk.quiet()

    talk = converse(script, slm=replying(), tts=ReadableSynthesizer())
    goes_on_unharmed(talk)
    assert len(talk.of(Resumed)) == 4


def test_two_backchannels_with_a_short_pause_between_them() -> None:
    """The second begins while the first is being weighed."""
    pause = np.zeros(samples_from_ms(200), np.int16)
    talk = spoken_over(np.concatenate((spoken("mm-hm"), pause, spoken("right"))), asr=understanding(Pace(300)))
    assert talk.states[3:9] == ["speaking", "overlap", "paused", "weighing", "paused", "weighing"]
    goes_on_unharmed(talk)


def understanding(pace: Pace) -> ScriptedRecognizer:
    return ScriptedRecognizer(understood, pace)


@pytest.mark.parametrize("pace_ms", [0, 10, 30, 60, 80, 150, 300])
@pytest.mark.parametrize("soft_end_ms", [64, 224])
def test_however_long_recognition_takes_a_backchannel_is_weighed(pace_ms: int, soft_end_ms: int) -> None:
    """Also when the last look had seen all of it before the pause was known: nobody waits for a long silence then."""

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 800)
        talk.speak("uh-huh, right")
        await talk.quiet()

    using = settings(barge_in={"soft_end_ms": soft_end_ms})
    talk = converse(script, using, asr=understanding(Pace(pace_ms)), slm=replying(), tts=ReadableSynthesizer())
    goes_on_unharmed(talk)
    weighing, resumed = moments(talk, "weighing")[0], moments(talk, "speaking")[-1]
    assert ms_from_samples(resumed - weighing) <= 2 * pace_ms + 2 * FRAME_MS


def test_without_words_in_time_the_reply_goes_on_when_the_silence_is_long() -> None:
    asr = ScriptedRecognizer(lambda _: "a question", Pace(4000))

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 800)
        talk.speak("mm-hm")
        await talk.quiet()

    talk = converse(script, asr=asr, slm=replying(), tts=ReadableSynthesizer())
    goes_on_unharmed(talk)
    weighing, resumed = moments(talk, "weighing")[0], moments(talk, "speaking")[-1]
    ceiling_ms = settings().endpoint.ceiling_ms
    assert ms_from_samples(resumed - weighing) == pytest.approx(
        ceiling_ms - settings().barge_in.soft_end_ms, abs=2 * FRAME_MS
    )


def test_after_a_backchannel_the_next_question_is_heard_for_itself() -> None:
    """What was said over the reply is not taken for the words of the next turn."""

    async def script(talk: Talk) -> None:
        await reach_reply(talk, 800)
        talk.speak("mm-hm")
        await talk.quiet()
        talk.speak("what about Spain")
        await talk.quiet()

    talk = converse(script, slm=replying(), tts=ReadableSynthesizer())
    assert [turn.user for turn in talk.turns] == ["what about question one", "what about spain"]

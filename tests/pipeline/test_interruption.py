"""The user and the reply at the same time: duck, stop, resume; and what is remembered of it."""

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
)
from voicebot.assistant.history import Exchange
from voicebot.audio import FRAME_MS, Pcm, ms_from_samples, samples_from_ms, voiced_span
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer
from voicebot.events import Interrupted, TurnDiscarded
from voicebot.turn.table import State

LONG_REPLY = "First of all, this is a long reply. It has a second sentence. It has a third one as well."
MS_PER_LETTER = 60


def replying(first: str = LONG_REPLY) -> ScriptedModel:
    """Return a model whose first reply is that and the next ones short."""
    replies = iter([first, *["Here is the second answer."] * 9])
    return ScriptedModel(lambda _: next(replies))


def level(pcm: Pcm) -> float:
    return float(np.abs(pcm.astype(int)).max())


def words_in(reply: str, heard_ms: float) -> list[str]:
    """Return the words of a reply that a hum of that length has reached the end of."""
    letters = heard_ms / MS_PER_LETTER
    return [word for index, word in enumerate(reply.split()) if len(" ".join(reply.split()[: index + 1])) <= letters]


@pytest.mark.parametrize("into_ms", [40, 500, 1330, 2600, 4000])
def test_speech_over_a_reply_ducks_it_then_stops_it_and_is_answered(into_ms: int) -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(into_ms / 1000)
        talk.say_ms(1500)
        await talk.quiet()

    talk = converse(script, slm=replying())
    first, second = talk.turns
    (interruption,) = talk.of(Interrupted)
    assert first.interrupted
    assert not second.interrupted
    assert talk.states[3:6] == ["speaking", "overlap", "listening"]

    onset, ducked, stopped = interruption.speech_sample, interruption.ducked_sample, interruption.confirmed_sample
    assert ducked is not None
    assert 0 < ms_from_samples(ducked - onset) <= 64 + 2 * FRAME_MS
    assert 256 <= ms_from_samples(stopped - onset) <= 256 + 2 * FRAME_MS
    loud = level(talk.reply[talk.replies[0][0] : ducked])
    quiet = talk.reply[ducked + samples_from_ms(FRAME_MS + 10) : stopped]
    assert level(quiet) == pytest.approx(0.35 * loud, rel=0.02)

    heard_from, heard_to = talk.replies[0]
    assert ms_from_samples(heard_to - stopped) <= FRAME_MS + 10
    expected = words_in(LONG_REPLY, length_ms((heard_from, heard_to)))
    assert abs(len(first.heard.split()) - len(expected)) <= 1
    assert LONG_REPLY.startswith(first.heard)
    assert len(first.heard.split()) < len(LONG_REPLY.split())

    assert talk.session.history.exchanges[0] == Exchange(first.user, first.heard)
    assert second.heard == "Here is the second answer."
    assert level(talk.reply[talk.replies[1][0] :]) == loud


def test_the_model_is_told_only_what_was_heard() -> None:
    slm = replying()

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(2)
        await talk.ask_ms(1500)

    talk = converse(script, slm=slm)
    assert [message.role for message in slm.requests[1]] == ["system", "user", "assistant", "user"]
    assert slm.requests[1][2].content == talk.turns[0].heard


def test_the_interruption_is_heard_from_its_beginning() -> None:
    asr = HearingRecognizer()

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        await talk.ask_ms(1500)

    converse(script, asr=asr, slm=replying())
    span = voiced_span(asr.heard[-1])
    assert span is not None
    assert length_ms(span) == pytest.approx(1500, abs=5)
    assert span[0] > samples_from_ms(200)


@pytest.mark.parametrize("noise_ms", [100, 150, 200])
def test_a_cough_ducks_the_reply_and_it_goes_on_unharmed(noise_ms: int) -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        talk.say_ms(noise_ms)
        await talk.quiet()

    talk = converse(script, slm=replying())
    (turn,) = talk.turns
    assert talk.states[3:] == ["speaking", "overlap", "speaking", "idle"]
    assert talk.of(Interrupted) == []
    assert talk.of(TurnDiscarded) == []
    assert turn.heard == turn.reply == LONG_REPLY
    assert not turn.interrupted
    (reply,) = talk.replies  # no gap
    moments = [sample for sample, state in talk.state_at if state in {"overlap", "speaking", "idle"}][1:3]
    settled = samples_from_ms(FRAME_MS + 10)
    assert level(talk.reply[moments[0] + settled : moments[1]]) == pytest.approx(
        0.35 * level(talk.reply[reply[0] : moments[0]]), rel=0.02
    )
    assert level(talk.reply[moments[1] + settled : reply[1]]) == level(talk.reply[reply[0] : moments[0]])


def test_a_click_does_not_even_duck_the_reply() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        talk.say_ms(30)
        await talk.quiet()

    talk = converse(script, slm=replying())
    assert "overlap" not in talk.states
    assert talk.turns[0].heard == LONG_REPLY


@pytest.mark.parametrize("confirm_ms", [256, 1500])
def test_speech_in_progress_when_the_reply_ends_opens_a_turn_from_its_beginning(confirm_ms: int) -> None:
    asr = HearingRecognizer()
    reply = "This is a short reply."

    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(1)
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        before_end_ms = min(200, confirm_ms) if confirm_ms == 256 else 1000
        await CLOCK.sleep_s((MS_PER_LETTER * len(reply) - before_end_ms) / 1000)
        talk.say_ms(1800)
        await talk.quiet()

    using = settings(endpoint={"confirm_ms": confirm_ms, "pre_roll_ms": 100})
    talk = converse(script, using, asr=asr, slm=replying(reply))
    first, second = talk.turns
    assert talk.states[4:7] == ["overlap", "listening", "pending"]
    assert (first.interrupted, second.interrupted) == (False, False)
    assert first.heard == reply
    assert talk.of(Interrupted) == []
    span = voiced_span(asr.heard[-1])
    assert span is not None
    assert length_ms(span) == pytest.approx(1800, abs=5)
    assert span[0] == pytest.approx(samples_from_ms(100), abs=samples_from_ms(FRAME_MS))


def test_a_reply_that_ends_during_a_cough_opens_a_turn_that_is_discarded() -> None:
    reply = "This is a short reply."
    heard = iter(["a question", ""])

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s((MS_PER_LETTER * len(reply) - 120) / 1000)
        talk.say_ms(150)
        await talk.quiet()

    talk = converse(script, asr=ScriptedRecognizer(lambda _: next(heard)), slm=replying(reply))
    assert [turn.heard for turn in talk.turns] == [reply]
    assert len(talk.of(TurnDiscarded)) == 1
    assert talk.session.history.exchanges == (Exchange("a question", reply),)


def test_the_next_reply_is_at_full_level_after_one_that_ended_ducked() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s((MS_PER_LETTER * len("This is a short reply.") - 120) / 1000)
        await talk.ask_ms(1000)

    talk = converse(script, slm=replying("This is a short reply."))
    first, second = talk.replies
    assert level(talk.reply[slice(*second)]) == level(talk.reply[slice(*first)])


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

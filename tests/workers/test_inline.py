"""Scripted engines in the daemon's own process take the time that they pretend to take, in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from voicebot.clock import LoopClock, run_virtual
from voicebot.engines.protocols import Message, VoiceEnd
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurn, hum
from voicebot.errors import EngineError
from voicebot.workers.inline import InlineAsr, InlineSlm, InlineTts, InlineTurn

HELLO = (Message("user", "hello"),)


def test_recognition_takes_its_pace() -> None:
    async def main() -> tuple[str, float]:
        clock = LoopClock()
        transcript = await InlineAsr(ScriptedRecognizer(pace=Pace(80)), clock).transcribe(hum(32_000))
        return transcript.text, clock.now_s()

    text, now_s = run_virtual(main())
    assert text == "an utterance of 2 seconds"
    assert now_s == pytest.approx(0.08)


def test_every_word_takes_its_pace() -> None:
    async def main() -> list[tuple[str, float]]:
        clock = LoopClock()
        slm = InlineSlm(ScriptedModel(pace=Pace(60, 10)), clock)
        assert await slm.prefill(HELLO) == 0
        assert await slm.end_probability(HELLO) == 1.0
        assert round(clock.now_s(), 4) == 0.006
        return [(text, round(clock.now_s() - 0.006, 4)) async for text in slm.generate(HELLO, 10)]

    assert run_virtual(main()) == [("You", 0.06), (" said:", 0.07), (" hello.", 0.08)]


def test_what_the_model_is_given_is_kept_and_its_judgement_takes_a_tenth_of_a_first_token() -> None:
    async def main() -> tuple[float, float]:
        clock = LoopClock()
        model = ScriptedModel(pace=Pace(60), finished=lambda messages: len(messages) / 4)
        slm = InlineSlm(model, clock)
        await slm.prefill(HELLO)
        assert model.prefills == [HELLO]
        assert [text async for text in slm.generate(HELLO, 10, "You said:")] == [" hello."]
        begun_s = clock.now_s()
        return await slm.end_probability(HELLO), clock.now_s() - begun_s

    assert run_virtual(main()) == pytest.approx((0.25, 0.006))


def test_a_judgement_takes_its_pace() -> None:
    async def main() -> tuple[VoiceEnd, float]:
        clock = LoopClock()
        turn = InlineTurn(ScriptedTurn(lambda pcm: VoiceEnd(0.5, 2.0, -len(pcm) / 16, 0.5), Pace(40)), clock)
        return await turn.judge(hum(160)), clock.now_s()

    found, taken_s = run_virtual(main())
    assert found == VoiceEnd(0.5, 2.0, -10.0, 0.5)
    assert taken_s == pytest.approx(0.04)


def test_speech_takes_its_pace_and_is_the_engines_audio() -> None:
    async def main() -> float:
        clock = LoopClock()
        tts = InlineTts(ScriptedSynthesizer(ms_per_letter=50, pace=Pace(70)), clock)
        (speech,) = [speech async for speech in tts.synthesize("hello you", first=True)]
        np.testing.assert_array_equal(speech.pcm, hum(7200))
        assert speech.word_ends == (4000, 7200)
        return clock.now_s()

    assert run_virtual(main()) == pytest.approx(0.07)


def test_an_engines_failure_reaches_whoever_asked() -> None:
    async def main() -> None:
        tts = InlineTts(ScriptedSynthesizer(fails_on="five"), LoopClock())
        with pytest.raises(EngineError, match="five"):
            async for _ in tts.synthesize("five", first=True):
                pass

    run_virtual(main())


def test_a_request_is_cancelled_while_it_pretends_to_work() -> None:
    async def main() -> float:
        clock = LoopClock()
        model = ScriptedModel(pace=Pace(1000, 1000))

        async def ask() -> None:
            async for _ in InlineSlm(model, clock).generate(HELLO, 10):
                pass

        asking = asyncio.create_task(ask())
        await clock.sleep_s(1.5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return clock.now_s()

    assert run_virtual(main()) == pytest.approx(1.5)

"""The stages as the pipeline awaits them, each over a real worker with a scripted engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import numpy as np
import pytest

from tests.workers.rig import order, serving
from voicebot.engines.protocols import Message, Transcript, VoiceEnd
from voicebot.engines.scripted import hum
from voicebot.errors import EngineError
from voicebot.workers.process import Reply
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor

HELLO = (Message("system", "Be brief."), Message("user", "hello you"))


async def test_audio_becomes_a_transcript() -> None:
    async with serving(order("asr")) as rig:
        asr = WorkerAsr(rig.supervisor)
        transcript = await asr.transcribe(hum(5 * 16_000))
        assert transcript == Transcript("an utterance of 5 seconds", -0.1, 0.0, 5.0, fallback=False)
        assert (await asr.transcribe(hum(0))).text == "an utterance of 0 seconds"


async def test_a_conversation_becomes_a_reply() -> None:
    async with serving(order("slm")) as rig:
        slm = WorkerSlm(rig.supervisor)
        assert await slm.prefill(HELLO) == 0
        assert await slm.end_probability(HELLO) == 1.0
        assert [text async for text in slm.generate(HELLO, 10)] == ["You", " said:", " hello", " you."]
        assert [text async for text in slm.generate(HELLO, 1)] == ["You"]
        assert [text async for text in slm.generate(HELLO, 10, "You said:")] == [" hello", " you."]
        assert await slm.end_probability(HELLO) == 1.0
        odd = (Message("user", "naïve\n\N{GRINNING FACE}"),)
        assert "".join([text async for text in slm.generate(odd, 10)]) == "You said: naïve\n\N{GRINNING FACE}."


async def test_a_reply_is_left_before_its_end() -> None:
    async with serving(order("slm")) as rig:
        slm = WorkerSlm(rig.supervisor)
        async with aclosing(slm.generate((Message("user", "word " * 2000),), 4000)) as stream:
            async for text in stream:
                assert text == "You"
                break
        assert [text async for text in slm.generate(HELLO, 1)] == ["You"]


async def test_a_voice_becomes_a_judgement() -> None:
    async with serving(order("turn")) as rig:
        assert await WorkerTurn(rig.supervisor).judge(hum(16_000)) == VoiceEnd(0.9, -3.0, -20.0, 0.5)


async def test_text_becomes_audio() -> None:
    async with serving(order("tts")) as rig:
        (speech,) = [speech async for speech in WorkerTts(rig.supervisor).synthesize("hello you", first=True)]
        np.testing.assert_array_equal(speech.pcm, hum(8640))
        assert speech.word_ends == (4800, 8640)


async def test_a_worker_without_an_answer_is_an_error() -> None:
    class Silent:
        async def request(self, header: dict[str, Any], payload: bytes = b"") -> AsyncGenerator[Reply, None]:
            del header, payload
            for reply in cast("list[Reply]", []):
                yield reply

    with pytest.raises(EngineError, match="no answer"):
        await WorkerAsr(cast("Supervisor", Silent())).transcribe(hum(10))


async def test_what_the_assistant_writes_for_itself_has_time_and_is_not_spoken() -> None:
    headers: list[dict[str, Any]] = []

    class Recording:
        async def request(self, header: dict[str, Any], payload: bytes = b"") -> AsyncGenerator[Reply, None]:
            headers.append(header)
            yield Reply({"probability": 1.0, "computed": 0}, payload)

    slm = WorkerSlm(cast("Supervisor", Recording()), within_s=0.2)
    for session in ("one", "one/summary"):
        await slm.end_probability(HELLO, session=session)
    await slm.prefill(HELLO, session="one")
    assert [(header["within_s"], header["spoken"]) for header in headers] == [(0.2, True), (None, False), (None, True)]

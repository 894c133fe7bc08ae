"""Stages that are Wyoming services elsewhere: what they are asked, what is understood, and what is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from tests.interfaces.wyoming.fake_service import FakeService, Script, Writer, fake_service, then_closes
from tests.interfaces.wyoming.serving import PATIENCE_S, serving, until
from tests.virtual_conversation import CLOCK
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.config.pipeline import AsrSettings, TtsSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedRecognizer
from voicebot.errors import EngineError
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.wyoming.remote import RemoteAsr, RemoteTts, offered_programs
from voicebot.interfaces.wyoming.wire import encoded
from voicebot.pipeline.stages import Asr, Stages, Tts

LONG_MS: Final = 30_000
"""A bound for what takes a moment, on a machine that has a bad minute."""
HELLO: Final = spoken("hello")
FORM: Final = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}


def asr_at(uri: str, **settings: Any) -> RemoteAsr:
    patient = {"connect_timeout_ms": 10_000, "answer_timeout_ms": LONG_MS}
    return RemoteAsr(AsrSettings.model_validate({"engine": "wyoming", "uri": uri, **patient, **settings}))


def tts_at(uri: str, **settings: Any) -> RemoteTts:
    patient = {"connect_timeout_ms": 10_000, "answer_timeout_ms": LONG_MS}
    return RemoteTts(TtsSettings.model_validate({"engine": "wyoming", "uri": uri, **patient, **settings}))


async def said(tts: Tts, text: str = "hello", *, first: bool = False) -> Pcm:
    async with aclosing(tts.synthesize(text, first=first)) as stream:
        return np.concatenate([silence(0), *[speech.pcm async for speech in stream]])


async def failure(asked: Awaitable[object], service: FakeService) -> str:
    with pytest.raises(EngineError) as caught:
        await asked
    return str(caught.value).removeprefix(f"the Wyoming service {service.uri} ")


def chunk(pcm: Pcm, rate: int = SAMPLE_RATE_HZ) -> AudioChunk:
    return AudioChunk(rate, 2, 1, pcm.tobytes())


def readable() -> Stages:
    """Return stages that read and speak the readable voice, at once."""
    return scripted_stages(
        CLOCK, ScriptedRecognizer(written, Pace(0)), tts=ReadableSynthesizer(pace=Pace(0), piece_ms=100)
    )


async def test_our_own_server_is_such_a_service(kept: KeptState) -> None:
    async with serving(kept, readable()) as running:
        uri = f"tcp://127.0.0.1:{running.port}"
        asr: Asr = asr_at(uri)
        tts: Tts = tts_at(uri)
        for text in ("what time is it", "and in spain?"):
            assert (await asr.transcribe(spoken(text))).text == text
            assert written(await said(tts, text)) == text
        assert (await asr.transcribe(silence(SAMPLE_RATE_HZ))).text == ""
        assert "voicebot" in await offered_programs("asr", AsrSettings(engine="wyoming", uri=uri))
        await until(lambda: running.server.status()["clients"] == 0)


async def test_a_service_that_comes_back_is_found_by_the_next_request(kept: KeptState) -> None:
    async with serving(kept, readable()) as running:
        port = running.port
    asr, tts = asr_at(f"tcp://127.0.0.1:{port}"), tts_at(f"tcp://127.0.0.1:{port}")
    for asked in (asr.transcribe(HELLO), said(tts)):
        with pytest.raises(EngineError, match=rf"^the Wyoming service tcp://127.0.0.1:{port} is away \(.*\)\.$"):
            await asked
    async with serving(kept, readable(), port=port):
        assert (await asr.transcribe(HELLO)).text == "hello"
        assert written(await said(tts)) == "hello"


async def test_what_a_recogniser_is_sent_and_how_its_answer_is_taken() -> None:
    partials = (TranscriptStart(), TranscriptChunk("hello ther"), Ping())
    async with fake_service(*partials, Transcript("  Hello\nthere. ")) as service:
        transcript = await asr_at(service.uri, remote_model="large", language="de").transcribe(HELLO)
    assert transcript.text == "Hello there."
    assert -0.8 < transcript.mean_logprob < -0.3, "neither doubtful nor certain"
    assert service.kinds() == ["transcribe", "audio-start", "audio-chunk", "audio-stop"]
    assert service.received[0].data == {"name": "large", "language": "de"}
    assert b"".join(event.payload or b"" for event in service.received) == HELLO.tobytes()


async def test_a_model_is_named_only_where_one_is_wanted() -> None:
    async with fake_service(Transcript("")) as service:
        await asr_at(service.uri).transcribe(HELLO)
    assert service.received[0].data == {"language": "en"}
    async with fake_service(AudioStop()) as service:
        await said(tts_at(service.uri))
        await said(tts_at(service.uri, remote_model="thorsten"))
    assert [event.data for event in service.received] == [
        {"text": "hello"},
        {"text": "hello", "voice": {"name": "thorsten"}},
    ]


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
async def test_a_voice_of_any_rate_is_taken(rate: int) -> None:
    tone = (8000 * np.sin(np.arange(rate) * (2 * np.pi * 220 / rate))).astype(np.int16)
    parts = [chunk(part, rate) for part in np.array_split(tone, 20)]
    async with fake_service(AudioStart(rate, 2, 1), *parts, AudioStop()) as service:
        assert len(await said(tts_at(service.uri))) == pytest.approx(SAMPLE_RATE_HZ, abs=2)


async def test_the_silence_in_front_of_a_reply_is_cut() -> None:
    pause = silence(samples_from_ms(300))
    parts = [chunk(part) for part in np.array_split(np.concatenate((pause, HELLO, pause)), 15)]
    async with fake_service(*parts, AudioStop()) as service:
        tts = tts_at(service.uri, lead_silence_ms=20)
        opening, later = await said(tts, first=True), await said(tts)
    cut = len(later) - len(opening)
    assert later.tobytes() == np.concatenate((pause, HELLO, pause)).tobytes()
    assert len(pause) - samples_from_ms(20) <= cut < len(pause)
    assert opening.tobytes() == later[cut:].tobytes()


PINGS: Final = encoded(Ping()) * 10_001
ASR_FAILURES: Final[dict[str, tuple[tuple[Eventable | bytes, ...], str]]] = {
    "an error": ((Error("no\nmodel"),), "failed: no model."),
    "an error without a text": ((b'{"type": "error"}\n',), "failed: None."),
    "HTTP": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "can't be talked to: what came is no JSON."),
    "no text": ((b'{"type": "transcript"}\n',), "can't be talked to: transcript comes with a text."),
    "a long text": ((Transcript("x" * 2001),), "can't be talked to: a text has at most 2000 characters"),
    "a long header": ((b'{"type": "' + b"x" * 70_000 + b'"}\n',), "can't be talked to: a header has more than 65536"),
    "no end of a header": ((b"x" * 3_000_000,), "can't be talked to: a header has more than 65536"),
    "much data": ((b'{"type": "ping", "data_length": 300000}\n',), "can't be talked to: data_length is a number"),
    "too many events": ((PINGS,), "answered with more than 10000 events."),
}


@pytest.mark.parametrize(("parts", "why"), ASR_FAILURES.values(), ids=ASR_FAILURES)
async def test_what_is_no_transcript_is_an_error(parts: tuple[Eventable | bytes, ...], why: str) -> None:
    async with fake_service(*parts) as service:
        assert (await failure(asr_at(service.uri).transcribe(HELLO), service)).startswith(why)
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)


TTS_FAILURES: Final[dict[str, tuple[tuple[Eventable | bytes, ...], str]]] = {
    "an error": ((Error("no voice"),), "failed: no voice."),
    "a rate of zero": ((b'{"type": "audio-chunk"}\n',), "can't be talked to: audio has a rate of 8000 to 192000"),
    "half a sample": ((AudioChunk(16_000, 2, 1, b"abc"),), "can't be talked to: a chunk of audio ends within a sample"),
    "no end": ((encoded(chunk(silence(16_000))) * 13,), "speaks far longer than 5 letters take."),
}


@pytest.mark.parametrize(("parts", "why"), TTS_FAILURES.values(), ids=TTS_FAILURES)
async def test_what_is_no_speech_is_an_error(parts: tuple[Eventable | bytes, ...], why: str) -> None:
    async with fake_service(*parts) as service:
        assert (await failure(said(tts_at(service.uri)), service)).startswith(why)
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)


@pytest.mark.parametrize("script", [then_closes(), then_closes(AudioStart(**FORM), chunk(HELLO))], ids=["", "in it"])
async def test_a_service_that_hangs_up_is_an_error(script: Script) -> None:
    async with fake_service(script=script) as service:
        for asked in (asr_at(service.uri).transcribe(HELLO), said(tts_at(service.uri))):
            assert await failure(asked, service) == "has closed the connection before it had answered."


async def test_who_is_late_is_hung_up_on() -> None:
    async with fake_service() as service:
        why = await failure(asr_at(service.uri, answer_timeout_ms=100).transcribe(HELLO), service)
        assert why == "gave no transcript within 100 ms."
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)
    async with fake_service(chunk(HELLO), Ping()) as service:
        why = await failure(said(tts_at(service.uri, answer_timeout_ms=100)), service)
        assert why == "sent no audio-chunk for 100 ms."
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)


async def test_an_address_at_which_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("asyncio.open_connection", never)
    with pytest.raises(EngineError, match="is away: it was not connected to within 10 ms"):
        await asr_at("tcp://192.168.1.20:10300", connect_timeout_ms=10).transcribe(HELLO)


async def test_a_cancel_closes_the_connection() -> None:
    async with fake_service() as service:
        asking = asyncio.create_task(asr_at(service.uri).transcribe(HELLO))
        await asyncio.wait_for(service.asked.wait(), PATIENCE_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)


async def test_leaving_a_clause_closes_the_connection() -> None:
    async with fake_service(AudioStart(**FORM), chunk(HELLO)) as service:
        async with aclosing(tts_at(service.uri).synthesize("hello", first=False)) as stream:
            assert (await anext(stream)).pcm.tobytes() == HELLO.tobytes()
            assert not service.gone.is_set()
        await asyncio.wait_for(service.gone.wait(), PATIENCE_S)


async def test_our_own_server_stops_working_for_who_has_left(kept: KeptState) -> None:
    slow = replace(readable(), asr=scripted_stages(CLOCK, ScriptedRecognizer(pace=Pace(10 * LONG_MS))).asr)
    async with serving(kept, slow) as running:
        asking = asyncio.create_task(asr_at(f"tcp://127.0.0.1:{running.port}").transcribe(HELLO))
        await until(lambda: running.server.status()["clients"] == 1)
        asking.cancel()
        await until(lambda: running.server.status()["clients"] == 0)
        assert asking.cancelled()


async def test_a_service_need_not_wait_until_a_clause_is_played() -> None:
    """Some drop whoever does not take what they send."""
    taken = asyncio.Event()

    async def script(writer: Writer) -> None:
        for _ in range(18):
            writer.write(encoded(chunk(silence(SAMPLE_RATE_HZ))))
            await writer.drain()
        writer.write(encoded(AudioStop()))
        await writer.drain()
        taken.set()

    text = "a clause that takes a while"
    async with (
        fake_service(script=script) as service,
        aclosing(tts_at(service.uri).synthesize(text, first=False)) as stream,
    ):
        await anext(stream)
        await asyncio.wait_for(taken.wait(), PATIENCE_S)
        assert sum([len(speech.pcm) async for speech in stream]) == 17 * SAMPLE_RATE_HZ


async def test_what_a_service_offers() -> None:
    async with fake_service(Info()) as service:
        wanted = AsrSettings(engine="wyoming", uri=service.uri)
        assert await offered_programs("asr", wanted) == ()
        assert service.received[0].type == Describe().event().type
    programs = b'{"type": "info", "data": {"asr": [{"name": "whisper"}, {"name": 5}, "x"], "tts": {}}}\n'
    async with fake_service(programs) as service:
        wanted = AsrSettings(engine="wyoming", uri=service.uri)
        assert await offered_programs("asr", wanted) == ("whisper", "5")
        assert await offered_programs("tts", wanted) == ()


def test_that_audio_leaves_the_box_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asr_at("tcp://127.0.0.1:10300")
    tts_at("tcp://[::1]:10300")
    assert caplog.messages == []
    asr_at("tcp://192.168.1.20:10300")
    tts_at("tcp://kitchen.local:10200")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0] == (
        "all that is heard is sent to tcp://192.168.1.20:10300 to be recognised, and not encrypted"
    )
    assert caplog.messages[1].startswith("all that is said is sent to tcp://kitchen.local:10200 ")

"""The Wyoming server: what it offers, whom it serves, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wyoming.asr import Transcript
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from tests.interfaces.wyoming.serving import joined, read_until, send, serving, until
from voicebot.clock import LoopClock
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer
from voicebot.interfaces.kept import KeptState

KINDS: Final = [
    *("describe", "ping", "transcribe", "audio-start", "audio-chunk", "audio-stop", "synthesize", "synthesize-start"),
    *("synthesize-chunk", "synthesize-stop", "transcript", "recognize", "detect", "run-satellite", "no-such-event"),
]

FAST: Final = scripted_stages(
    LoopClock(),
    ScriptedRecognizer(pace=Pace(0)),
    ScriptedModel(pace=Pace(0)),
    ScriptedSynthesizer(ms_per_letter=1, pace=Pace(0)),
)


async def test_it_says_what_it_offers(kept: KeptState) -> None:
    async with serving(kept) as running, running.connected() as client:
        await send(client, Describe())
        info = Info.from_event((await read_until(client, "info"))[-1])
        assert info.asr[0].supports_transcript_streaming
        assert info.tts[0].supports_synthesize_streaming
        assert info.handle[0].supports_handled_streaming
        names = [info.asr[0].models[0].name, info.tts[0].voices[0].name, info.handle[0].models[0].name]
        assert names == ["whisper-tiny.en", "piper-en_US-joe-medium", "smollm2-135m-instruct-q4_1"]
        assert info.asr[0].models[0].languages == info.tts[0].voices[0].languages == ["en"]
        assert info.satellite is None
        await send(client, Ping("hello"))
        assert (await read_until(client, "pong"))[-1].data == {"text": "hello"}


async def test_there_is_a_limit_to_clients(kept: KeptState) -> None:
    async with serving(kept, most_clients=2) as running:
        async with running.connected() as one, running.connected() as two:
            for client in (one, two):
                await send(client, Describe())
                await read_until(client, "info")
            async with running.connected() as three:
                assert "too many" in (await read_until(three, "error"))[-1].data["text"]
                assert await three.read_event() is None
            status = running.service.status()["wyoming"]
            assert (status["clients"], status["refused_clients"]) == (2, 1)
            assert status["listening"] == f"127.0.0.1:{running.port}"
        await until(lambda: running.server.status()["clients"] == 0)
        async with running.connected() as client:
            await send(client, Describe())
            await read_until(client, "info")


async def test_a_client_that_asks_for_nothing_is_disconnected_but_not_while_it_waits(kept: KeptState) -> None:
    slow = scripted_stages(LoopClock(), slm=ScriptedModel(lambda _: "an answer", Pace(600)))
    async with serving(kept, slow, idle_s=0.2) as running, running.connected() as client:
        await send(client, Transcript("a question"))
        assert joined(await read_until(client, "handled-stop"), "handled") == "an answer"
        assert await client.read_event() is None


NONSENSE: Final = {
    "no JSON": b"hello\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\n",
    "a list": b"[]\n",
    "no type": b"{}\n",
    "a number for a type": b'{"type": 5}\n',
    "data that is no object": b'{"type": "describe", "data": [1]}\n',
    "more data that is no object": b'{"type": "describe", "data_length": 2}\n[]',
    "a length below zero": b'{"type": "describe", "data_length": -1}\n',
    "a length that is no number": b'{"type": "describe", "payload_length": true}\n',
    "too much data": b'{"type": "describe", "data_length": 1000000000000}\n',
    "too long a payload": b'{"type": "audio-chunk", "payload_length": 1048577}\n',
    "too long a header": b'{"type": "' + b"x" * 70_000 + b'"}\n',
    "deep JSON": b"[" * 60_000 + b"\n",
    "a huge number": b'{"type": "ping", "data": {"text": ' + b"9" * 5000 + b"}}\n",
    "no text": b'{"type": "synthesize"}\n',
    "a text that is none": b'{"type": "transcript", "data": {"text": ["a"]}}\n',
    "a rate of zero": b'{"type": "audio-chunk", "data": {"rate": 0, "width": 2, "channels": 1}}\n',
    "no channels": b'{"type": "audio-chunk", "data": {"rate": 16000, "width": 2}}\n',
    "half a sample": b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":3}\nabc',
}


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_answered_with_an_error_and_the_end(kept: KeptState, sent: bytes) -> None:
    async with serving(kept) as running:
        async with running.connected() as client:
            assert client._writer is not None
            client._writer.write(sent)
            error = (await read_until(client, "error"))[-1]
            assert error.data["code"] == "bad-request"
            assert await client.read_event() is None
        async with running.connected() as client:
            await send(client, Describe())
            await read_until(client, "info")


async def test_what_it_does_not_know_is_left_alone(kept: KeptState) -> None:
    async with serving(kept) as running, running.connected() as client:
        assert client._writer is not None
        client._writer.write(b'{"type": "select-program", "data": {"name": "voicebot"}}\n{"type": "synthesize-stop"}\n')
        await send(client, Describe())
        assert [event.type for event in await read_until(client, "info")] == ["info"]


async def test_a_client_that_takes_nothing_is_dropped(kept: KeptState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.interfaces.wyoming.wire._SEND_S", 0.2)
    async with serving(kept) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1)
        await until(lambda: running.server.status()["clients"] == 1)
        writer.write(b'{"type": "describe"}\n' * 20_000)
        await until(lambda: running.server.status()["clients"] == 0)
        writer.transport.abort()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["text", "rate", "width", "channels", "context", "voice", "text_format", "name", "names", "language", "timestamp"]
)
forms = st.fixed_dictionaries(
    {
        "rate": st.sampled_from([8000, 16_000, 44_100]),
        "width": st.sampled_from([1, 2, 4]),
        "channels": st.integers(1, 8),
    }
)


texts = st.fixed_dictionaries({"text": st.text(max_size=60)})
wrong = st.dictionaries(st.sampled_from(["data_length", "payload_length", "type", "data"]), values, max_size=1)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Return bytes that are nearly an event, or one."""
    data = draw(st.dictionaries(fields, values, max_size=4) | forms | texts)
    payload = draw(st.binary(max_size=64))
    header = {"type": draw(st.sampled_from(KINDS) | st.text(max_size=8)), "data": data, "payload_length": len(payload)}
    return json.dumps(header | draw(wrong)).encode() + b"\n" + payload


@given(st.lists(events() | st.binary(max_size=100), min_size=1, max_size=12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_next_client_is_served(kept: KeptState, sent: list[bytes]) -> None:
    async def main() -> None:
        async with serving(kept, FAST) as running:
            async with asyncio.timeout(60):
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(b"".join(sent) + b'\n{"type": "ping"}\n')
                with contextlib.suppress(TimeoutError):  # it waits for the rest of an event
                    async with asyncio.timeout(0.1):
                        await reader.read()
                writer.close()
                async with running.connected() as client:
                    await send(client, Describe())
                    await read_until(client, "info")

    asyncio.run(main())

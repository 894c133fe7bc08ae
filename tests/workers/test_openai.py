"""An endpoint of OpenAI's protocol over real sockets: what is asked, what is understood, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.workers.chat_server import (
    PARIS,
    ChatServer,
    Script,
    answer,
    chat_server,
    event,
    says,
    sends,
    then_closes,
    then_waits,
)
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.tiers import TierSettings
from voicebot.engines.protocols import Message
from voicebot.errors import EngineError, UsageError
from voicebot.pipeline.tiers import TierModel
from voicebot.workers.openai import OpenAiModel, connect

HELLO = (Message("system", "Be brief."), Message("user", "What is the capital of France?"))
LONG_MS = 30_000
"""A bound for what takes a moment, on a machine that has a bad minute."""


def tier(url: str, **settings: Any) -> TierSettings:
    patient = {"connect_timeout_ms": 10_000, "first_token_ms": LONG_MS, "next_token_ms": LONG_MS}
    return TierSettings.model_validate(
        {"name": "office", "engine": "openai", "model": "qwen", "url": url, **patient, **settings}
    )


def connected(server: ChatServer, **settings: Any) -> Any:
    made = tier(server.url, **settings)
    return connect(made, PipelineSettings(tiers=(made,)).slm_of(made))


async def reply(model: OpenAiModel, *messages: Message, most: int = 20, begun: str = "") -> list[str]:
    async with aclosing(model.pieces(messages or HELLO, most, begun)) as pieces:
        return [piece.text async for piece in pieces]


async def failure(script: Script, most: int = 20, **settings: Any) -> str:
    """Return what is said of an endpoint that does that; whatever was understood before does not matter."""
    async with chat_server(script) as server, connected(server, **settings) as model:
        with pytest.raises(EngineError) as caught:
            await reply(model, most=most)
        said = str(caught.value)
        return said.removeprefix(f"the endpoint {server.url} ")


async def test_a_reply_comes_piece_by_piece() -> None:
    async with chat_server() as server, connected(server) as model:
        as_tier: TierModel = model
        assert await as_tier.prefill(HELLO) == 0
        assert server.connections == 0
        assert await reply(model) == ["Paris", "."]
        ((line, headers, body),) = server.requests
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert "authorization" not in headers
    assert body == {
        "model": "qwen",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HELLO[1].content}],
        "max_tokens": 20,
        "temperature": 0.0,
        "top_p": 0.95,
        "stream": True,
    }


async def test_what_was_begun_is_sent_along() -> None:
    async with chat_server() as server, connected(server) as model:
        await reply(model, begun="The capital")
    assert server.requests[0][2]["messages"][-1] == {"role": "assistant", "content": "The capital"}


async def test_the_connection_is_used_again() -> None:
    async with chat_server() as server, connected(server) as model:
        for _ in range(3):
            assert await reply(model) == ["Paris", "."]
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_connection_that_the_server_has_closed_is_no_failure() -> None:
    async with chat_server() as server, connected(server) as model:
        assert await reply(model) == ["Paris", "."]

        async def hangs_up_once(writer: asyncio.StreamWriter) -> None:
            server.script = PARIS
            writer.transport.abort()

        server.script = hangs_up_once
        assert await reply(model) == ["Paris", "."]
        assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    "parts",
    [
        (b": keep-alive\n\n", event(""), event(None), event("Paris"), b'data: {"choices": []}\n\n', event(".", "stop")),
        (event("Paris") + event(".") + b"data: [DONE]\n\n",),
        tuple(bytes([byte]) for byte in event("Paris") + event(".", "length")),
        (event("Paris").replace(b"\n", b"\r\n"), b"event: message\r\nid: 7\r\n" + event("."), b"data:[DONE]\n\n"),
        (event("Paris"), event("."), b"data: [DONE]\n\n", b"data: what comes after the end is not looked at\n\n"),
    ],
    ids=["oddities", "at once", "byte by byte", "crlf", "more"],
)
async def test_every_servers_way_of_streaming_is_understood(parts: tuple[bytes, ...]) -> None:
    async with chat_server(says(*parts)) as server, connected(server) as model:
        assert await reply(model) == ["Paris", "."]


async def test_letters_of_several_bytes_survive() -> None:
    text = "naïve \N{GRINNING FACE}\n"
    raw = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False).encode()
    stream = b"data: " + raw + b"\n\n" + event(None, "stop")
    async with chat_server(says(*(bytes([byte]) for byte in stream))) as server, connected(server) as model:
        assert await reply(model) == [text]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (sends(answer("404 Not Found", b'{"error": "model qwen\nnot found"}')), "refused with status 404: {"),
        (sends(answer("500 Internal Server Error")), "refused with status 500"),
        (sends(answer("307 Temporary Redirect", b"", "Location: http://8.8.8.8/v1")), "answered with a redirect"),
        (sends(answer("200 OK", b'{"choices": []}', "Content-Type: application/json")), "does not stream its reply"),
        (sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "failed (RemoteProtocolError"),
        (sends(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 300_000), "failed (RemoteProtocolError"),
        (says(b"data: no json\n\n"), "sent what is no part of a reply: no json"),
        (says(b'data: {"choices": 5}\n\n'), "sent what is no part of a reply"),
        (says(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'), "sent what is no part of a reply"),
        (says(b"data: " + b"[" * 50_000 + b"\n\n"), "sent what is no part of a reply"),
        (says(b'data: {"error": {"message": "out of memory"}}\n\n'), "failed: {'message': 'out of memory'}"),
        (says(event("Paris")), "ended the stream before the reply was complete"),
        (then_closes(event("Paris")), "ended the stream before the reply was complete"),
        (says(*([event("x" * 700)] * 2)), "says far more than 20 tokens"),
        (says(b"data: " + b"x" * 70_000), "an event of the stream is longer than 65536 bytes"),
        (says(*([b"data: " + b"x" * 9_000 + b"\n"] * 9)), "an event of the stream is longer than 65536 bytes"),
        (says(b"data: \xff\xfe\n\n"), "the stream of events is not UTF-8"),
    ],
)
async def test_what_is_no_reply_is_an_error(script: Script, said: str) -> None:
    assert (await failure(script)).startswith(said)


async def test_a_body_without_end_is_not_read_to_it() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    assert (await failure(endless)).startswith("answered with more than 1048576 bytes")


async def test_nobody_there_is_an_error() -> None:
    async with chat_server() as server:
        nobody = tier(server.url)
    async with connect(nobody, PipelineSettings().slm_of(nobody)) as model:
        with pytest.raises(EngineError, match=r"failed \(ConnectError"):
            await reply(model)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (then_waits(), "sent nothing for 50 ms"),
        (then_waits(event("Paris")), "sent nothing for 60 ms"),
        (then_waits(event("")), "sent nothing for 50 ms"),
    ],
    ids=["no first token", "no next token", "no text"],
)
async def test_who_is_late_is_hung_up_on(script: Script, said: str) -> None:
    async with chat_server(script) as server, connected(server, first_token_ms=50, next_token_ms=60) as model:
        with pytest.raises(EngineError, match=said):
            await reply(model)
        await asyncio.wait_for(server.gone.wait(), LONG_MS / 1000)


async def test_leaving_a_reply_closes_its_connection_at_once() -> None:
    async with chat_server(then_waits(event("Paris"))) as server, connected(server) as model:
        async with aclosing(model.pieces(HELLO, 20)) as pieces:
            assert (await anext(pieces)).text == "Paris"
            assert not server.gone.is_set()
        await asyncio.wait_for(server.gone.wait(), LONG_MS / 1000)
        server.script = PARIS
        assert await reply(model) == ["Paris", "."]


@pytest.mark.parametrize("script", [then_waits(), then_waits(event("Paris"))], ids=["waiting", "streaming"])
async def test_a_cancel_closes_the_connection(script: Script) -> None:
    async with chat_server(script) as server, connected(server) as model:
        asking = asyncio.create_task(reply(model))
        while not server.requests:  # noqa: ASYNC110 - the server is in this loop
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.gone.wait(), LONG_MS / 1000)


async def test_the_key_is_sent_and_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "key").write_text("sk-secret\n")
    key_file: dict[str, Any] = {"api_key_file": str(tmp_path / "key")}
    async with chat_server() as server, connected(server, **key_file) as model:
        assert await reply(model) == ["Paris", "."]
        assert server.requests[0][1]["authorization"] == "Bearer sk-secret"
    repeating = sends(answer("401 Unauthorized", b"the key sk-secret is wrong"))
    assert await failure(repeating, **key_file) == "refused with status 401: the key (the key) is wrong."
    assert caplog.records
    assert "sk-secret" not in caplog.text
    assert not any("sk-secret" in str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two words", b"sk-\x07", b"\xff\xfe", "sk-é".encode()])
async def test_a_key_that_is_none_is_said_without_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    made = tier("http://127.0.0.1:9/v1", api_key_file=str(path))
    with pytest.raises(UsageError, match=r"^the key of the tier 'office' .*") as caught:
        async with connect(made, PipelineSettings().slm_of(made)):
            raise AssertionError("it must not get there")
    assert str(path) in str(caught.value)
    assert "two words" not in str(caught.value)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with chat_server() as server, connected(server) as model:
        assert await reply(model) == ["Paris", "."]


async def test_the_oldest_exchanges_are_left_out_when_they_do_not_fit() -> None:
    talk = tuple(
        message
        for number in range(40)
        for message in (Message("user", f"question {number} " * 4), Message("assistant", f"answer {number} " * 4))
    )
    async with chat_server() as server, connected(server, context_tokens=512) as model:
        await reply(model, HELLO[0], *talk, HELLO[1], most=100)
    sent = server.requests[0][2]["messages"]
    assert (sent[0]["content"], sent[1]["role"], sent[-1]["content"]) == ("Be brief.", "user", HELLO[1].content)
    assert 600 < sum(len(message["content"]) for message in sent) <= (512 - 100) * 3
    async with chat_server() as server, connected(server) as model:
        await reply(model, Message("user", "long " * 5000))
    assert len(server.requests[0][2]["messages"]) == 1


async def test_the_models_of_an_endpoint() -> None:
    offered = json.dumps({"object": "list", "data": [{"id": "qwen", "owned_by": "me"}, {"id": "other"}]}).encode()
    async with chat_server(sends(answer("200 OK", offered))) as server, connected(server) as model:
        assert await model.models() == ("qwen", "other")
        assert server.requests[0][0] == "GET /v1/models HTTP/1.1"
        server.script = sends(answer("200 OK", b"<html>"))
        with pytest.raises(EngineError, match="something else than a list of models"):
            await model.models()

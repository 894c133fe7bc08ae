"""A language model on the local network, behind OpenAI's protocol: llama.cpp's server, vLLM, Ollama.

Nothing is connected to before the first request, and never anything but the URL of the tier's settings: proxies of the
environment are not used, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
from pydantic import ValidationError

from voicebot.config.pipeline import SlmSettings
from voicebot.config.tiers import TierSettings
from voicebot.engines.protocols import Message, Piece
from voicebot.errors import EngineError, UsageError
from voicebot.workers.chat_completions import Choice, Chunk, ModelList, request_body
from voicebot.workers.event_stream import EventStream

Answer = TypeVar("Answer")

_LONGEST_ANSWER_BYTES: Final = 1 << 20
"""Of anything but a reply."""
_MOST_LETTERS_PER_TOKEN: Final = 32
"""A server that says more than this for each token it was allowed has lost its way. Four are usual."""
_LONGEST_QUOTE: Final = 200
_READ_OUT_S: Final = 0.1
_KEPT_S: Final = 4.0
"""How long an idle connection is kept. Many servers close theirs after five seconds."""


class OpenAiModel:
    """One tier's endpoint. Made by `connect`."""

    def __init__(self, tier: TierSettings, slm: SlmSettings, client: httpx2.AsyncClient, api_key: str) -> None:
        """`slm`: the settings with what is the tier's own."""
        self._tier = tier
        self._slm = slm
        self._client = client
        self._api_key = api_key

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Leave it to the server, which keeps what it has computed; it could not be told to stop."""
        del messages, session
        return 0

    async def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply as it comes; leaving closes the connection, at which servers stop.

        Raises EngineError for everything that goes wrong, an answer that is late included.
        """
        del session, confidence
        body = request_body(self._slm, messages, max_tokens, begun)
        left, limit_ms = max_tokens * _MOST_LETTERS_PER_TOKEN, self._tier.first_token_ms
        async with aclosing(self._texts(body)) as texts:
            while (text := await self._within(limit_ms, anext(texts, None))) is not None:
                limit_ms = self._tier.next_token_ms
                left -= len(text)
                if left < 0:
                    raise self._error(f"says far more than {max_tokens} tokens")
                yield Piece(text)

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that the endpoint offers. Raises EngineError."""
        return await self._within(self._tier.connect_timeout_ms + self._tier.first_token_ms, self._models())

    async def _models(self) -> tuple[str, ...]:
        async with self._response("GET", "models") as response:
            content = await self._whole(response)
        try:
            return tuple(model.id for model in ModelList.model_validate_json(content).data)
        except ValidationError as error:
            raise self._error("answered /models with something else than a list of models") from error

    async def _texts(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yield the texts of a streamed reply, none of them empty, until it is complete."""
        events = EventStream()
        async with self._response("POST", "chat/completions", body) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._error("does not stream its reply")
            stream = response.aiter_raw()
            async for received in stream:
                for data in events.feed(received):
                    choice = self._choice(data)
                    if choice.delta.content:
                        yield choice.delta.content
                    if choice.finish_reason is not None:
                        await _read_out(stream)
                        return
        raise self._error("ended the stream before the reply was complete")

    def _choice(self, data: str) -> Choice:
        if data.strip() == "[DONE]":
            return Choice(finish_reason="done")
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            raise self._error(f"sent what is no part of a reply: {self._quoted(data)}") from error
        if chunk.error is not None:
            raise self._error(f"failed: {self._quoted(str(chunk.error))}")
        return chunk.choices[0] if chunk.choices else Choice()

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Send a request; what comes back with success is to be read inside the block."""
        try:
            async with aclosing(await self._send(self._client.build_request(method, path, json=body))) as response:
                if response.is_redirect:
                    raise self._error("answered with a redirect, which is not followed; correct the tier's url")
                if response.status_code != httpx2.codes.OK:
                    said = (await self._whole(response)).decode(errors="replace")
                    raise self._error(f"refused with status {response.status_code}: {self._quoted(said)}")
                yield response
        except httpx2.HTTPError as error:
            raise self._error(f"failed ({type(error).__name__}: {self._quoted(str(error))})") from error

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, once more if the server has just closed the connection that was kept."""
        with contextlib.suppress(httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            return await self._client.send(request, stream=True)
        return await self._client.send(request, stream=True)

    async def _whole(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for received in response.aiter_raw():
            content += received
            if len(content) > _LONGEST_ANSWER_BYTES:
                raise self._error(f"answered with more than {_LONGEST_ANSWER_BYTES} bytes")
        return bytes(content)

    async def _within(self, limit_ms: float, answer: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(limit_ms / 1000):
                return await answer
        except TimeoutError as error:
            raise self._error(f"sent nothing for {limit_ms:.0f} ms") from error

    def _quoted(self, said: str) -> str:
        """Return the beginning of what the server said, without the key, which some repeat."""
        plain = said.replace(self._api_key, "(the key)") if self._api_key else said
        return " ".join(plain.split())[:_LONGEST_QUOTE]

    def _error(self, what: str) -> EngineError:
        return EngineError(f"the endpoint {self._tier.url} {what}.")


@asynccontextmanager
async def connect(tier: TierSettings, slm: SlmSettings) -> AsyncGenerator[OpenAiModel, None]:
    """Keep connections to a tier's endpoint inside the block; the first is made by the first request.

    Raises UsageError for a key file that can't be used.
    """
    api_key = await asyncio.to_thread(_read_key, tier)
    client = await asyncio.to_thread(_client, tier, api_key)  # certificates are read
    async with client:
        yield OpenAiModel(tier, slm, client, api_key)


async def _read_out(stream: AsyncIterator[bytes]) -> None:
    """Read what still follows a reply, if that is soon over, so that the connection can be used again."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_READ_OUT_S):
            async for _ in stream:
                pass


def _client(tier: TierSettings, api_key: str) -> httpx2.AsyncClient:
    connect_s, quiet_s = tier.connect_timeout_ms / 1000, max(tier.first_token_ms, tier.next_token_ms) / 1000
    return httpx2.AsyncClient(
        base_url=f"{tier.url}/",
        headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {}),
        timeout=httpx2.Timeout(quiet_s, connect=connect_s),
        limits=httpx2.Limits(max_connections=tier.most_requests + 1, keepalive_expiry=_KEPT_S),
        follow_redirects=False,
        trust_env=False,
    )


def _read_key(tier: TierSettings) -> str:
    if not tier.api_key_file:
        return ""
    path = Path(tier.api_key_file).expanduser()
    key = ""
    with contextlib.suppress(UnicodeDecodeError):
        try:
            key = path.read_text("ascii").strip()
        except OSError as error:
            raise UsageError(f"the key of the tier {tier.name!r} can't be read: {path} ({error.strerror}).") from error
    if not key or not key.isprintable() or " " in key:
        raise UsageError(f"the key of the tier {tier.name!r} in {path} should be one word.")
    return key

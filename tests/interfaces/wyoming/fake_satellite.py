"""A satellite that always streams: it listens, and speaks the protocol by its own library."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Self

import numpy as np
from wyoming.audio import AudioChunk
from wyoming.event import Event, Eventable, async_read_event, async_write_event
from wyoming.pipeline import PipelineStage, RunPipeline

from tests.virtual_conversation import CLOCK
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, silence

CHUNK = 1024


class FakeSatellite:
    """`say` speaks into its microphone. `received` is all that it was told; `loudspeaker` what it was to play."""

    def __init__(self, start_stage: PipelineStage = PipelineStage.WAKE, port: int = 0) -> None:
        self.port = port
        self.received: list[Event] = []
        self.connections = 0
        self._start_stage = start_stage
        self._speech = silence(0)
        self._server: asyncio.Server | None = None
        self._connected: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._attend, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.disconnect()
        if self._connected:
            await asyncio.wait(self._connected)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def loudspeaker(self) -> Pcm:
        chunks = [event.payload or b"" for event in self.received if event.type == "audio-chunk"]
        return np.frombuffer(b"".join(chunks), np.int16)

    def texts(self, kind: str) -> list[str]:
        return [event.data["text"] for event in self.received if event.type == kind]

    def count(self, kind: str) -> int:
        return sum(event.type == kind for event in self.received)

    def say(self, pcm: Pcm) -> None:
        """Speak once what was said before is over."""
        self._speech = np.concatenate((self._speech, pcm))

    def wake(self) -> None:
        """Hear the wake word."""
        self.send(f'{{"type": "run-pipeline", "data": {json.dumps(self._pipeline().event().data)}}}\n'.encode())

    def send(self, data: bytes) -> None:
        """Send anything."""
        for writer in self._writers:
            writer.write(data)

    def disconnect(self) -> None:
        for task in self._connected:
            task.cancel()

    def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="fake satellite")
        self._connected.add(task)
        task.add_done_callback(self._connected.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            async with asyncio.TaskGroup() as group:
                streaming: asyncio.Task[None] | None = None
                while (event := await async_read_event(reader)) is not None:
                    self.received.append(event)
                    if event.type == "run-satellite" and streaming is None:
                        streaming = group.create_task(self._stream(writer), name="fake microphone")
                if streaming is not None:
                    streaming.cancel()
        except* ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        await self._tell(writer, self._pipeline())
        due_s = CLOCK.now_s()
        hiss = np.random.default_rng(1)
        while True:
            due_s += CHUNK / SAMPLE_RATE_HZ
            await CLOCK.sleep_s(due_s - CLOCK.now_s())
            speech, self._speech = self._speech[:CHUNK], self._speech[CHUNK:]
            pcm = np.rint(hiss.normal(0, 3.3, CHUNK)).astype(np.int16)
            pcm[: len(speech)] += speech
            await self._tell(writer, AudioChunk(SAMPLE_RATE_HZ, 2, 1, pcm.tobytes()))

    def _pipeline(self) -> RunPipeline:
        return RunPipeline(self._start_stage, PipelineStage.TTS)

    async def _tell(self, writer: asyncio.StreamWriter, event: Eventable) -> None:
        with contextlib.suppress(ConnectionError):
            await async_write_event(event.event(), writer)

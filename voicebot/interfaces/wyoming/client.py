"""One client that has connected to us: its events are read, and each is done by the stage that it is for."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from voicebot.clock import Clock
from voicebot.config.wyoming import WyomingSettings
from voicebot.errors import VoicebotError, first_error
from voicebot.interfaces.service import Service
from voicebot.interfaces.wyoming.asr import Transcription
from voicebot.interfaces.wyoming.handle import Conversations, Handling
from voicebot.interfaces.wyoming.intents import Intents
from voicebot.interfaces.wyoming.tts import Synthesis
from voicebot.interfaces.wyoming.wake import Detecting, WakeWords
from voicebot.interfaces.wyoming.wire import EventStream, pong
from voicebot.pipeline.rules import barge_in_rules

_EVENTS_WAITING: Final = 8
"""Beyond those the client has to wait until its requests are done."""


class _Stage(Protocol):
    async def take(self, event: Event) -> bool:
        """Do what an event asks for; return whether it is one of this stage."""


class Client:
    """Serves one connection. What is being done for it ends when it closes."""

    def __init__(
        self,
        stream: EventStream,
        service: Service,
        settings: WyomingSettings,
        info: Info,
        conversations: Conversations,
        wake_words: WakeWords,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._service = service
        self._settings = settings
        self._info = info
        self._conversations = conversations
        self._wake_words = wake_words
        self._clock = clock
        self._events: asyncio.Queue[Event] = asyncio.Queue(_EVENTS_WAITING)
        self._busy = False

    async def run(self) -> None:
        """Serve until the connection closes. Raises VoicebotError for what ended it, if that was not the client."""
        try:
            async with asyncio.TaskGroup() as group:
                hearing = self._transcription(group)
                serving = group.create_task(self._work(hearing), name="wyoming requests")
                await self._read()
                serving.cancel()
                hearing.cancel()
        except* VoicebotError as errors:
            raise first_error(errors) from errors

    def _transcription(self, group: asyncio.TaskGroup) -> Transcription:
        longest_s = self._settings.longest_utterance_s
        return Transcription(self._service.stages, self._service.pipeline, longest_s, self._stream, group, self._clock)

    async def _read(self) -> None:
        """Read what comes until the client leaves, or asks nothing for too long."""
        while True:
            try:
                event = await self._stream.read(self._settings.idle_s)
            except TimeoutError:
                if self._busy:
                    continue
                return
            if event is None:
                return
            await self._events.put(event)

    async def _work(self, hearing: Transcription) -> None:
        stages, pipeline, longest_text = self._service.stages, self._service.pipeline, self._settings.longest_text
        known = (
            Detecting(self._wake_words, pipeline.wake, self._stream),
            hearing,
            Synthesis(stages.tts, pipeline.clauses, longest_text, self._stream),
            Handling(stages.slm, pipeline.slm, longest_text, self._conversations, self._stream),
            Intents(barge_in_rules(pipeline.barge_in), longest_text, self._stream),
        )
        while True:
            event = await self._events.get()
            self._busy = True
            await self._do(event, known)
            self._busy = not self._events.empty()

    async def _do(self, event: Event, known: tuple[_Stage, ...]) -> None:
        if Describe.is_type(event.type):
            self._stream.send(self._info)
        elif Ping.is_type(event.type):
            self._stream.send(pong(event))
        else:
            for stage in known:  # what is for none of them is left alone, as the protocol wants it
                if await stage.take(event):
                    return
        await self._stream.flush()

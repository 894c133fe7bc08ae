"""A conversation beside a broker: the assistant with its bridge, and somebody who reads along."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import aiomqtt

from tests.interfaces.mqtt.broker import PASSWORD, PATIENCE_S
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio_io.replay import ReplayPort
from voicebot.config.box import SessionSettings
from voicebot.config.mqtt import MqttSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel
from voicebot.events import TurnEnded
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.mqtt.bridge import MqttBridge
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers

REPLY: Final = "It is."


@dataclass
class Assistant:
    """The daemon without its devices: "local" is a session in real time."""

    service: Service
    watchers: Watchers
    bridge: MqttBridge
    port: ReplayPort

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.service.status()["mqtt"]
        return status

    async def connected(self) -> None:
        await until(lambda: self.status["connected"])


@dataclass
class Reader:
    """Keeps every message in the order of its arrival."""

    client: aiomqtt.Client
    messages: list[aiomqtt.Message] = field(default_factory=list)

    def payloads(self, topic: str) -> list[str]:
        return [bytes(message.payload).decode() for message in self.messages if str(message.topic) == topic]

    def objects(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.payloads(topic)]

    async def reads(self, topic: str, payload: str) -> None:
        """Wait until the latest message of a topic is that."""
        await until(lambda: self.payloads(topic)[-1:] == [payload])

    async def reads_about(self, topic: str, **values: object) -> dict[str, Any]:
        """Wait for an object with those values, and return the first one."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [told for told in self.objects(topic) if values.items() <= told.items()]
            return bool(found)

        await until(there)
        return found[0]

    async def send(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos=1, retain=retain)


def bridge_settings(port: int, **values: Any) -> MqttSettings:
    quick = {"enabled": True, "host": "127.0.0.1", "port": port, "retry_s": 0.05, "longest_retry_s": 0.2}
    return MqttSettings.model_validate(quick | values)


@asynccontextmanager
async def assistant(
    folder: Path,
    settings: MqttSettings,
    temperature_c: float | None = None,
    reply: str = REPLY,
    pipeline: PipelineSettings = SCRIPTED,
    processor: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Assistant]:
    """Hold a conversation with a bridge beside it. `processor`: what is told of that."""

    async def feel() -> float | None:
        return temperature_c

    watchers = Watchers()
    stages = scripted_stages(CLOCK, slm=ScriptedModel(lambda _: reply))
    stages = replace(stages, processor=lambda: processor)
    service = Service(stages, pipeline, SessionSettings(), watchers, KeptState(folder / "none", lambda _: None))
    port = ReplayPort(CLOCK)
    bridge = MqttBridge(settings, service, CLOCK, folder / "outbox.sqlite", feel)
    running = asyncio.create_task(bridge.run(), name="bridge")
    try:
        await asyncio.sleep(0)
        async with service.open_session("local", port):
            yield Assistant(service, watchers, bridge, port)
    finally:
        running.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([running])
        assert running.cancelled(), running.exception()


@asynccontextmanager
async def reader(port: int, topic: str = "#", **options: Any) -> AsyncIterator[Reader]:
    async with aiomqtt.Client("127.0.0.1", port, **options) as client:
        reading = Reader(client)

        async def read() -> None:
            async for message in client.messages:
                reading.messages.append(message)

        task = asyncio.create_task(read(), name="reader")
        try:
            await client.subscribe(topic, qos=1)
            yield reading
        finally:
            task.cancel()
            await asyncio.wait([task])


WATCHER: Final = {"username": "watcher", "password": PASSWORD}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)


def turn(number: int = 1, **values: Any) -> TurnEnded:
    """Return a turn that was asked and answered."""
    told: dict[str, Any] = {
        "session": "local",
        "turn": number,
        "revisions": 1,
        "user": "what time is it",
        "reply": "It is noon.",
        "heard": "It is noon.",
        "source": "slm",
        "interrupted": False,
        "speech_end_sample": 16_000,
        "marks": {"committed": 19_200, "audible": 24_000},
        "stage_ms": {"endpoint": 200.0},
        "over_budget": (),
        "error": None,
    }
    return TurnEnded(**{**told, **values})

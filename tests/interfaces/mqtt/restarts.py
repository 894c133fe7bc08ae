"""A broker that is restarted over and over while a conversation goes on, and a subscriber that must miss nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from tests.interfaces.mqtt.broker import Mosquitto
from tests.interfaces.mqtt.scene import Assistant, assistant, bridge_settings, until
from voicebot.events import Event, TurnEnded


@dataclass
class Ledger:
    """A subscriber with a session that the broker keeps: what is sent while it is away waits for it."""

    events: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def kept(self, port: int) -> AsyncIterator[None]:
        task = asyncio.create_task(self._read(port), name="ledger")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _read(self, port: int) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", port, identifier="ledger", clean_session=False) as client:
                    await client.subscribe("voicebot/event/#", qos=1)
                    async for message in client.messages:
                        self.events.append(json.loads(bytes(message.payload)))
            await asyncio.sleep(0.05)


@dataclass
class Outcome:
    """What there was, and what of it came."""

    restarts: int
    turns: list[tuple[str, int]]
    answered: int
    events: list[dict[str, Any]]
    away_s: list[float]
    back_s: list[float]
    """From the moment at which the broker listens again to the bridge being connected."""

    @property
    def arrived(self) -> Counter[tuple[str, int]]:
        """How often each turn came, after de-duplication by event id."""
        unique = {event["id"]: event for event in self.events}
        return Counter((event["session"], event["turn"]) for event in unique.values())

    @property
    def duplicates(self) -> int:
        return len(self.events) - len({event["id"] for event in self.events})


async def restart_during_a_conversation(folder: Path, restarts: int, away_s: float = 0.5) -> Outcome:
    """Ask on and on, and restart the broker so many times meanwhile."""
    broker, ledger, outcome = Mosquitto(folder / "broker"), Ledger(), Outcome(restarts, [], 0, [], [], [])

    def note(event: Event) -> None:
        if isinstance(event, TurnEnded):
            outcome.turns.append((event.session, event.turn))

    await asyncio.to_thread(broker.start)
    try:
        async with ledger.kept(broker.port), assistant(folder, bridge_settings(broker.port)) as box:
            box.service.watch(note)
            talking = asyncio.create_task(_talk(box, outcome), name="talking")
            await box.connected()
            await until(lambda: ledger.events)
            for _ in range(restarts):
                await _restart(broker, box, outcome, away_s)
                before = len(outcome.turns)
                await until(lambda before=before: len(outcome.turns) > before + 1)  # type: ignore[misc]
            talking.cancel()
            await asyncio.wait([talking])
            await until(lambda: box.status["events_waiting"] == 0)
            await until(lambda: len(outcome.turns) <= len({event["id"] for event in ledger.events}))
    finally:
        await asyncio.to_thread(broker.stop)
    outcome.events = ledger.events
    return outcome


async def _talk(box: Assistant, outcome: Outcome) -> None:
    while True:
        await box.service.ask("is it")
        outcome.answered += 1


async def _restart(broker: Mosquitto, box: Assistant, outcome: Outcome, away_s: float) -> None:
    began_s = time.monotonic()
    await asyncio.to_thread(broker.stop)
    await until(lambda: not box.status["connected"])
    turns = len(outcome.turns)
    await asyncio.sleep(away_s)
    await until(lambda: len(outcome.turns) > turns)  # a turn ends while there is no broker
    await asyncio.to_thread(broker.start)
    up_s = time.monotonic()
    await box.connected()
    outcome.away_s.append(up_s - began_s)
    outcome.back_s.append(time.monotonic() - up_s)

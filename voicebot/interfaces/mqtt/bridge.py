"""Between the running assistant and a broker: what happens goes out, commands come in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiomqtt

from voicebot.clock import Clock
from voicebot.config.mqtt import MqttSettings
from voicebot.events import Event, StateChanged, VolumeChanged
from voicebot.interfaces.backoff import Backoff
from voicebot.interfaces.mqtt.board import Board
from voicebot.interfaces.mqtt.commands import LARGEST_PAYLOAD
from voicebot.interfaces.mqtt.connection import BrokerError, connect, lost
from voicebot.interfaces.mqtt.discovery import Meters
from voicebot.interfaces.mqtt.exchange import Exchange
from voicebot.interfaces.mqtt.news import News
from voicebot.interfaces.mqtt.outbox import Outbox
from voicebot.interfaces.mqtt.payloads import Power, Temperature
from voicebot.interfaces.mqtt.post import Post
from voicebot.interfaces.mqtt.remote import RemoteControl
from voicebot.interfaces.mqtt.topics import OFF, OFFLINE, ON, Message, Topics
from voicebot.interfaces.service import Service

_SETTLED_S: Final = 5.0
"""A connection that has lasted so long has worked; one that is lost at once is no reason to come back at once."""
_READ_METERS_EVERY_S: Final = 30.0
_FAREWELL_S: Final = 0.5
_HERE: Final = {"localhost", "127.0.0.1", "::1"}

_log = logging.getLogger(__name__)


class MqttBridge:
    """Lives beside the conversation: what it is told of, it notes, and nobody waits for the broker or for the disk.

    `file` is where events wait for the broker. `temperature_c` is asked twice a minute, in degrees Celsius; it gives
    None where there is nothing to be read.
    """

    def __init__(
        self,
        settings: MqttSettings,
        service: Service,
        clock: Clock,
        file: Path,
        temperature_c: Callable[[], Awaitable[float | None]] | None = None,
    ) -> None:
        self._settings = settings
        self._service = service
        self._clock = clock
        self._temperature_c = temperature_c
        self._topics = Topics(settings.topic)
        states = {name: session.state.value for name, session in service.sessions.items()}
        self._news = News(self._topics, texts=settings.texts, muted=service.muted, sessions=states)
        self._board = Board()
        self._outbox = Outbox(file, settings.queue_kb * 1024)
        self._post = Post(self._outbox)
        self._backoff = Backoff(settings.retry_s, settings.longest_retry_s)
        self._meters = Meters()
        self._connected_s: float | None = None
        """Since when there is a connection."""
        self._problem: BrokerError | None = None
        """What was said of why there is none."""
        self._outages = 0
        self._refused = 0
        self._remote: RemoteControl | None = None

    async def run(self) -> None:
        """Tell and obey until cancelled; nothing that the broker or the network does ends it."""
        settings = self._settings
        if settings.password_file and not settings.tls and settings.host not in _HERE:
            _log.warning("the MQTT password goes to %s as it is, for all to read; set mqtt.tls", settings.host)
        unwatch = self._service.watch(self._observe)
        undescribe = self._service.describe("mqtt", self.status)
        self._tell_switches()
        self._board.put(self._news.state())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._post.run(), name="mqtt outbox")
                remote = RemoteControl(
                    self._service, self._topics, self._board, self._clock, group, texts=settings.texts
                )
                self._remote = remote
                await self._find_meters()
                group.create_task(self._keep_reading_meters(), name="mqtt meters")
                await self._stay_connected(remote)
        finally:
            unwatch()
            undescribe()

    def status(self) -> dict[str, Any]:
        """Return what there is to tell of the connection."""
        return {
            "broker": f"{self._settings.host}:{self._settings.port}",
            "connected": self._connected_s is not None,
            "problem": None if self._problem is None else str(self._problem),
            "outages": self._outages,
            "events_waiting": self._outbox.waiting,
            "events_dropped": self._outbox.dropped,
            "publications_refused": self._refused,
            "commands_dropped": 0 if self._remote is None else self._remote.dropped,
        }

    def _observe(self, event: Event) -> None:
        for message in self._news.live(event):
            self._board.put(message)
        for message in self._news.lasting(event):
            self._post.put(message)
        if isinstance(event, VolumeChanged) or (isinstance(event, StateChanged) and not event.session):
            self._tell_switches()

    def _tell_switches(self) -> None:
        self._board.put(Message(self._topics.muted, ON if self._service.muted else OFF, retain=True))
        self._board.put(Message(self._topics.volume, str(self._service.volume), retain=True))

    async def _find_meters(self) -> None:
        """Look what the box can tell of itself; what it takes while it is idle is known only after a while."""
        self._read_power()
        self._meters = Meters(temperature=await self._read_temperature(), power="energy" in self._processor())

    async def _keep_reading_meters(self) -> None:
        while self._meters != Meters():
            await self._clock.sleep_s(_READ_METERS_EVERY_S)
            self._read_power()
            await self._read_temperature()

    async def _read_temperature(self) -> bool:
        celsius = None if self._temperature_c is None else await self._temperature_c()
        if celsius is None:
            return False
        self._tell_meter(self._topics.temperature, Temperature(celsius=round(celsius, 1)))
        return True

    def _read_power(self) -> None:
        energy = self._processor().get("energy", {})
        if energy.get("idle_w") is not None:
            power = Power(idle_w=round(energy["idle_w"], 1), measured=energy["measured"])
            self._tell_meter(self._topics.power, power)

    def _tell_meter(self, topic: str, reading: Temperature | Power) -> None:
        self._board.put(Message(topic, reading.model_dump_json(), retain=True))

    def _processor(self) -> Mapping[str, Any]:
        return self._service.stages.processor()

    async def _stay_connected(self, remote: RemoteControl) -> None:
        while True:
            try:
                await self._hold_connection(remote)
            except BrokerError as problem:
                self._complain(problem)
            if self._connected_s is not None and self._clock.now_s() - self._connected_s >= _SETTLED_S:
                self._backoff.reset()
            self._connected_s = None
            await self._clock.sleep_s(self._backoff.next_s())

    async def _hold_connection(self, remote: RemoteControl) -> None:
        """Connect, and serve the connection until it is lost. Raises BrokerError."""
        offline = Message(self._topics.availability, OFFLINE, qos=1, retain=True)
        async with connect(self._settings, offline, LARGEST_PAYLOAD) as client:
            client.on_refused = self._note_refused
            exchange = Exchange(client, self._settings, self._board, self._post, remote)
            try:
                await exchange.run(self._connected, self._meters)
            except aiomqtt.MqttError as error:
                raise lost(self._settings, error) from error
            except asyncio.CancelledError:
                client.timeout = _FAREWELL_S
                with suppress(aiomqtt.MqttError):
                    await exchange.publish(offline)
                raise

    def _connected(self) -> None:
        self._connected_s = self._clock.now_s()
        if self._problem is not None:
            self._problem = None
            _log.info("connected to the MQTT broker")

    def _complain(self, problem: BrokerError) -> None:
        """Say it once for each outage; and once more what somebody has to mend, if that is found out later."""
        if self._problem is None:
            self._outages += 1
        if self._problem is None or (problem.lasting and not self._problem.lasting):
            self._problem = problem
            _log.warning("%s It is tried again until it works.", problem)

    def _note_refused(self) -> None:
        if not self._refused:
            topic = self._topics.prefix
            _log.warning("the MQTT broker refuses some of what this user publishes; let it write to %s/#", topic)
        self._refused += 1

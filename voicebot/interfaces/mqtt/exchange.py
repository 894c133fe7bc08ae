"""All that is done over one connection to the broker, for as long as it lasts."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from voicebot.config.mqtt import MqttSettings
from voicebot.interfaces.mqtt.board import Board
from voicebot.interfaces.mqtt.connection import BrokerClient
from voicebot.interfaces.mqtt.discovery import Meters, discovery, status_topic
from voicebot.interfaces.mqtt.outbox import Letter
from voicebot.interfaces.mqtt.post import Post
from voicebot.interfaces.mqtt.remote import RemoteControl
from voicebot.interfaces.mqtt.topics import ONLINE, Message, Topics

_AT_ONCE: Final = 8
"""Events that are under way to the broker at the same time."""
_ANNOUNCE_WITHIN_S: Final = 2.0
"""After Home Assistant's start, by chance: its documentation asks for that, since every device has something to say."""
_NOTHING_RETAINED: Final = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)

_log = logging.getLogger(__name__)


class Exchange:
    """What is told comes from `board` and `post`; commands go to `remote`."""

    def __init__(
        self, client: BrokerClient, settings: MqttSettings, board: Board, post: Post, remote: RemoteControl
    ) -> None:
        self._client = client
        self._settings = settings
        self._topics = Topics(settings.topic)
        self._board = board
        self._post = post
        self._remote = remote
        self._home_assistant_started = asyncio.Event()

    async def run(self, begun: Callable[[], None], meters: Meters) -> None:
        """Go on until the connection is lost, which raises aiomqtt.MqttError; `begun` is called once all is set up."""
        await self._subscribe()
        await self._announce(meters)
        await self.publish(Message(self._topics.availability, ONLINE, qos=1, retain=True))
        begun()
        loss = aiomqtt.MqttError()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell(), name="mqtt tell")
                group.create_task(self._deliver(), name="mqtt deliver")
                group.create_task(self._announce_again(meters), name="mqtt announce")
                group.create_task(self._listen(), name="mqtt listen")
        except BaseExceptionGroup as errors:
            losses, others = errors.split(aiomqtt.MqttError)
            if losses is None or others is not None:
                raise
            loss = _first(losses)
        raise loss  # out here it keeps its cause, which says why

    async def publish(self, message: Message | Letter) -> None:
        """Hand a message to the broker; with QoS 1 it has it on return. Raises aiomqtt.MqttError."""
        qos, retain = (1, False) if isinstance(message, Letter) else (message.qos, message.retain)
        await self._client.publish(message.topic, message.payload, qos=qos, retain=retain)

    async def _subscribe(self) -> None:
        topics = [self._topics.command("+")]
        if self._settings.discovery_prefix:
            topics.append(status_topic(self._settings))
        granted = await self._client.subscribe([(topic, _NOTHING_RETAINED) for topic in topics])
        for topic, code in zip(topics, granted, strict=False):
            if isinstance(code, ReasonCode) and code.is_failure:
                _log.warning("the MQTT broker does not let this user subscribe to %s", topic)

    async def _announce(self, meters: Meters) -> None:
        if self._settings.discovery_prefix:
            await self.publish(discovery(self._settings, self._topics, meters))
        self._board.repeat()

    async def _announce_again(self, meters: Meters) -> None:
        while True:
            await self._home_assistant_started.wait()
            await asyncio.sleep(random.uniform(0, _ANNOUNCE_WITHIN_S))  # noqa: S311 - it guards nothing
            self._home_assistant_started.clear()
            await self._announce(meters)

    async def _tell(self) -> None:
        while True:
            await self.publish(await self._board.take())

    async def _deliver(self) -> None:
        while True:
            letters = await self._post.next(_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for letter in letters:
                    group.create_task(self.publish(letter), name="mqtt event")
            await self._post.arrived(letters)

    async def _listen(self) -> None:
        async for message in self._client.messages:
            payload = message.payload
            if message.retain or not isinstance(payload, bytes):
                continue  # a command is for the moment at which it is given
            topic = str(message.topic)
            if topic == status_topic(self._settings):
                if payload == ONLINE.encode():
                    self._home_assistant_started.set()
            elif (command := self._topics.command_of(topic)) is not None:
                self._remote.obey(command, payload)


def _first(group: BaseExceptionGroup[aiomqtt.MqttError]) -> aiomqtt.MqttError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

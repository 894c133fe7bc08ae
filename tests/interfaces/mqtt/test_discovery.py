"""What Home Assistant is told of the box, and what it then makes of the box's messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interfaces.mqtt.home_assistant import DeviceDiscovery, Sensor, Text, command_of, state_of, understand
from tests.interfaces.mqtt.scene import turn
from voicebot.config.mqtt import MqttSettings
from voicebot.events import Event, StateChanged, Transcribed, TurnCommitted, TurnEnergy, WorkerChanged
from voicebot.interfaces.mqtt.commands import parse_command
from voicebot.interfaces.mqtt.discovery import Meters, discovery
from voicebot.interfaces.mqtt.news import News
from voicebot.interfaces.mqtt.payloads import Power
from voicebot.interfaces.mqtt.topics import Topics

ALL = Meters(temperature=True, power=True)


def understood(meters: Meters = ALL, **values: Any) -> DeviceDiscovery:
    settings = MqttSettings.model_validate(values)
    message = discovery(settings, Topics(settings.topic), meters)
    assert (message.retain, message.qos) == (True, 1)
    return understand(message.topic, message.payload)


def sensor(name: str, **values: Any) -> Sensor:
    found = understood(**values).components[name]
    assert isinstance(found, Sensor)
    return found


def test_home_assistant_learns_of_every_entity() -> None:
    told = understood(name="Kitchen", topic="house/kitchen")
    assert (told.device.name, told.device.identifiers) == ("Kitchen", ["house_kitchen"])
    assert told.availability_topic == "house/kitchen/availability"
    assert {key: entity.platform for key, entity in told.components.items()} == {
        "state": "sensor",
        "last_request": "sensor",
        "last_reply": "sensor",
        "voice_to_voice": "sensor",
        "temperature": "sensor",
        "energy": "sensor",
        "idle_power": "sensor",
        "mute": "switch",
        "stop": "button",
        "listen": "button",
        "say": "text",
        "ask": "text",
        "volume": "number",
    }


def test_no_entity_is_without_what_it_shows() -> None:
    whole = set(understood().components)
    assert whole - set(understood(Meters(power=True)).components) == {"temperature"}
    assert whole - set(understood(Meters(temperature=True)).components) == {"idle_power"}
    assert whole - set(understood(texts=False).components) == {"last_request", "last_reply"}


def test_two_boxes_are_told_apart() -> None:
    identities = [
        entity.unique_id for topic in ("one", "two") for entity in understood(topic=topic).components.values()
    ]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    ("name", "events", "state"),
    [
        ("state", [StateChanged("local", 0, "overlap")], "speaking"),
        ("state", [WorkerChanged("asr", "died", None, "killed")], "broken"),
        ("last_request", [Transcribed("local", 1, 1, "hello"), TurnCommitted("local", 1, 1, 0)], "hello"),
        ("last_request", [Transcribed("local", 1, 1, "ü" * 999), TurnCommitted("local", 1, 1, 0)], "ü" * 255),
        ("last_reply", [turn(reply="Hi.")], "Hi."),
        ("voice_to_voice", [turn(speech_end_sample=0, marks={"audible": 8000})], "500.0"),
        ("energy", [TurnEnergy("local", 1, 7.0, measured=True), TurnEnergy("local", 2, 11.0, measured=True)], "0.005"),
    ],
)
def test_a_sensor_shows_what_the_box_tells(name: str, events: list[Event], state: str) -> None:
    showing, news = sensor(name), News(Topics("voicebot"))
    told = [message for event in events for message in news.live(event) if message.topic == showing.state_topic]
    assert state_of(showing, told[-1].payload) == state


def test_idle_power_shows_what_the_meters_said() -> None:
    reading = Power(idle_w=2.3, measured=False)
    assert state_of(sensor("idle_power"), reading.model_dump_json()) == "2.3"


@pytest.mark.parametrize("value", ["Dinner is ready.", '{"text": 1}', 'a "quoted" word\n', "Grüße"])
def test_what_is_typed_is_what_is_said(value: str) -> None:
    typed = understood().components["say"]
    assert isinstance(typed, Text)
    command = parse_command("say", command_of(typed, value).encode())
    assert command.model_dump(exclude_none=True) == {"text": value.strip()}


def test_the_controls_send_what_the_box_takes() -> None:
    told = understood().components
    switch, stop, listen, number = (told[name].model_dump() for name in ("mute", "stop", "listen", "volume"))
    for name, payload in [
        ("mute", switch["payload_on"]),
        ("mute", switch["payload_off"]),
        ("stop", stop["payload_press"]),
        ("listen", listen["payload_press"]),
        ("volume", f"{number['min']:.0f}"),
        ("volume", f"{number['max']:.0f}"),
    ]:
        parse_command(name, payload.encode())

"""How the box makes itself known to Home Assistant: one device with all its entities in one message.

As Home Assistant documents it under "Device discovery payload" of its MQTT integration (since 2024.12). Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, get_args

from voicebot import __version__
from voicebot.config.mqtt import MqttSettings
from voicebot.interfaces.mqtt.topics import OFF, OFFLINE, ON, ONLINE, Message, Topics
from voicebot.interfaces.public_state import PublicState

_LONGEST_STATE: Final = 255
"""Home Assistant takes no longer state than that."""
_SHORTENED: Final = f"{{{{ value_json.text[:{_LONGEST_STATE}] }}}}"
_AS_JSON: Final = "{{ {'text': value} | tojson }}"
"""So that a text which begins with a brace is taken for what it is."""


@dataclass(frozen=True, slots=True)
class Meters:
    """What not every box can tell of itself."""

    temperature: bool = False
    power: bool = False


def status_topic(settings: MqttSettings) -> str:
    """Return where Home Assistant says that it has started, with the payload "online"."""
    return f"{settings.discovery_prefix}/status"


def discovery(settings: MqttSettings, topics: Topics, meters: Meters) -> Message:
    """Return the message that describes the box; kept by the broker for when Home Assistant starts."""
    entities = _controls(topics) | _sensors(topics)
    if settings.texts:
        entities |= _texts(topics)
    if meters.temperature:
        entities |= _temperature(topics)
    if meters.power:
        entities |= _power(topics)
    payload = {
        "device": {
            "identifiers": [topics.device_id],
            "name": settings.name,
            "manufacturer": "voicebot",
            "model": "voice assistant",
            "sw_version": __version__,
        },
        "origin": {"name": "voicebot", "sw_version": __version__},
        "availability_topic": topics.availability,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "components": {
            key: {"unique_id": f"{topics.device_id}_{key}", **entity} for key, entity in sorted(entities.items())
        },
    }
    topic = f"{settings.discovery_prefix}/device/{topics.device_id}/config"
    return Message(topic, json.dumps(payload, separators=(",", ":")), qos=1, retain=True)


def _controls(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "mute": {
            "platform": "switch",
            "name": "Mute",
            "icon": "mdi:microphone-off",
            "state_topic": topics.muted,
            "command_topic": topics.command("mute"),
            "payload_on": ON,
            "payload_off": OFF,
        },
        "stop": {
            "platform": "button",
            "name": "Stop",
            "icon": "mdi:stop",
            "command_topic": topics.command("stop"),
            "payload_press": "PRESS",
        },
        "listen": {
            "platform": "button",
            "name": "Listen",
            "icon": "mdi:microphone-message",
            "command_topic": topics.command("listen"),
            "payload_press": "PRESS",
        },
        "volume": {
            "platform": "number",
            "name": "Volume",
            "icon": "mdi:volume-high",
            "state_topic": topics.volume,
            "command_topic": topics.command("volume"),
            "min": 0,
            "max": 100,
            "step": 1,
            "unit_of_measurement": "%",
        },
        "say": _prompt(topics, "say", "Say", "mdi:bullhorn"),
        "ask": _prompt(topics, "ask", "Ask", "mdi:chat-question"),
    }


def _prompt(topics: Topics, command: str, name: str, icon: str) -> dict[str, Any]:
    return {
        "platform": "text",
        "name": name,
        "icon": icon,
        "command_topic": topics.command(command),
        "command_template": _AS_JSON,
        "min": 1,
        "max": _LONGEST_STATE,
    }


def _sensors(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "state": {
            "platform": "sensor",
            "name": "State",
            "icon": "mdi:account-voice",
            "state_topic": topics.state,
            "value_template": "{{ value_json.state }}",
            "device_class": "enum",
            "options": list(get_args(PublicState)),
        },
        "voice_to_voice": {
            "platform": "sensor",
            "name": "Voice-to-voice",
            "state_topic": topics.latency,
            "value_template": "{{ value_json.voice_to_voice_ms }}",
            "json_attributes_topic": topics.latency,
            "device_class": "duration",
            "state_class": "measurement",
            "unit_of_measurement": "ms",
            "suggested_display_precision": 0,
        },
        "energy": {
            "platform": "sensor",
            "name": "Energy",
            "state_topic": topics.energy,
            "value_template": "{{ value_json.total_joules / 3600 }}",
            "json_attributes_topic": topics.energy,
            "device_class": "energy",
            "state_class": "total_increasing",
            "unit_of_measurement": "Wh",
            "suggested_display_precision": 3,
        },
    }


def _temperature(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "temperature": {
            "platform": "sensor",
            "name": "Temperature",
            "state_topic": topics.temperature,
            "value_template": "{{ value_json.celsius }}",
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "suggested_display_precision": 0,
            "entity_category": "diagnostic",
        }
    }


def _power(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "idle_power": {
            "platform": "sensor",
            "name": "Idle power",
            "state_topic": topics.power,
            "value_template": "{{ value_json.idle_w }}",
            "json_attributes_topic": topics.power,
            "device_class": "power",
            "state_class": "measurement",
            "unit_of_measurement": "W",
            "suggested_display_precision": 1,
            "entity_category": "diagnostic",
        }
    }


def _texts(topics: Topics) -> dict[str, dict[str, Any]]:
    named = {
        "last_request": ("Last request", "mdi:account-voice", topics.final),
        "last_reply": ("Last reply", "mdi:message-reply-text", topics.reply),
    }
    return {
        key: {
            "platform": "sensor",
            "name": name,
            "icon": icon,
            "state_topic": topic,
            "value_template": _SHORTENED,
            "json_attributes_topic": topic,
        }
        for key, (name, icon, topic) in named.items()
    }

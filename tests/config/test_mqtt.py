"""Settings of the broker that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.config.mqtt import MqttSettings


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"password_file": "secret"}, "needs a user"),
        ({"ca": "ca.pem"}, "need tls"),
        ({"tls": True, "certificate": "box.pem"}, "given together"),
        ({"retry_s": 5.0, "longest_retry_s": 2.0}, "longest_retry_s"),
        ({"topic": "voicebot/#"}, "topic"),
        ({"topic": "/voicebot"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"host": "mqtt://box"}, "host"),
        ({"port": 0}, "port"),
        ({"discovery_prefix": "home assistant"}, "discovery_prefix"),
    ],
)
def test_what_can_not_be_meant_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MqttSettings.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"host": "::1", "topic": "house/kitchen_1"},
        {"tls": True, "ca": "ca.pem", "certificate": "box.pem", "key": "box.key"},
        {"user": "box", "password_file": "mqtt-password", "discovery_prefix": ""},
    ],
)
def test_what_can_be_meant_is_taken(values: dict[str, Any]) -> None:
    assert MqttSettings.model_validate(values).model_dump().items() >= values.items()

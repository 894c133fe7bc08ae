"""What the settings of traces allow, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.config.traces import TracesSettings


@pytest.mark.parametrize(
    ("endpoint", "is_readable"),
    [
        ("http://127.0.0.1:4318/v1/traces", False),
        ("http://[::1]:4318/v1/traces", False),
        ("http://localhost/v1/traces", False),
        ("https://collector.example/v1/traces", False),
        ("http://192.168.1.10:4318/v1/traces", True),
        ("http://collector.example/v1/traces", True),
    ],
)
def test_what_can_be_read_on_the_way_is_known(endpoint: str, is_readable: bool) -> None:
    assert TracesSettings(endpoint=endpoint).is_readable == is_readable


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "127.0.0.1:4318", "grpc://127.0.0.1:4317/v1/traces", "http:///v1/traces", "http://127.0.0.1:4318"),
        *("http://127.0.0.1:99999/v1/traces", "http://127.0.0.1:0/v1/traces", "http://127.0.0.1/v1/traces?key=1"),
        *("http://127.0.0.1/v1 traces", "http://[::1/v1/traces"),
    ],
)
def test_an_endpoint_is_an_address_with_a_path(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="should be an address with its path"):
        TracesSettings(endpoint=endpoint)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"endpoint": "https://me:secret@collector.example/v1/traces"}, "headers_file"),
        ({"endpoint": "http://192.168.1.10/v1/traces", "headers_file": "key"}, "endpoint must be https"),
        ({"name": ""}, "at least 1 character"),
    ],
)
def test_secrets_are_neither_in_the_settings_nor_in_the_open(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TracesSettings(**wrong)

"""Settings of the lights."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.config.lights import LightSettings


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"led": "../../../etc/passwd"}, "led"),
        ({"led": ".."}, "led"),
        ({"led": "a\0b"}, "led"),
        ({"brightness": 0}, "brightness"),
        ({"command": [""]}, "program's name"),
        ({"command": ["ring", "a\0b"]}, "code 0"),
        ({"command": "ring"}, "command"),
    ],
)
def test_what_can_not_be_meant_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LightSettings.model_validate(values)


@pytest.mark.parametrize("led", ["blue:status", "input3::capslock", ":activity", "mmc0::", "led-1.2", "sys!led"])
def test_an_led_has_one_of_the_kernels_names(led: str) -> None:
    assert LightSettings(led=led).enabled


def test_by_default_there_is_none() -> None:
    assert not LightSettings().enabled
    assert LightSettings.model_validate({"command": ["ring", ""]}).enabled

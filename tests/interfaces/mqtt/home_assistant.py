"""What Home Assistant asks of a device discovery message, after the documentation of its MQTT integration.

Closed where Home Assistant drops unknown keys without a word, since such a key is a misspelt one.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal, Self

import jinja2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

DISCOVERY_TOPIC: Final = re.compile(r"(?P<prefix>[\w/-]+)/device/(?P<object_id>[a-zA-Z0-9_-]+)/config")
LONGEST_STATE: Final = 255
_UNITS: Final = {
    "duration": {"d", "h", "min", "s", "ms"},
    "energy": {"Wh", "kWh", "J"},
    "power": {"mW", "W", "kW"},
    "temperature": {"°C", "°F", "K"},
}
_STATE_CLASSES: Final = {
    "duration": {"measurement", "total", "total_increasing"},
    "energy": {"total", "total_increasing"},
    "power": {"measurement"},
    "temperature": {"measurement"},
}
_ENVIRONMENT: Final = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no HTML


def _topic(topic: str) -> str:
    assert re.fullmatch(r"[^+#\0]+", topic)
    assert len(topic.encode()) < 65_536
    return topic


def _template(template: str) -> str:
    _ENVIRONMENT.from_string(template)
    return template


Topic = Annotated[str, AfterValidator(_topic)]
Template = Annotated[str, AfterValidator(_template)]
Icon = Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Device(_Closed):
    identifiers: list[str] = Field(min_length=1)
    name: str
    manufacturer: str
    model: str
    sw_version: str


class Origin(_Closed):
    name: str
    sw_version: str


class _Entity(_Closed):
    unique_id: str = Field(min_length=1)
    name: str
    icon: Icon | None = None
    entity_category: Literal["diagnostic", "config"] | None = None


class Sensor(_Entity):
    platform: Literal["sensor"]
    state_topic: Topic
    value_template: Template
    json_attributes_topic: Topic | None = None
    device_class: Literal["enum", "duration", "energy", "power", "temperature"] | None = None
    state_class: str | None = None
    unit_of_measurement: str | None = None
    options: list[str] | None = None
    suggested_display_precision: int | None = None

    @model_validator(mode="after")
    def _of_its_class(self) -> Self:
        if self.device_class in _UNITS:
            assert self.unit_of_measurement in _UNITS[self.device_class]
            assert self.state_class in _STATE_CLASSES[self.device_class]
        else:
            assert self.unit_of_measurement is None
            assert self.state_class is None
        assert bool(self.options) == (self.device_class == "enum")
        return self


class Switch(_Entity):
    platform: Literal["switch"]
    state_topic: Topic
    command_topic: Topic
    payload_on: str
    payload_off: str


class Button(_Entity):
    platform: Literal["button"]
    command_topic: Topic
    payload_press: str


class Text(_Entity):
    platform: Literal["text"]
    command_topic: Topic
    command_template: Template
    min: int = Field(ge=0)
    max: int = Field(ge=1, le=LONGEST_STATE)


class Number(_Entity):
    platform: Literal["number"]
    state_topic: Topic
    command_topic: Topic
    min: float
    max: float
    step: float = Field(ge=0.001)
    unit_of_measurement: str


Entity = Annotated[Sensor | Switch | Button | Text | Number, Field(discriminator="platform")]


class DeviceDiscovery(_Closed):
    device: Device
    origin: Origin
    availability_topic: Topic
    payload_available: str
    payload_not_available: str
    components: dict[str, Entity]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        identities = [entity.unique_id for entity in self.components.values()]
        assert len(set(identities)) == len(identities)
        return self


def understand(topic: str, payload: str) -> DeviceDiscovery:
    """Return what Home Assistant makes of a discovery message. Raises what is wrong with it."""
    assert DISCOVERY_TOPIC.fullmatch(topic)
    return TypeAdapter(DeviceDiscovery).validate_json(payload)


def state_of(sensor: Sensor, payload: str) -> str:
    """Return the state that a sensor takes from a message."""
    rendered = _ENVIRONMENT.from_string(sensor.value_template).render(value=payload, value_json=json.loads(payload))
    if sensor.device_class in _UNITS:
        float(rendered)
    elif sensor.options is not None:
        assert rendered in sensor.options
    assert len(rendered) <= LONGEST_STATE
    return rendered


def command_of(text: Text, value: str) -> str:
    """Return what is sent when somebody types a text."""
    command: Any = _ENVIRONMENT.from_string(text.command_template).render(value=value)
    assert isinstance(command, str)
    return command

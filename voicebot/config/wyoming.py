"""Settings of the Wyoming protocol, by which Home Assistant and satellites reach the assistant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from voicebot.config.section import Section, Texts
from voicebot.config.web import is_loopback

_SATELLITE_PORT: Final = 10_700


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class WyomingSettings(Section):
    """The stages that are offered, to whom, and the satellites that are talked to."""

    enabled: bool = False
    host: str = Field("127.0.0.1", max_length=255)
    port: int = Field(10_300, ge=0, le=65_535)
    allow_unauthenticated: bool = False
    most_clients: int = Field(16, ge=1, le=256)
    longest_utterance_s: float = Field(60.0, ge=1, le=600)
    longest_text: int = Field(4000, ge=1, le=20_000)
    idle_s: float = Field(60.0, gt=0, le=86_400)
    satellites: Texts = ()
    ahead_ms: int = Field(80, ge=40, le=100)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the satellites listen."""
        return tuple(_address(text) for text in self.satellites)

    @field_validator("satellites")
    @classmethod
    def _are_addresses(cls, satellites: tuple[str, ...]) -> tuple[str, ...]:
        found = [_address(text) for text in satellites]
        if len(set(found)) < len(found):
            raise ValueError("names a satellite twice")
        return satellites

    @model_validator(mode="after")
    def _nobody_unknown(self) -> Self:
        if self.host and not (self.allow_unauthenticated or is_loopback(self.host)):
            raise ValueError("allow_unauthenticated must be true where host is reached from other machines")
        return self


def _address(text: str) -> Address:
    """Read "host", "host:port" or "[v6]:port". Raises ValueError."""
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or "]" in port or (":" in host and not host.startswith("[")):
        host, port = text.removeprefix("tcp://"), str(_SATELLITE_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(map(str.isspace, host)) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"should be addresses, host:port; {text!r} is none")
    return Address(host, int(port))

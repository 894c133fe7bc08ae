"""Settings of the Wyoming protocol: who reaches the assistant by it, and which stages are services elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from voicebot.config.nearby import refuse_public
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


class RemotableSettings(Section):
    """A stage that a model of this box does, or a Wyoming service, which may be on another machine."""

    engine: str
    model: str
    uri: str = ""
    remote_model: str = Field("", max_length=200)
    connect_timeout_ms: int = Field(300, ge=10, le=10_000)
    answer_timeout_ms: int = Field(5000, ge=100, le=60_000)

    @property
    def remote(self) -> bool:
        """Whether a service does the work."""
        return self.engine == "wyoming"

    @property
    def address(self) -> Address:
        """Where the service listens."""
        parts = urlsplit(self.uri)
        return Address(parts.hostname or "", parts.port or 0)

    @property
    def leaves_box(self) -> bool:
        """Whether what the stage works on goes over a network."""
        return self.remote and not is_loopback(self.address.host)

    @property
    def done_by(self) -> str:
        """Who does the work: the model's name, or where the service is."""
        return self.uri if self.remote else self.model

    @field_validator("uri")
    @classmethod
    def _a_service_nearby(cls, uri: str) -> str:
        return uri and _checked(uri)

    @model_validator(mode="after")
    def _served_from_somewhere(self) -> Self:
        if self.remote and not self.uri:
            raise ValueError("uri has to be given, as in tcp://192.168.1.20:10300")
        if not self.remote and (self.uri or self.remote_model):
            raise ValueError('uri and remote_model are for engine = "wyoming"')
        return self


def _checked(uri: str) -> str:
    """Return the URI of a service. An address outside of private networks is none."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"this is no URI ({error})") from error
    beyond = (parts.username, parts.path, parts.query, parts.fragment)
    if parts.scheme != "tcp" or not host or not port or any(beyond) or any(map(str.isspace, uri)):
        raise ValueError("should be like tcp://192.168.1.20:10300")
    refuse_public(host)
    return uri


def _address(text: str) -> Address:
    """Read "host", "host:port" or "[v6]:port". Raises ValueError."""
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or "]" in port or (":" in host and not host.startswith("[")):
        host, port = text.removeprefix("tcp://"), str(_SATELLITE_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(map(str.isspace, host)) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"should be addresses, host:port; {text!r} is none")
    return Address(host, int(port))

"""Which topics there are, and how each is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ONLINE: Final = "online"
OFFLINE: Final = "offline"
ON: Final = "ON"
OFF: Final = "OFF"


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: str
    qos: int = 0
    retain: bool = False
    """The broker keeps it for whoever subscribes later. Never so for what was spoken."""
    lasting: bool = True
    """It holds until there is a newer one, and is told again to a broker or a Home Assistant that has restarted."""


class Topics:
    """The names of all topics, below one prefix that each box has for itself."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.availability = f"{prefix}/availability"
        self.state = f"{prefix}/state"
        self.muted = f"{prefix}/muted"
        self.volume = f"{prefix}/volume"
        self.partial = f"{prefix}/transcript/partial"
        self.final = f"{prefix}/transcript/final"
        self.reply = f"{prefix}/reply"
        self.latency = f"{prefix}/latency"
        self.energy = f"{prefix}/energy"
        self.power = f"{prefix}/power"
        self.temperature = f"{prefix}/temperature"
        self.result = f"{prefix}/result"
        self.turn = f"{prefix}/event/turn"
        self.error = f"{prefix}/event/error"

    @property
    def device_id(self) -> str:
        """The box's name where no slash may be in it; it is the client's identifier at the broker as well."""
        return self.prefix.replace("/", "_")

    def command(self, name: str) -> str:
        """Return where that command is taken; "+" for all of them."""
        return f"{self.prefix}/command/{name}"

    def command_of(self, topic: str) -> str | None:
        """Return which command a topic is for; None for any other topic."""
        name = topic.removeprefix(self.command(""))
        return None if name == topic else name

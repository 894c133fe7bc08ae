"""Settings of the control socket."""

from __future__ import annotations

from pydantic import Field

from voicebot.config.section import Section


class ControlSettings(Section):
    """The socket behind `voicebot stop` and the like. Its place is told by the environment."""

    enabled: bool = True
    most_clients: int = Field(16, ge=1, le=256)
    requests_per_s: float = Field(20.0, gt=0, le=1000)
    idle_s: float = Field(60.0, gt=0, le=86_400)

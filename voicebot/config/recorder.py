"""The flight recorder: what is kept of the latest minutes, and for how long what was written of it stays."""

from __future__ import annotations

from pydantic import Field

from voicebot.config.section import Section


class RecorderSettings(Section):
    """An empty folder is "recordings" in the folder of the state."""

    enabled: bool = False
    minutes: int = Field(10, ge=1, le=60)
    audio: bool = False
    memory_mb: int = Field(64, ge=1, le=2000)
    on_error: bool = False
    folder: str = Field("", pattern=r"^((/|~/).*)?$", max_length=1000)
    most_files: int = Field(10, ge=1, le=1000)
    retention_hours: float = Field(48.0, gt=0, le=8760)

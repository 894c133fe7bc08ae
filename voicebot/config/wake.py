"""The sections of a pipeline file about when the assistant listens, and the tones by which it says so."""

from __future__ import annotations

from typing import Final, Literal, get_args

from pydantic import Field

from voicebot.config.section import Section

WakeName = Literal["okay_nabu", "hey_jarvis", "hey_mycroft", "alexa"]
WAKE_NAMES: Final[tuple[WakeName, ...]] = get_args(WakeName)


class WakeSettings(Section):
    """What has to happen before somebody who speaks is answered."""

    mode: Literal["always", "word", "push"] = "always"
    word: WakeName = "okay_nabu"
    sensitivity: float = Field(0.5, gt=0, le=1)
    window_s: float = Field(8.0, ge=1, le=300)


class EarconSettings(Section):
    """Short tones that tell what the assistant does."""

    enabled: bool = False
    level_dbfs: float = Field(-26.0, ge=-60, le=-6)
    after_ms: int = Field(2000, ge=500, le=20_000)

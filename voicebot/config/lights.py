"""The lights that show what the box is doing."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from voicebot.config.section import Section, Texts


class LightSettings(Section):
    """An LED of the kernel's, a program that is told each state, both, or neither."""

    led: str = Field("", pattern=r"^([A-Za-z0-9_:][A-Za-z0-9_:@!.+-]*)?$", max_length=64)
    brightness: int = Field(100, ge=1, le=100)
    command: Texts = Field((), max_length=64)

    @property
    def enabled(self) -> bool:
        """Whether there is anything to light up."""
        return bool(self.led or self.command)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.command and not self.command[0]:
            raise ValueError("command begins with the program's name")
        if any("\0" in word for word in self.command):
            raise ValueError("command must not have a character of code 0")
        return self

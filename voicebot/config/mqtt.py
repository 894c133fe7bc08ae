"""The broker that the box tells what happens, and takes commands from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from voicebot.config.section import Section


class MqttSettings(Section):
    """A relative file is looked for in systemd's $CREDENTIALS_DIRECTORY, where there is one."""

    enabled: bool = False
    host: str = Field("localhost", pattern=r"^[A-Za-z0-9._:-]{1,253}$")
    port: int = Field(1883, ge=1, le=65535)
    user: str = Field("", max_length=200)
    password_file: str = ""
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    topic: str = Field("voicebot", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)
    name: str = Field("Voicebot", min_length=1, max_length=60)
    discovery_prefix: str = Field("homeassistant", pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", max_length=100)
    texts: bool = True
    queue_kb: int = Field(1024, ge=16, le=1_000_000)
    retry_s: float = Field(1.0, gt=0, le=3600)
    longest_retry_s: float = Field(60.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password_file and not self.user:
            raise ValueError("password_file needs a user")
        if not self.tls and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key need tls = true")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key are given together")
        if self.longest_retry_s < self.retry_s:
            raise ValueError("longest_retry_s must not be below retry_s")
        return self

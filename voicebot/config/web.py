"""The web page and the metrics: a section of a file in config/."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, model_validator

from voicebot.config.section import Section, Texts


class WebSettings(Section):
    """Where they are served, and who may see them."""

    enabled: bool = True
    host: str = Field("127.0.0.1", min_length=1, max_length=255)
    port: int = Field(8321, ge=0, le=65_535)
    names: Texts = ()
    token_file: str = ""
    certificate: str = ""
    key: str = ""
    metrics: bool = True

    @model_validator(mode="after")
    def _nobody_unknown(self) -> Self:
        if not (self.token_file or is_loopback(self.host)):
            raise ValueError("token_file must be set where host is reached from other machines")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key must be set together")
        return self


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches it. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

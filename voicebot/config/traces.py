"""Traces of turns for an OpenTelemetry collector: a section of a file in config/."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from voicebot.config.section import Section
from voicebot.config.web import is_loopback


class TracesSettings(Section):
    """Where they go. A relative file is looked for in systemd's $CREDENTIALS_DIRECTORY, where there is one."""

    enabled: bool = False
    endpoint: str = Field("http://127.0.0.1:4318/v1/traces", max_length=1000)
    headers_file: str = ""
    ca: str = ""
    name: str = Field("voicebot", min_length=1, max_length=100)
    texts: bool = False

    @property
    def is_readable(self) -> bool:
        """Whether what is sent can be read on the way, on the network."""
        url = urlsplit(self.endpoint)
        return url.scheme == "http" and not is_loopback(url.hostname or "")

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        wrong = 'should be an address with its path, such as "http://127.0.0.1:4318/v1/traces"'
        try:
            url = urlsplit(endpoint)
            known = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError as error:
            raise ValueError(wrong) from error
        if not known or url.query or url.fragment or url.path in {"", "/"} or any(map(str.isspace, endpoint)):
            raise ValueError(wrong)
        if url.username or url.password:
            raise ValueError("must not have a password, since anybody may read these settings; see headers_file")
        return endpoint

    @model_validator(mode="after")
    def _no_secret_in_the_open(self) -> Self:
        if self.headers_file and self.is_readable:
            raise ValueError("endpoint must be https where headers_file is sent to another machine")
        return self

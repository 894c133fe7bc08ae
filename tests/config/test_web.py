"""What may be configured for the web page, and what not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.config.web import WebSettings, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert WebSettings(host=host).token_file == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "fe80::1", "box.local", "localhost.evil", " "])  # noqa: S104
def test_others_are_let_in_with_a_token_only(host: str) -> None:
    with pytest.raises(ValidationError):
        WebSettings(host=host)
    if host.strip():
        assert WebSettings(host=host, token_file="token").host == host  # noqa: S106


@pytest.mark.parametrize("half", [{"certificate": "cert.pem"}, {"key": "key.pem"}])
def test_a_certificate_comes_with_its_key(half: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="together"):
        WebSettings(**half)

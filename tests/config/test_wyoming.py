"""The settings of the Wyoming protocol."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from voicebot.config.wyoming import Address, WyomingSettings


def test_a_satellite_is_an_address() -> None:
    texts = ("kitchen", "kitchen:10701", "tcp://10.0.0.5:1", "[fd00::5]:10700", "[::1]", "fd00::6")
    assert WyomingSettings(satellites=texts).addresses == (
        Address("kitchen", 10_700),
        Address("kitchen", 10_701),
        Address("10.0.0.5", 1),
        Address("fd00::5", 10_700),
        Address("::1", 10_700),
        Address("fd00::6", 10_700),
    )
    assert str(Address("fd00::5", 10_700)) == "[fd00::5]:10700"


@pytest.mark.parametrize("text", ["", ":10700", "kitchen:", "kitchen:0", "kitchen:65536", "kitchen:x", "a b:1", "[]:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="should be addresses"):
        WyomingSettings(satellites=(text,))


def test_a_satellite_is_named_once() -> None:
    with pytest.raises(ValidationError, match="twice"):
        WyomingSettings(satellites=("kitchen", "kitchen:10700"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "voicebox.local"])  # noqa: S104
def test_others_are_let_in_only_by_who_says_so(host: str) -> None:
    with pytest.raises(ValidationError, match="allow_unauthenticated"):
        WyomingSettings(host=host)
    assert WyomingSettings(host=host, allow_unauthenticated=True).host == host


@pytest.mark.parametrize("host", ["", "127.0.0.1", "::1", "localhost"])
def test_this_machine_may_always_connect(host: str) -> None:
    assert WyomingSettings(host=host).host == host

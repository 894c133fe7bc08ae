"""The settings of the Wyoming protocol."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from voicebot.config.pipeline import AsrSettings, TtsSettings
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


FAR = {"engine": "wyoming", "uri": "tcp://192.168.1.20:10300"}


def test_a_stage_may_be_a_service() -> None:
    asr = AsrSettings.model_validate(FAR)
    assert (asr.remote, asr.leaves_box, asr.done_by) == (True, True, "tcp://192.168.1.20:10300")
    assert asr.address == Address("192.168.1.20", 10_300)
    near = TtsSettings.model_validate({**FAR, "uri": "tcp://[::1]:10200"})
    assert (near.remote, near.leaves_box, near.address) == (True, False, Address("::1", 10_200))
    own = TtsSettings()
    assert (own.remote, own.leaves_box, own.done_by) == (False, False, own.model)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "uri has to be given"),
        ("192.168.1.20:10300", "should be like tcp://"),
        ("http://box:10300", "should be like tcp://"),
        ("tcp://box", "should be like tcp://"),
        ("tcp://:10300", "should be like tcp://"),
        ("tcp://box:0", "should be like tcp://"),
        ("tcp://box:10300/asr", "should be like tcp://"),
        ("tcp://me@box:10300", "should be like tcp://"),
        ("tcp://a b:10300", "should be like tcp://"),
        ("tcp://box:66666", "this is no URI"),
        ("tcp://[box:10300", "this is no URI"),
        ("tcp://8.8.8.8:10300", "8.8.8.8 is not on the local network"),
        ("tcp://[2001:4860:4860::8888]:10300", "is not on the local network"),
    ],
)
def test_what_is_no_service_is_refused(uri: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        AsrSettings.model_validate({**FAR, "uri": uri})


@pytest.mark.parametrize("left_over", [{"uri": FAR["uri"]}, {"remote_model": "large"}])
def test_what_is_for_a_service_is_refused_without_one(left_over: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match='are for engine = "wyoming"'):
        TtsSettings.model_validate(left_over)

"""Tokens, cookies, names and rates, by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interfaces.web.scene import SECRET, token_file
from voicebot.errors import ConfigError
from voicebot.interfaces.web.access import Rates, Token, is_ours, is_same_origin, read_token

TOKEN = Token(SECRET)
NOW_S = 1_800_000_000


class Hand:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def now_s(self) -> float:
        return self.time_s


def test_a_token_is_read_and_recognised(tmp_path: Path) -> None:
    token = read_token(token_file(tmp_path))
    assert token.is_this(SECRET)
    assert not token.is_this(SECRET + "\n")


@given(st.text())
def test_nothing_else_is_the_token(given: str) -> None:
    assert TOKEN.is_this(given) == (given == SECRET)


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(token_file(tmp_path, mode=0o644))


def test_a_token_that_is_short_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="16 characters"):
        read_token(token_file(tmp_path, "short"))
    with pytest.raises(ConfigError, match="openssl rand"):
        read_token(tmp_path / "missing")


def test_a_cookie_is_good_until_its_time() -> None:
    cookie = TOKEN.cookie(NOW_S)
    assert TOKEN.allows(cookie, NOW_S - 1)
    assert not TOKEN.allows(cookie, NOW_S)
    assert not Token("another secret of some length").allows(cookie, NOW_S - 1)


@given(st.text() | st.from_regex(r"[0-9]{1,14}\.[0-9a-f]{64}", fullmatch=True))
def test_a_cookie_is_not_guessed(cookie: str) -> None:
    assert not TOKEN.allows(cookie, 0)


def test_the_time_of_a_cookie_can_not_be_changed() -> None:
    _, _, signature = TOKEN.cookie(NOW_S).partition(".")
    assert not TOKEN.allows(f"{NOW_S + 1}.{signature}", NOW_S)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8321", "[::1]:8321", "192.168.1.7:80", "localhost:8321", "LOCALHOST"),
        *("localhost.:1", "box.local:8321", "Box.Local"),
    ],
)
def test_the_box_goes_by_its_addresses_and_names(host: str) -> None:
    assert is_ours(host, ("box.local",))


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "box.local.evil.example"),
        *("[evil]:80", "user@127.0.0.1", "127.0.0.1:80:80", "127.0.0.1/", "0x7f.1", "local host"),
    ],
)
def test_it_goes_by_no_other_name(host: str) -> None:
    assert not is_ours(host, ("box.local",))


@given(st.text())
def test_any_host_header_has_an_answer(host: str) -> None:
    assert is_ours(host, ()) in {True, False}


@pytest.mark.parametrize(
    ("origin", "site", "allowed"),
    [
        (None, None, True),
        (None, "none", True),
        ("http://127.0.0.1:8321", "same-origin", True),
        ("https://127.0.0.1:8321", None, True),
        ("HTTP://127.0.0.1:8321", None, False),
        ("http://127.0.0.1:8322", None, False),
        ("http://127.0.0.1", None, False),
        ("http://evil.example", "cross-site", False),
        ("null", None, False),
        ("", None, False),
        ("file://127.0.0.1:8321", None, False),
        (None, "cross-site", False),
        ("http://127.0.0.1:8321", "same-site", False),
    ],
)
def test_only_our_own_pages_may_act(origin: str | None, site: str | None, allowed: bool) -> None:
    assert is_same_origin(origin, "127.0.0.1:8321", site) == allowed


def test_each_address_has_its_own_rate() -> None:
    clock = Hand()
    rates = Rates(1.0, 3, clock)
    assert [rates.of("a").take() for _ in range(4)] == [True, True, True, False]
    assert rates.of("b").take()
    clock.time_s += 1
    assert [rates.of("a").take() for _ in range(2)] == [True, False]


def test_only_so_many_addresses_are_remembered() -> None:
    rates = Rates(1.0, 1, Hand(), most=2)
    assert rates.of("a").take()
    assert rates.of("b").take()
    assert not rates.of("a").take()
    assert rates.of("c").take()
    assert not rates.of("a").take()
    assert rates.of("b").take(), "b was longest quiet"

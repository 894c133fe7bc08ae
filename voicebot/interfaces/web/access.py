"""Who may ask for what: the token, the cookie that stands for it, whom a request is addressed to, and how often."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import stat
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Final

from voicebot.clock import Watch
from voicebot.errors import ConfigError
from voicebot.interfaces.rate import Rate

COOKIE: Final = "voicebot"
COOKIE_S: Final = 30 * 24 * 3600
_LEAST_LETTERS: Final = 16
_MOST_LETTERS: Final = 4096
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


class Token:
    """A secret that the user has put into a file. Comparisons take the same time whatever they are given."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._key = hashlib.sha256(b"voicebot cookie " + self._secret).digest()

    def is_this(self, given: str) -> bool:
        """Return whether that is the secret."""
        return hmac.compare_digest(self._secret, given.encode("utf-8", "replace"))

    def cookie(self, until_s: int) -> str:
        """Return what stands for the secret until a moment of time.time()."""
        return f"{until_s}.{self._sign(until_s)}"

    def allows(self, cookie: str, now_s: float) -> bool:
        """Return whether a cookie was made of this secret and is still good."""
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) <= 12):
            return False
        return hmac.compare_digest(self._sign(int(until)).encode(), signature.encode("utf-8", "replace")) and (
            now_s < int(until)
        )

    def _sign(self, until_s: int) -> str:
        return hmac.new(self._key, str(until_s).encode(), hashlib.sha256).hexdigest()


def read_token(file: Path) -> Token:
    """Read the secret. Raises ConfigError where it can't be, is short, or where everybody on the box may read it."""
    make = f"make one with: (umask 077; openssl rand -hex 24 > {file})"
    try:
        with file.open(encoding="utf-8") as opened:
            open_to_all = Path(f"/proc/self/fd/{opened.fileno()}").stat().st_mode & stat.S_IROTH
            secret = opened.read(_MOST_LETTERS).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"web.token_file: {file} can't be read ({error}); {make}") from error
    if open_to_all:
        raise ConfigError(f"web.token_file: everybody on this box may read {file}; chmod 600 it.")
    if len(secret) < _LEAST_LETTERS:
        raise ConfigError(f"web.token_file: {file} has less than {_LEAST_LETTERS} characters; {make}")
    return Token(secret)


def is_ours(host: str, names: Collection[str]) -> bool:
    """Return whether a Host header names this box: by an address, as localhost, or by one of its names.

    A page of somebody else's whose name was made to lead here (DNS rebinding) still has that name in the header.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["six"] or found["name"]).lower().removesuffix(".")
    try:
        return ipaddress.ip_address(name) is not None
    except ValueError:
        return name == "localhost" or name in {one.lower() for one in names}


def is_same_origin(origin: str | None, host: str, fetch_site: str | None) -> bool:
    """Return whether a request was made by one of our own pages, or by no page at all.

    The scheme is left out: in front of us may be who speaks TLS.
    """
    if fetch_site not in {None, "same-origin", "none"}:
        return False
    if origin is None:
        return True
    scheme, separator, place = origin.partition("://")
    return bool(separator) and scheme in {"http", "https"} and place.lower() == host.lower()


class Rates:
    """A rate for each address. Of more than it remembers, the one that was longest quiet is forgotten."""

    def __init__(self, per_s: float, at_once: int, clock: Watch, *, most: int = 256) -> None:
        self._per_s, self._at_once, self._clock, self._most = per_s, at_once, clock, most
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def of(self, address: str) -> Rate:
        """Return that of an address."""
        rate = self._rates.pop(address, None) or Rate(self._per_s, self._clock, self._at_once)
        self._rates[address] = rate
        if len(self._rates) > self._most:
            self._rates.popitem(last=False)
        return rate

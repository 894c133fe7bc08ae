"""Makes wrong inputs of valid ones: a few small changes each, from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

LONGEST_BYTES: Final = 65_536
_CHANGES_AT_ONCE: Final = (1, 1, 1, 2, 2, 3, 4)
_SPLICED: Final = 0.1
_WORDS: Final = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"=", b"\\u0000", b'"\\ud800"', b"\xff\xfe", b"\xed\xa0\x80"),
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"1.5", b"0", b"4294967296", b"9" * 30, b"9" * 5000),
    *(b"[" * 2000, b'{"a":' * 2000, b"a." * 500, b"\0" * 16, "\u202e\U0001f600".encode()),
)
_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
_Change = Callable[[bytes, random.Random], bytes]


def mutated(corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the inputs with up to four changes, at most 64 KiB long."""
    data = chance.choice(corpus)
    if chance.random() < _SPLICED:
        data = _spliced(data, chance.choice(corpus), chance)
    for _ in range(chance.choice(_CHANGES_AT_ONCE)):
        data = chance.choice(_CHANGES)(data, chance)[:LONGEST_BYTES]
    return data


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _replace(data: bytes, chance: random.Random) -> bytes:
    start, end = _stretch(data, chance)
    return data[:start] + chance.randbytes(chance.randint(0, 8)) + data[end:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    start, end = _stretch(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = _stretch(data, chance)
    return data[:end] + data[start:end] * chance.randint(1, 20) + data[end:]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _word(data: bytes, chance: random.Random) -> bytes:
    start, end = _stretch(data, chance)
    return data[:start] + chance.choice(_WORDS) + data[chance.choice((start, end)) :]


def _number(data: bytes, chance: random.Random) -> bytes:
    at, size = _place(data, chance), chance.choice((1, 2, 4, 8))
    value = chance.choice(_NUMBERS) % (1 << (8 * size))
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def _spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randint(0, len(data))


def _stretch(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = _place(data, chance)
    return start, min(len(data), start + chance.choice((1, 1, 2, 4, 8, 40)))


_CHANGES: Final[tuple[_Change, ...]] = (_flip, _replace, _remove, _repeat, _cut, _word, _number)

"""A GBNF expression for the whole numbers of a range: the grammar's way to hold a model to a minimum and a maximum."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 16
"""An open end is closed here: more digits than a float holds exactly."""


def integers(low: int | None, high: int | None) -> str:
    """Return an expression that matches the decimal numbers from `low` to `high`, both included; None is no limit.

    Raises ValueError when there are none.
    """
    low = max(-(10**_DIGITS) + 1, low) if low is not None else -(10**_DIGITS) + 1
    high = min(10**_DIGITS - 1, high) if high is not None else 10**_DIGITS - 1
    if low > high:
        raise ValueError(f"there is no whole number from {low} to {high}")
    alternatives = []
    if low < 0:
        alternatives.append(f'"-" ({_without_sign(max(1, -high), -low)})')
    if high >= 0:
        alternatives.append(_without_sign(max(0, low), high))
    return " | ".join(alternatives)


def _without_sign(low: int, high: int) -> str:
    """Return an expression for 0 <= low <= number <= high: one alternative for each count of digits."""
    alternatives = []
    for count in range(len(str(low)), len(str(high)) + 1):
        first = 0 if count == 1 else 10 ** (count - 1)
        alternatives.append(_same_length(str(max(low, first)), str(min(high, 10**count - 1))))
    return " | ".join(alternatives)


def _same_length(low: str, high: str) -> str:
    """Return an expression for the digit strings from `low` to `high`, which are equally long."""
    rest = len(low) - 1
    if low == high:
        return f'"{low}"'
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return " ".join([f"[{low[0]}-{high[0]}]", *["[0-9]"] * rest])
    if low[0] == high[0]:
        return f'"{low[0]}" ({_same_length(low[1:], high[1:])})'
    parts = []
    begin, end = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        parts.append(f'"{low[0]}" ({_same_length(low[1:], "9" * rest)})')
        begin += 1
    top = end if high[1:] == "9" * rest else end - 1
    if begin <= top:
        parts.append(" ".join([f"[{begin}-{top}]", *["[0-9]"] * rest]))
    if top < end:
        parts.append(f'"{high[0]}" ({_same_length("0" * rest, high[1:])})')
    return " | ".join(parts)

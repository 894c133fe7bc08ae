"""What the parts of this benchmark are, and what one of them finds: tables of figures, and which have a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Row = Mapping[str, str | float | None]
"""Figures by their names; the first one says what the others are of."""


class PartName(StrEnum):
    """What can be measured alone."""

    START = "start"
    MEMORY = "memory"
    FIRST_TOKEN = "first-token"  # noqa: S105 - of a reply
    DECODE = "decode"
    SPECULATION = "speculation"
    LOSSLESS = "lossless"
    DRAFT_MODELS = "draft-models"
    SESSIONS = "sessions"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure, and what it may be."""

    figure: str
    value: float | None
    """None where it could not be measured, which is beyond any limit."""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether the figure is within the limit."""
        if self.value is None:
            return False
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def as_json(self) -> dict[str, Any]:
        """Return it with the bound that it has."""
        bounds = {"at_most": self.at_most, "at_least": self.at_least}
        found = {name: round(bound, 3) for name, bound in bounds.items() if bound is not None}
        return {"figure": self.figure, "value": rounded(self.value), **found, "met": self.met}


@dataclass(frozen=True, slots=True)
class Part:
    """What one part found."""

    tables: Mapping[str, Sequence[Row]]
    limits: Sequence[Limit] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return tables and limits, their figures rounded."""
        tables = {
            title: [{name: rounded(value) for name, value in row.items()} for row in rows]
            for title, rows in self.tables.items()
        }
        return {**tables, "limits": [limit.as_json() for limit in self.limits]}


def missed(parts: Mapping[str, Part]) -> list[str]:
    """Return the names of the figures beyond their limits, each with its part's."""
    return [f"{name}: {limit.figure}" for name, part in parts.items() for limit in part.limits if not limit.met]


def rounded(value: str | float | None) -> str | float | None:
    """Return a figure with as many digits as were measured: three after the point, one from a hundred on."""
    if not isinstance(value, float):
        return value
    return round(value, 1 if abs(value) >= 100 else 3)

"""docs/interfaces.md names every request and every event with all their fields."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest

from voicebot.events import Event
from voicebot.interfaces.control_requests import Request
from voicebot.interfaces.event_json import event_name

SECTION = (Path(__file__).parents[2] / "docs/interfaces.md").read_text("utf-8").partition("## Control socket")[2]


def row_of(name: str) -> str:
    rows = [line for line in SECTION.splitlines() if line.startswith("| `") and f"`{name}`" in line.split(" | ")[0]]
    assert len(rows) == 1, name
    return rows[0]


@pytest.mark.parametrize("model", get_args(Request))
def test_every_request_is_there(model: Any) -> None:
    for name in get_args(model.model_fields["request"].annotation):
        row = row_of(name)
        assert [field for field in set(model.model_fields) - {"request", "schema_"} if f"`{field}`" not in row] == []


@pytest.mark.parametrize("kind", get_args(Event))
def test_every_event_is_there(kind: type[Event]) -> None:
    row = row_of(event_name(kind))
    assert [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in row] == []

"""Bounds of the flight recorder."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.config.recorder import RecorderSettings


@pytest.mark.parametrize(
    "values",
    [
        *({"minutes": 0}, {"minutes": 61}, {"minutes": 1.5}, {"memory_mb": 0}, {"most_files": 0}),
        *({"retention_hours": 0.0}, {"retention_hours": 9000.0}, {"retention_hours": float("inf")}),
        *({"folder": "recordings"}, {"folder": "~nobody/x"}, {"audio": 1}, {"minute": 5}),
    ],
)
def test_what_can_not_be_meant_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        RecorderSettings.model_validate(values)


def test_it_is_off_and_without_sound_unless_somebody_wants_it() -> None:
    assert (RecorderSettings().enabled, RecorderSettings().audio) == (False, False)
    assert RecorderSettings.model_validate({"folder": "~/recordings", "minutes": 60}).folder == "~/recordings"

"""What the tests of the Wyoming protocol share."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.interfaces.kept import KeptState


@pytest.fixture
def kept(tmp_path: Path) -> KeptState:
    return KeptState(tmp_path / "switched.json")

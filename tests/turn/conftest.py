"""A microphone for each test of voice activity."""

from __future__ import annotations

import pytest

from tests.turn.microphone import Microphone


@pytest.fixture
def microphone() -> Microphone:
    return Microphone()

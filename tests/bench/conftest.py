"""Scenarios in a folder of the test's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.virtual_scenario import Act, perform_virtually


@pytest.fixture
def act(tmp_path: Path) -> Act:
    """Return a function that performs a scenario."""
    return partial(perform_virtually, tmp_path)

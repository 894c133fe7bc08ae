"""Scenarios in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.virtual_scenario import Act, perform_virtually, write_scenario


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a scenario."""
    return partial(write_scenario, tmp_path)


@pytest.fixture
def act(tmp_path: Path) -> Act:
    """Return a function that performs a scenario."""
    return partial(perform_virtually, tmp_path)

"""What every test of workers leaves behind: nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.workers.rig import children, open_descriptors


@pytest.fixture
async def _nothing_left() -> AsyncGenerator[None, None]:
    """Whatever a test did to its workers, no process and no descriptor stays."""
    descriptors = open_descriptors()
    yield
    assert children() == []
    assert open_descriptors() <= descriptors

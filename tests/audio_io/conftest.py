"""A sound card for tests of what talks to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from virtual_sound_card import VirtualSoundCard


@pytest.fixture(scope="module")
def sound_card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualSoundCard]:
    with VirtualSoundCard(tmp_path_factory.mktemp("card")) as card:
        yield card

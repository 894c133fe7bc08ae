"""For all tests: a call that blocks the event loop is an error, and examples have no deadline."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.virtual_sound_card import VirtualSoundCard
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

# As in the workers (voicebot/workers/process.py): threads that spin at a barrier make a busy machine stand still.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
settings.register_profile("voicebot", deadline=None)  # a busy machine makes an example slow, and not wrong
settings.load_profile("voicebot")


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let voicebot's code raise BlockingError where it blocks inside an async test; the test itself may block."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    with blockbuster_ctx("voicebot"):
        yield


@pytest.fixture(scope="module")
def sound_card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualSoundCard]:
    with VirtualSoundCard(tmp_path_factory.mktemp("card")) as card:
        yield card


@pytest.fixture(scope="session")
def store() -> Store:
    """The user's own models, which `voicebot models pull` has installed."""
    root = Store.default_root()
    return Store(root, load_catalogue(root))

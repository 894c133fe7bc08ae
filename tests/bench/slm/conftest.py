"""The real model, with short replies."""

from __future__ import annotations

import pytest

from voicebot.bench.slm.subject import Subject
from voicebot.config.pipeline import SlmSettings
from voicebot.models.store import Store


@pytest.fixture
def subject(store: Store) -> Subject:
    settings = SlmSettings(max_tokens=24)
    return Subject(store.path(settings.model), settings, threads=1, prefill_threads=2, within_s=0.3, repeats=1)

"""A smaller model guesses for a larger one: the text stays the larger one's, at any temperature."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import pytest

from tests.engines.llama.talk import FRANCE, asking, reply
from tests.engines.llama.test_speculation import cheap, steep, unmoved
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.draft_model import DraftModel
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.weights import Weights
from voicebot.errors import EngineError
from voicebot.workers.flags import CancelFlag

Q4_0 = 2
STORY = asking("Tell me a story about a dog.")
Shrink = Callable[..., Path]


@pytest.fixture(scope="module")
def shrink(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Shrink:
    """Make a model of the same vocabulary from the usual one: requantised, with the given layers left out."""

    def make(*without: int) -> Path:
        path = tmp_path_factory.mktemp("drafts") / f"without-{len(without)}.gguf"
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = Q4_0, True
        layers = (ctypes.c_int32 * (len(without) + 1))(*without, -1)
        if without:
            params.prune_layers = ctypes.cast(layers, ctypes.POINTER(ctypes.c_int32))
        assert llama_cpp.llama_model_quantize(str(gguf).encode(), str(path).encode(), ctypes.byref(params)) == 0
        return path

    return make


def drafting(
    gguf: Path, draft: Path, costs: StepCosts, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> LlamaEngine:
    monkeypatch.setattr("voicebot.engines.llama.engine.StepCosts", lambda: unmoved(costs))
    chosen = SlmSettings.model_validate({"context_tokens": 512, "slots": 2, "kv_type": "q8_0", **settings})
    return LlamaEngine(gguf, chosen, 1, 2, draft_model=draft)


def test_a_good_draft_model_is_mostly_believed_and_changes_nothing(
    gguf: Path, shrink: Shrink, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LlamaEngine(gguf, SlmSettings(context_tokens=512, slots=2, kv_type="q8_0", speculation=False), 1, 2)
    engine = drafting(gguf, shrink(), cheap(), monkeypatch)
    monkeypatch.setattr(DraftModel, "ms_per_token", property(lambda _: 1.0))
    for messages in (FRANCE, STORY):
        assert reply(engine, messages, cancel, 40) == reply(plain, messages, cancel, 40)
    accepted, proposed = engine.speculation.accepted["model"], engine.speculation.proposed["model"]
    assert proposed > 10
    assert accepted > proposed / 5
    engine.close()
    plain.close()


def test_a_bad_draft_model_is_soon_left_alone(
    gguf: Path, shrink: Shrink, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = drafting(gguf, shrink(*range(4, 30)), steep(), monkeypatch)
    reply(engine, STORY, cancel, 60)
    assert engine.speculation.proposed["model"] <= 10
    engine.close()


def test_draws_by_chance_are_verified_too(
    gguf: Path, shrink: Shrink, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = drafting(gguf, shrink(), cheap(), monkeypatch, temperature=0.7)
    monkeypatch.setattr(DraftModel, "ms_per_token", property(lambda _: 1.0))
    assert len(reply(engine, STORY, cancel, 40)) > 60
    assert engine.speculation.accepted["model"] > 0
    engine.close()


def test_a_draft_model_of_another_vocabulary_is_refused(
    gguf: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "vocabulary_size", 1000)
    with pytest.raises(EngineError, match="another vocabulary"):
        DraftModel(gguf, weights, SlmSettings(), 1, 1)

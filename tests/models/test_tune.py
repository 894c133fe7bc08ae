"""Tuning the real small model, with a short text and as few repetitions as there can be."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicebot.errors import ModelError
from voicebot.models import tune as tuning
from voicebot.models.catalogue import load_catalogue
from voicebot.models.formats import Format, formats
from voicebot.models.gguf import kv_bytes_per_token
from voicebot.models.importance import importance_of
from voicebot.models.measure import perplexity_of
from voicebot.models.requantise import requantise
from voicebot.models.store import Store
from voicebot.models.tune import Tuning, tune

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODEL = "smollm2-135m-instruct-q4_1"
TEXT = (FIXTURES / "perplexity.txt").read_text("utf-8")[:1400]
CALIBRATION = (FIXTURES / "calibration.txt").read_text("utf-8")[:600]
Q8_0, Q4_0 = ([form for form in formats(layers=30) if form.name == name] for name in ("Q8_0", "Q4_0"))


@pytest.fixture
def own(tmp_path: Path) -> Store:
    """A store of the test's own, with a link to the real model."""
    real = Store(Store.default_root(), load_catalogue(Store.default_root())).installed(MODEL)[0]
    root = tmp_path / "store"
    (root / MODEL).mkdir(parents=True)
    (root / MODEL / real.name).symlink_to(real)
    return Store(root, load_catalogue(root))


def run(own: Store, formats: list[Format], most_loss: float = 0.02, steps: Callable[[str], None] = print) -> str:
    source, sha256 = own.installed(MODEL)
    settings = Tuning(TEXT, CALIBRATION, 1, 2, rounds=1, most_loss=most_loss)
    return tune(own.root, MODEL, source, sha256, formats, settings, steps).chosen


def names(own: Store) -> list[str]:
    """Everything in the store but locks and manifests, which are there anyway."""
    files = (path.relative_to(own.root) for path in own.root.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if path.parts[0] not in {".locks", ".manifests"})


def test_tuning_measures_and_leaves_one_file(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(own)
    source, sha256 = own.installed(MODEL)
    steps: list[str] = []
    monkeypatch.setattr("voicebot.models.format_choice.LEAST_GAIN", -100.0)  # a slow minute may not decide this test
    settings = Tuning(TEXT, CALIBRATION, 1, 2, rounds=1, most_loss=0.1)
    verdict = tune(own.root, MODEL, source, sha256, [*Q8_0, *Q4_0], settings, steps.append)
    installed, q8_0, q4_0 = verdict.measured
    assert [each.format for each in verdict.measured] == ["as installed", "Q8_0", "Q4_0"]
    assert installed.size == source.stat().st_size
    assert q4_0.size < installed.size < q8_0.size
    # Eight bits hold what four and a half held; four bits on another grid do not.
    assert q8_0.perplexity == pytest.approx(installed.perplexity, rel=0.02)
    assert q4_0.perplexity > 1.005 * installed.perplexity
    assert all(min(each.speed.model_dump().values()) > 0 for each in verdict.measured)
    assert any("Q4_0" in step for step in steps)
    # The file that was chosen is what the engine gets, and it is a whole model.
    tuned = own.tuned(MODEL)
    assert tuned is not None
    assert tuned.chosen.format == verdict.chosen != "as installed"
    path = own.path(MODEL)
    assert path.stat().st_size == tuned.chosen.size
    assert kv_bytes_per_token(path) == kv_bytes_per_token(source)
    assert names(own) == sorted([*before, f".tuned/{MODEL}.json", f"{MODEL}/{path.name}"])


def test_what_is_not_worth_it_is_not_kept_nor_what_a_killed_tuning_left(own: Store) -> None:
    before = names(own)
    left = own.root / ".tuning" / MODEL / "3.gguf"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a model")
    assert run(own, [], most_loss=0.0) == "as installed"
    assert names(own) == before
    assert own.path(MODEL) == own.installed(MODEL)[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_broken_off_leaves_all_as_it_was(
    own: Store, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(own)

    def broken(source: Path, target: Path, *_: object) -> None:
        target.write_bytes(source.read_bytes()[:1000])
        raise error

    monkeypatch.setattr(tuning, "requantise", broken)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ModelError, match=r"space|^$"):
        run(own, Q8_0)
    assert names(own) == before
    assert own.path(MODEL) == own.installed(MODEL)[0]


def test_a_disk_without_room_is_told_beforehand(own: Store) -> None:
    source, sha256 = own.installed(MODEL)
    settings = Tuning(TEXT, CALIBRATION, 1, 2)
    before = names(own)
    with pytest.raises(ModelError, match=r"Tuning needs 29\d MB of disk for a while and .* has 100; free some space"):
        tune(own.root, MODEL, source, sha256, Q8_0, settings, print, free_bytes=lambda _: 100_000_000)
    assert names(own) == before


def test_an_impossible_write_is_one_sentence(own: Store, tmp_path: Path) -> None:
    source, _ = own.installed(MODEL)
    with pytest.raises(ModelError, match="can't be written as Q8_0; check that the disk has room"):
        requantise(source, tmp_path / "none" / "out.gguf", Q8_0[0], {}, 2)
    assert list(tmp_path.glob("**/out*")) == []


def test_a_disk_that_fills_up_leaves_all_as_it_was(own: Store) -> None:
    before = names(own)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, hard))
    try:
        with pytest.raises(ModelError, match="can't be written as Q8_0; check that the disk has room"):
            run(own, Q8_0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(own) == before


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"no model")
    with pytest.raises(ModelError, match="voicebot models verify"):
        perplexity_of(tmp_path / "no.gguf", TEXT, 1)


def test_a_text_that_is_too_short_is_refused(own: Store) -> None:
    with pytest.raises(ModelError, match="too short"):
        perplexity_of(own.installed(MODEL)[0], "Hi.", 1)


def test_every_matrix_of_the_blocks_has_an_importance(own: Store) -> None:
    found = importance_of(own.installed(MODEL)[0], CALIBRATION, 2)
    matrices = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    assert {f"blk.{layer}.{matrix}.weight" for layer in range(30) for matrix in matrices} <= set(found)
    assert {len(values) for name, values in found.items() if "ffn_down" in name} == {1536}
    assert all(
        values.dtype == np.float32 and np.isfinite(values).all() and values.min() >= 0 for values in found.values()
    )


def test_perplexity_is_that_of_the_text(own: Store) -> None:
    file = own.installed(MODEL)[0]
    plain = perplexity_of(file, TEXT, 2)
    shuffled = " ".join(sorted(TEXT.split()))
    assert 1 < plain < perplexity_of(file, shuffled, 2) / 3
    assert math.isfinite(plain)

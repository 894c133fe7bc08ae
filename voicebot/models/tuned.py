"""Keeps the tuned weights of an installed language model beside it, and says whether they are right for this box.

They are `<file>.tuned.gguf`, with a record of what they were made of, for which processor, and what was measured.
"""

from __future__ import annotations

import logging
import platform
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voicebot.errors import ModelError
from voicebot.models.digest import sha256_of
from voicebot.models.download import put_in_place
from voicebot.models.manifest import Record, Stamp, replace_text

_log = logging.getLogger(__name__)
_FOLDER: Final = ".tuned"
_ENDING: Final = ".tuned.gguf"
_CPUINFO: Final = Path("/proc/cpuinfo")


class Speed(BaseModel):
    """Milliseconds: prefill of 128 tokens, then of 16, then each decoded token."""

    model_config = ConfigDict(frozen=True)

    prefill_128_ms: float
    prefill_16_ms: float
    token_ms: float


class Figures(BaseModel):
    """What one format costs and how well it predicts: bytes, milliseconds, and the perplexity on the text."""

    model_config = ConfigDict(frozen=True)

    format: str
    size: int
    speed: Speed
    perplexity: float


class Tuned(BaseModel):
    """The record of tuned weights: hashes, figures before and after, and where and when they were measured."""

    model_config = ConfigDict(frozen=True)

    source_sha256: str
    weights: Record
    installed: Figures
    chosen: Figures
    cpu: str
    llama_cpp: str
    at: datetime

    def misfit(self, source_sha256: str, cpu: str) -> str:
        """Return why these weights are not for this source on this processor; "" when they are."""
        if self.source_sha256 != source_sha256:
            return "they were made of another file"
        return "" if self.cpu == cpu else f"they were chosen for another processor ({self.cpu})"


def cpu_name(cpuinfo: Path = _CPUINFO) -> str:
    """Return the processor's name, or on Arm the numbers of its kinds of cores."""
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return platform.machine()
    fields = [(key.strip(), value.strip()) for key, _, value in lines]
    for wanted in ("model name", "CPU part"):
        if found := sorted({value for key, value in fields if key == wanted}):
            return f"{platform.machine()} {', '.join(found)}"
    return platform.machine()


def is_tuned(path: Path) -> bool:
    """Return whether a file is the tuned weights of another."""
    return path.name.endswith(_ENDING)


def tuned_path(source: Path) -> Path:
    """Return where the tuned weights of a file lie."""
    return source.with_name(source.name.removesuffix(".gguf") + _ENDING)


def read_tuned(root: Path, model_id: str) -> Tuned | None:
    """Return the record of a model's tuned weights, if it has one that can be read."""
    try:
        return Tuned.model_validate_json(_record(root, model_id).read_bytes())
    except (OSError, ValidationError):
        return None


def weights_state(source: Path, tuned: Tuned, *, trust_stamps: bool) -> Literal["ok", "missing", "damaged"]:
    """Return how the tuned weights are; hashes them when their stamp has changed, or always without `trust_stamps`."""
    path = tuned_path(source)
    if not path.is_file():
        return "missing"
    trusted = trust_stamps and Stamp.of(path) == tuned.weights.stamp
    return "ok" if trusted or sha256_of(path) == tuned.weights.sha256 else "damaged"


def best_weights(root: Path, model_id: str, source: Path, source_sha256: str) -> Path:
    """Return the tuned weights where they are sound and right for this box, else the source; the log says why."""
    tuned = read_tuned(root, model_id)
    if tuned is None:
        return source
    misfit = tuned.misfit(source_sha256, cpu_name())
    if not misfit and (state := weights_state(source, tuned, trust_stamps=True)) != "ok":
        misfit = f"they are {state}"
    if misfit:
        _log.warning(
            "%s runs as installed, not with its tuned weights: %s; run `voicebot models tune %s`.",
            *(model_id, misfit, model_id),
        )
        return source
    path = tuned_path(source)
    if Stamp.of(path) != tuned.weights.stamp:
        _remember(root, model_id, tuned, path)
    return path


def keep_tuned(root: Path, model_id: str, source: Path, fresh: Path, tuned: Tuned) -> None:
    """Put finished weights beside their source and record them, in this order: a record alone is never believed.

    `ModelError` when the disk refuses; what was there before is then still there or plainly invalid.
    """
    path = tuned_path(source)
    try:
        put_in_place(fresh, path)
        replace_text(_record(root, model_id), tuned.model_dump_json(indent=1))
    except OSError as error:
        raise ModelError(f"{path} can't be written ({error}); check the store and its disk.") from error


def forget_tuned(root: Path, model_id: str, source: Path) -> bool:
    """Remove the tuned weights and their record; return whether there were any."""
    record, path = _record(root, model_id), tuned_path(source)
    found = record.exists() or path.exists()
    try:
        record.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"{path} can't be removed ({error}); check the rights of the store.") from error
    return found


def _remember(root: Path, model_id: str, tuned: Tuned, path: Path) -> None:
    weights = Record(sha256=tuned.weights.sha256, stamp=Stamp.of(path))
    try:
        replace_text(_record(root, model_id), tuned.model_copy(update={"weights": weights}).model_dump_json(indent=1))
    except OSError as error:
        # A read-only store is fine: it costs a hash at every start.
        _log.debug("the stamp of %s is not kept: %s", path, error)


def _record(root: Path, model_id: str) -> Path:
    return root / _FOLDER / f"{model_id}.json"

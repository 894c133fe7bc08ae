"""Writes a language model in several formats, measures them on this box, and keeps the best of them.

Every candidate is measured in turns with the installed file, and its times are given relative to it: a machine that is
busy for a while slows both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from voicebot.errors import ModelError
from voicebot.models.catalogue import BYTES_PER_MB
from voicebot.models.digest import sha256_of
from voicebot.models.format_choice import MOST_LOSS, Verdict, choose, median_speed, relative_speed
from voicebot.models.formats import AS_INSTALLED, Format
from voicebot.models.importance import Importance, importance_of
from voicebot.models.loaded_gguf import loaded_gguf
from voicebot.models.lock import locked
from voicebot.models.manifest import Record, Stamp
from voicebot.models.measure import perplexity_of, speed_of
from voicebot.models.requantise import requantise
from voicebot.models.tuned import Figures, Speed, Tuned, cpu_name, forget_tuned, keep_tuned

_WORK_FOLDER: Final = ".tuning"
_BYTES_PER_WEIGHT: Final = 1.08
"""Of the largest format, Q8_0, with a little for the header."""
_FILES_AT_ONCE: Final = 2
"""The best so far, and the one that is looked at."""

Step = Callable[[str], None]
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is measured with, and how long. Threads are those of the pipeline."""

    text: str
    calibration: str
    threads: int
    prefill_threads: int
    rounds: int = 5
    most_loss: float = MOST_LOSS


def tune(
    root: Path,
    model_id: str,
    source: Path,
    source_sha256: str,
    formats: Sequence[Format],
    tuning: Tuning,
    step: Step,
    free_bytes: FreeBytes = lambda folder: shutil.disk_usage(folder).free,
) -> Verdict:
    """Measure the formats, put the best beside the source, and return what was measured.

    `step` is told what comes next. Raises ModelError when the disk has no room or the model is unusable. Unless it
    returns, the store is as it was.
    """
    with locked(root, model_id), _work_folder(root, model_id) as folder:
        _check_room(source, folder, free_bytes)
        step("reading the calibration text")
        importance = importance_of(source, tuning.calibration, tuning.prefill_threads)
        step(f"{AS_INSTALLED}: perplexity")
        perplexity = perplexity_of(source, tuning.text, tuning.prefill_threads)
        speed = median_speed([_speed(source, tuning) for _ in range(tuning.rounds)])
        installed = Figures(format=AS_INSTALLED, size=source.stat().st_size, speed=speed, perplexity=perplexity)
        measured = [installed]
        best, weights = installed, source
        for form in formats:
            fresh = folder / f"{len(measured)}.gguf"
            step(f"{form.name}: writing and measuring")
            candidate = _measure(source, fresh, form, importance, installed, tuning)
            measured.append(candidate)
            winner = choose([installed, best, candidate], tuning.most_loss)
            if winner is candidate:
                best, weights, fresh = candidate, fresh, weights
            if fresh != source:
                fresh.unlink(missing_ok=True)
        if best is installed:
            forget_tuned(root, model_id, source)
        else:
            record = Record(sha256=sha256_of(weights), stamp=Stamp.of(weights))
            tuned = Tuned(
                source_sha256=source_sha256,
                weights=record,
                installed=installed,
                chosen=best,
                cpu=cpu_name(),
                llama_cpp=version("llama-cpp-python"),
                at=datetime.now(UTC),
            )
            keep_tuned(root, model_id, source, weights, tuned)
        return Verdict(tuple(measured), best.format)


def _measure(
    source: Path, fresh: Path, form: Format, importance: Importance, installed: Figures, tuning: Tuning
) -> Figures:
    requantise(source, fresh, form, importance, tuning.prefill_threads)
    perplexity = perplexity_of(fresh, tuning.text, tuning.prefill_threads)
    pairs = [(_speed(source, tuning), _speed(fresh, tuning)) for _ in range(tuning.rounds)]
    return Figures(
        format=form.name,
        size=fresh.stat().st_size,
        speed=relative_speed(installed.speed, pairs),
        perplexity=perplexity,
    )


def _speed(path: Path, tuning: Tuning) -> Speed:
    return speed_of(path, tuning.text, tuning.threads, tuning.prefill_threads)


@contextmanager
def _work_folder(root: Path, model_id: str) -> Iterator[Path]:
    folder = root / _WORK_FOLDER / model_id
    try:
        shutil.rmtree(folder, ignore_errors=True)  # a tuning that was killed may have left it
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise ModelError(f"{model_id} can't be tuned ({error}); check the store and its disk.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_room(source: Path, folder: Path, free_bytes: FreeBytes) -> None:
    with loaded_gguf(source, 1, 1) as model:
        needed = int(_FILES_AT_ONCE * _BYTES_PER_WEIGHT * model.parameters)
    free = free_bytes(folder)
    if free < needed:
        raise ModelError(
            f"Tuning needs {needed / BYTES_PER_MB:.0f} MB of disk for a while and {folder} has"
            f" {free / BYTES_PER_MB:.0f}; free some space."
        )

"""Recognition errors and times, with the short window and with the library's full one, on the same recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicebot.audio_io.wav import read_wav
from voicebot.bench.wer import normalise, word_errors
from voicebot.errors import AudioFileError
from voicebot.latency.percentiles import summary

FULL_WINDOW_S: Final = 30.0
Transcribe = Callable[[list[Path]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and what is said in it."""

    file: Path
    text: str


def read_corpus(folder: Path) -> list[Recording]:
    """Read a folder's transcripts.tsv (columns file and text). Raises AudioFileError."""
    table = folder / "transcripts.tsv"
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [Recording(folder / row["file"], row["text"]) for row in rows]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise AudioFileError(f"{table}: needs to be a table with the columns file and text ({error}).") from error


def score(recordings: Sequence[Recording], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare transcripts with what was said; returns word error rate, its parts, times and the worst files."""
    errors = words = 0
    wrong: list[dict[str, Any]] = []
    for recording, entry in zip(recordings, entries, strict=True):
        reference, hypothesis = normalise(recording.text), normalise(entry["text"])
        count = word_errors(reference, hypothesis)
        errors += count
        words += len(reference)
        if count:
            wrong.append({"file": recording.file.name, "errors": count, "said": recording.text, "heard": entry["text"]})
    wrong.sort(key=lambda one: -int(one["errors"]))
    return {
        "wer": round(errors / max(1, words), 4),
        "errors": errors,
        "words": words,
        "files": len(recordings),
        "audio_s": round(sum(entry["audio_s"] for entry in entries), 1),
        "asr_ms": summary([entry["asr_ms"] for entry in entries if entry["window_s"] > 0]),
        "fallbacks": sum(entry["fallback"] for entry in entries),
        "wrong": wrong,
    }


def check_files(recordings: Sequence[Recording]) -> None:
    """Read every file once, so that a broken one is reported before anything is measured."""
    for recording in recordings:
        read_wav(recording.file)

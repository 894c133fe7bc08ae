"""Recordings of the flight recorder, for `voicebot replay`: their turn table and their sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from voicebot.cli.common import print_json
from voicebot.config.pipeline import HearingSettings
from voicebot.errors import VoicebotError
from voicebot.interfaces.recorder.file import read_recording
from voicebot.interfaces.recorder.recording import Recording
from voicebot.interfaces.recorder.table_check import check_table
from voicebot.replay.recorded import Recorded, without_echo
from voicebot.replay.report import SCHEMA

_SUFFIXES: Final = (".jsonl", ".zip")
_SHOWN: Final = 20
"""Of the differences; --json has all."""


class TableDiffersError(VoicebotError):
    """The turn table decides otherwise than it did when that was recorded."""


def recordings_among(files: Sequence[Path]) -> tuple[list[Recording], list[Path]]:
    """Read the recordings, those in folders too, and return them and what else is to be read. Raises RecordingError."""
    recordings: list[Recording] = []
    others: list[Path] = []
    for file in files:
        if file.suffix in _SUFFIXES:
            recordings.append(read_recording(file))
            continue
        inside = _inside(file, _SUFFIXES)
        recordings += map(read_recording, inside)
        if not inside or _inside(file, (".wav", ".toml")):
            others.append(file)
    return recordings, others


def sounds_of(recordings: Iterable[Recording], hearing: HearingSettings) -> list[Recorded]:
    """Return each session's sound, without the echo of what was replied then, ready to be spoken."""
    return [
        Recorded.of(
            recording.file,
            session,
            without_echo(sound[:, 0], sound[:, 1], hearing),
            recording.speech_ends(session),
        )
        for recording in recordings
        for session, sound in recording.sounds.items()
    ]


def feed_again(recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """Return of each recording what the turn table makes of it: an entry of the contract's."""
    checked = [(recording, check_table(recording)) for recording in recordings]
    return [
        {
            "file": str(recording.file),
            "saved_at": recording.header.saved_at,
            "sessions": sorted({record.session for record in recording.records if record.decision is not None}),
            "decisions": check.decisions,
            "differences": check.differences,
        }
        for recording, check in checked
    ]


def print_recordings(checked: Sequence[dict[str, Any]]) -> None:
    """Print of each recording how often the table decides as it did, and where not."""
    for one in checked:
        differences = one["differences"]
        found = f"{len(differences)} differ from the turn table" if differences else "all as the turn table has it"
        typer.echo(f"{one['file']}: {one['decisions']} decisions, {found}")
        for sentence in differences[:_SHOWN]:
            typer.echo(f"       {sentence}")


def check_same(checked: Sequence[dict[str, Any]]) -> None:
    """Raise TableDiffersError unless every decision was the same."""
    names = [Path(one["file"]).name for one in checked if one["differences"]]
    if names:
        raise TableDiffersError(f"the turn table decides otherwise than when this was recorded: {', '.join(names)}.")


def tell_alone(checked: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print what came of recordings without sound, where nothing else was replayed. Raises TableDiffersError."""
    if as_json:
        print_json({"schema": SCHEMA, "turns": [], "recordings": list(checked)})
    else:
        print_recordings(checked)
    check_same(checked)


def _inside(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files in a folder that have one of the suffixes; none where it is a file."""
    try:
        return sorted(path for path in folder.glob("*") if path.suffix in suffixes)
    except OSError:  # a name that is too long, a folder that may not be entered: who reads it next says so
        return []

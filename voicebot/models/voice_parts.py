"""Keeps the two parts of an installed Piper voice beside it: made once, and again when they are no longer its own.

They are named after the voice, `en_US-joe-medium.encoder.onnx` and `.decoder.onnx`; the engine loads them where both
are there, and the whole graph otherwise.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from voicebot.errors import ModelError
from voicebot.models.digest import sha256_of
from voicebot.models.download import part_of, put_in_place
from voicebot.models.lock import locked
from voicebot.models.manifest import Record, Stamp, replace_text

_log = logging.getLogger(__name__)
_FOLDER: Final = ".voice-parts"
_CUT: Final = 1
"""Raised when voices are cut in another way, so that all are cut again."""
_VOICE: Final = ".onnx"
_ENDINGS: Final = (".encoder.onnx", ".decoder.onnx")


class _Made(BaseModel):
    """What was made of a voice: nothing when it can't be cut."""

    cut: int
    voice_sha256: str
    parts: Mapping[str, Record]


def is_part(path: Path) -> bool:
    """Return whether a file is a part of a voice that lies beside it."""
    name = path.name
    return any(name.endswith(end) and path.with_name(name.removesuffix(end) + _VOICE).exists() for end in _ENDINGS)


def keep_parts(root: Path, model_id: str, voice: Path, voice_sha256: str, *, trust_stamps: bool) -> None:
    """See to it that a voice of the store at `root` has its parts, if it can be cut.

    Parts that are there are hashed when their stamps have changed, or always without `trust_stamps`. A voice whose
    parts can't be written stays whole, and the log says so. Raises ModelError when something else lies in their place
    and can't be removed: it would be loaded.
    """
    if _are_kept(root, model_id, voice, voice_sha256, trust_stamps=trust_stamps):
        return
    try:
        with locked(root, model_id):
            # Another process may have made them while this one waited.
            if not _are_kept(root, model_id, voice, voice_sha256, trust_stamps=trust_stamps):
                _make(root, model_id, voice, voice_sha256)
    except (OSError, ModelError) as error:
        if strangers := [path.name for path in _paths(voice) if path.exists()]:
            raise ModelError(f"{' and '.join(strangers)} beside {voice} must be removed: {error}.") from error
        _log.warning("%s can't be cut and will speak a whole sentence at a time (%s)", model_id, error)


def _paths(voice: Path) -> list[Path]:
    return [voice.with_name(voice.name.removesuffix(_VOICE) + ending) for ending in _ENDINGS]


def _are_kept(root: Path, model_id: str, voice: Path, voice_sha256: str, *, trust_stamps: bool) -> bool:
    try:
        made = _Made.model_validate_json(_record(root, model_id).read_bytes())
        there = {path.name for path in _paths(voice) if path.exists()}
        return (made.cut, made.voice_sha256, set(made.parts)) == (_CUT, voice_sha256, there) and all(
            _is_sound(voice.with_name(name), record, trust_stamps=trust_stamps) for name, record in made.parts.items()
        )
    except (OSError, ValidationError):
        return False


def _is_sound(part: Path, record: Record, *, trust_stamps: bool) -> bool:
    return (trust_stamps and Stamp.of(part) == record.stamp) or sha256_of(part) == record.sha256


def _make(root: Path, model_id: str, voice: Path, voice_sha256: str) -> None:
    # Imported here: it takes 15 MB, and a voice is cut once.
    from voicebot.models.vocoder_cut import NoCutError, cut_voice  # noqa: PLC0415

    paths = _paths(voice)
    for path in paths:
        path.unlink(missing_ok=True)  # they may be another voice's
    records = {}
    try:
        parts = cut_voice(voice.read_bytes())
    except NoCutError as error:
        _log.info("%s will speak a whole sentence at a time: %s", model_id, error)
    else:
        for path, part in zip(paths, (parts.encoder, parts.decoder), strict=True):
            _write(path, part.SerializeToString())
            records[path.name] = Record(sha256=sha256_of(path), stamp=Stamp.of(path))
    made = _Made(cut=_CUT, voice_sha256=voice_sha256, parts=records)
    replace_text(_record(root, model_id), made.model_dump_json(indent=1))


def _write(path: Path, content: bytes) -> None:
    fresh = part_of(path)
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _record(root: Path, model_id: str) -> Path:
    return root / _FOLDER / f"{model_id}.json"

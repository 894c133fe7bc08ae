"""Takes the user's own model into the store and describes it in added.toml."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from voicebot.errors import ModelError, UsageError
from voicebot.models.catalogue import (
    ADDED_FILE,
    BYTES_PER_MB,
    DIRECTORY_ENTRY,
    Engine,
    MemoryNeed,
    Model,
    ModelFile,
    Stage,
    load_catalogue,
)
from voicebot.models.digest import sha256_of
from voicebot.models.gguf import kv_bytes_per_token
from voicebot.models.lock import locked
from voicebot.models.manifest import replace_text
from voicebot.models.tuned import is_tuned
from voicebot.models.voice_parts import is_part

_STAGING_FOLDER: Final = ".adding"
# MB beside the weights: measured for the default models, with room for the larger vocabularies of larger ones.
_WORK_MB: Final = {"faster-whisper": 200, "llama": 350, "piper": 170, "silero": 50, "smart-turn": 115}


def install_local(
    root: Path, source: Path, model_id: str, stage: Stage, engine: Engine, licence: str, *, link: bool
) -> Model:
    """Copy or link the user's files to `root`/`model_id`, list the model in added.toml, and return it.

    `UsageError` when the files are not what the engine needs; `ModelError` when they can't be read or copied.
    """
    files = _files_of(source, engine)
    entry = DIRECTORY_ENTRY if engine == "faster-whisper" else _entry(files, engine)
    folder = root / model_id
    if source.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{source} lies in the store already; give a file from elsewhere.")
    try:
        kv_bytes = kv_bytes_per_token(files[entry]) if engine == "llama" else 0
        fresh = root / _STAGING_FOLDER / model_id
        shutil.rmtree(fresh, ignore_errors=True)
        for name, path in files.items():
            _place(path, fresh / name, link=link)
        listed = tuple(_described(fresh / name, name) for name in files)
        size_mb = sum(file.size for file in listed) / BYTES_PER_MB
        model = Model(
            id=model_id,
            stage=stage,
            engine=engine,
            title=source.name,
            licence=licence,
            added=True,
            entry=entry,
            memory=MemoryNeed(weights_mb=size_mb, work_mb=_WORK_MB[engine], kv_bytes_per_token=kv_bytes),
            files=listed,
        )
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise ModelError(f"{source} can't be put into the store ({error}); check its rights and the disk.") from error
    except ValidationError as error:
        reasons = "; ".join(str(wrong["msg"]) for wrong in error.errors())
        raise UsageError(f"{source} can't be added as {model_id!r}: {reasons}.") from error
    _list(root, model)
    return model


def _place(source: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)


def _described(path: Path, name: str) -> ModelFile:
    return ModelFile(name=name, size=path.stat().st_size, sha256=sha256_of(path))


def _files_of(source: Path, engine: Engine) -> dict[str, Path]:
    if not source.exists():
        raise UsageError(f"{source} does not exist; give the model's file or folder.")
    if source.is_dir():
        found = sorted(
            path for path in source.rglob("*") if path.is_file() and not is_part(path) and not is_tuned(path)
        )
        files = {path.relative_to(source).as_posix(): path for path in found if not path.name.startswith(".")}
    else:
        files = {source.name: source}
        voice = source.with_name(source.name + ".json")
        if engine == "piper" and voice.is_file():
            files[voice.name] = voice
    needed = {"faster-whisper": ["model.bin", "config.json"], "piper": [".onnx", ".onnx.json"], "llama": [".gguf"]}
    lacking = [end for end in needed.get(engine, []) if not any(name.endswith(end) for name in files)]
    if lacking or not files:
        raise UsageError(f"{source} lacks {' and '.join(lacking) or 'any file'}, which {engine} needs.")
    return files


def _entry(files: Iterable[str], engine: Engine) -> str:
    ending = {"llama": ".gguf"}.get(engine, ".onnx")
    return next((name for name in files if name.endswith(ending)), next(iter(files), ""))


def _list(root: Path, model: Model) -> None:
    with locked(root, ADDED_FILE):
        others = [m for m in load_catalogue(root).models.values() if m.added and m.id != model.id]
        text = "schema_version = 1\n" + "".join(map(_as_toml, [*others, model]))
        replace_text(root / ADDED_FILE, text)


def _as_toml(model: Model) -> str:
    plain = model.model_dump(exclude={"memory", "files"})
    memory = model.memory.model_dump()
    tables = [("\n[[models]]", plain), ("[models.memory]", memory)]
    tables += [("[[models.files]]", file.model_dump(exclude={"sources"})) for file in model.files]
    return "".join(f"{head}\n{_assignments(values)}" for head, values in tables)


def _assignments(values: dict[str, object]) -> str:
    # TOML's basic strings, arrays of strings, numbers and booleans are written as JSON writes them.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())

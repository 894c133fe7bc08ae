"""Finds, reads and checks settings files, and reports everything that is wrong at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voicebot.config.box import BoxSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.section import Section
from voicebot.errors import ConfigError

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_BASE_PROFILE: Final = "voicebot"
AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured, and by which names."""

    pipeline_name: str
    profile_name: str
    pipeline: PipelineSettings
    box: BoxSettings

    def with_pipeline(self, pipeline: PipelineSettings) -> Settings:
        """Return the same settings with another conversation's."""
        return replace(self, pipeline=pipeline)


def load_settings(pipeline: str = "assistant", profile: str = _BASE_PROFILE) -> Settings:
    """Load a pipeline by name or file and a box profile over the base profile. Raises ConfigError with all errors."""
    problems: list[str] = []
    pipeline_settings = _load("pipelines", [pipeline], PipelineSettings, problems)
    layers = [_BASE_PROFILE] if profile == _BASE_PROFILE else [_BASE_PROFILE, profile]
    box_settings = _load("config", layers, BoxSettings, problems)
    if problems or pipeline_settings is None or box_settings is None:
        raise ConfigError("\n".join(problems))
    return Settings(Path(pipeline).stem, Path(profile).stem, pipeline_settings, box_settings)


def load_file(path: Path, section: type[AnySection]) -> AnySection:
    """Load any other TOML file as one section, by its path. Raises ConfigError with all errors."""
    problems: list[str] = []
    loaded = _load("", [str(path)], section, problems)
    if loaded is None:
        raise ConfigError("\n".join(problems))
    return loaded


def search_path(kind: str) -> tuple[Path, ...]:
    """Return the directories that are searched for files of a kind ("pipelines" or "config"), first one first."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    shipped = _PACKAGE / "share" / kind
    return (
        home / "voicebot" / kind,
        Path("/etc/voicebot") / kind,
        shipped if shipped.is_dir() else _PACKAGE.parent / kind,
    )


def available(kind: str) -> list[str]:
    """Return the names of all files of a kind."""
    return sorted({file.stem for place in search_path(kind) for file in place.glob("*.toml")})


def _load(kind: str, names: list[str], section: type[AnySection], problems: list[str]) -> AnySection | None:
    merged: dict[str, Any] = {}
    sources: list[tuple[Path, dict[str, Any]]] = []
    failed = len(problems)
    for name in names:
        path = _find(kind, name, problems)
        content = _read(path, problems) if path is not None else None
        if path is not None and content is not None:
            sources.append((path, content))
            merged = _merge(merged, content)
    if len(problems) > failed:
        return None
    try:
        return section.model_validate(merged)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            keys = [str(part) for part in detail["loc"]]
            problems.append(f"{_source_of(keys, sources)}: {_describe(keys, detail, section)}")
        return None


def _find(kind: str, name: str, problems: list[str]) -> Path | None:
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if not _is_file(path):
            problems.append(f"{path}: there is no such settings file.")
            return None
        return path
    for place in search_path(kind):
        path = place / f"{name}.toml"
        if _is_file(path):
            return path
    known = available(kind)
    what = "pipeline" if kind == "pipelines" else "profile"
    problems.append(f"there is no {what} {name!r}{_did_you_mean(name, known)}; known: {', '.join(known)}.")
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a directory that may not be entered
        return False


def _read(path: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{path}: the file can't be read ({error.strerror}).")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        problems.append(f"{path}: this is no valid TOML ({error}).")
    return None


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _source_of(keys: list[str], sources: list[tuple[Path, dict[str, Any]]]) -> Path:
    """Return the last file that says something about the key."""
    return next((path for path, content in reversed(sources) if _has(content, keys)), sources[-1][0])


def _has(content: object, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            return False
        content = content[key]
    return True


def _describe(keys: list[str], detail: ErrorDetails, section: type[BaseModel]) -> str:
    key = ".".join(keys)
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        known = _keys_of(section, keys[:-1])
        return f"{key}: there is no such setting{_did_you_mean(keys[-1], known)}"
    if kind == "model_type":
        return f"{key}: should be a section, [{key}]"
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    changed = text != message and not message.startswith("Value error")
    if kind == "literal_error":
        text += _did_you_mean(str(detail["input"]), re.findall("'([^']*)'", detail["ctx"]["expected"]))
    return f"{key}: should be {text}" if changed else f"{key}: {text}"


def _keys_of(section: type[BaseModel], path: list[str]) -> list[str]:
    for key in path:
        if key.isdecimal():  # a place in a list of sections
            continue
        field = section.model_fields.get(key)
        inner = _section_in(field.annotation if field is not None else None)
        if inner is None:
            return []
        section = inner
    return list(section.model_fields)


def _section_in(annotation: object) -> type[BaseModel] | None:
    """Return the section that a field holds, if only in a list or beside None."""
    held = (annotation, *get_args(annotation))
    return next((one for one in held if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""

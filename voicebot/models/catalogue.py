"""The models that voicebot knows: the packaged list and the user's own, checked when they are read."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebot.errors import ConfigError, UsageError
from voicebot.models.location import default_root

Stage = Literal["asr", "slm", "tts", "vad", "turn"]
Engine = Literal["faster-whisper", "llama", "piper", "silero", "smart-turn"]
Vouched = Literal["catalogue", "publisher", "you", "box"]

STAGE_OF_ENGINE: Final[Mapping[Engine, Stage]] = {
    "faster-whisper": "asr",
    "llama": "slm",
    "piper": "tts",
    "silero": "vad",
    "smart-turn": "turn",
}
ADDED_FILE: Final = "added.toml"
PUBLISHER: Final = "publisher"
DIRECTORY_ENTRY: Final = "."
BYTES_PER_MB: Final = 1_000_000


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise ValueError(f"{name!r} is not a plain relative path")
    return name


RelativeName = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wheel(_Part):
    """A wheel whose data files are taken; its code never runs."""

    project: str
    file: RelativeName
    size: int = Field(gt=0)
    sha256: Sha256


class WheelMember(_Part):
    """A file in a wheel, by the wheel's key in the catalogue."""

    wheel: str
    member: RelativeName


class WheelSource(_Part):
    """One or more wheel members that make up the file, in this order."""

    parts: tuple[WheelMember, ...] = Field(min_length=1)


class HubSource(_Part):
    """A file of a repository on the model hub."""

    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    path: RelativeName
    revision: str = "main"


class ModelFile(_Part):
    """A file of a model. Sources are tried in turn; whatever comes has to match the hash."""

    name: RelativeName
    size: int = Field(gt=0, description="bytes; approximate when the publisher vouches for the hash")
    sha256: Sha256 | Literal["publisher"]
    sources: tuple[WheelSource | HubSource, ...] = ()

    @model_validator(mode="after")
    def _publisher_needs_hub(self) -> ModelFile:
        if self.sha256 == PUBLISHER and not all(isinstance(source, HubSource) for source in self.sources):
            raise ValueError(f"{self.name}: only a hub publishes hashes; a wheel's file needs its own")
        return self

    @property
    def approximate(self) -> bool:
        """Whether the size is a guess, because only the publisher knows this file."""
        return self.sha256 == PUBLISHER


class MemoryNeed(_Part):
    """What a model needs in memory, in MB of 10^6 bytes; the KV cache per token with 16-bit elements."""

    weights_mb: float = Field(gt=0)
    work_mb: float = Field(ge=0)
    kv_bytes_per_token: int = Field(default=0, ge=0)


class Model(_Part):
    """A model: its files, its needs, its licence, and `entry`, the file (or ".") that its engine is given."""

    id: str = Field(pattern=r"^[A-Za-z0-9][\w.+-]*$")
    stage: Stage
    engine: Engine
    title: str
    languages: tuple[str, ...] = ()
    licence: str
    licence_url: str = ""
    accept_licence: bool = False
    added: bool = False
    entry: RelativeName
    memory: MemoryNeed
    files: tuple[ModelFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Model:
        if STAGE_OF_ENGINE[self.engine] != self.stage:
            raise ValueError(f"{self.engine} does the {STAGE_OF_ENGINE[self.engine]} stage, not {self.stage}")
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.id}: a file is listed twice")
        if self.entry not in {DIRECTORY_ENTRY, *names}:
            raise ValueError(f"{self.id}: entry {self.entry!r} is none of its files")
        return self

    @property
    def size(self) -> int:
        """Bytes of all files; approximate when the publisher vouches for one of them."""
        return sum(file.size for file in self.files)

    @property
    def vouched(self) -> Vouched:
        """Who vouches for the hashes: this catalogue, only the publisher, or the user who added the files."""
        if self.added:
            return "you"
        return "publisher" if any(file.approximate for file in self.files) else "catalogue"


class _Document(_Part):
    schema_version: Literal[1]
    defaults: Mapping[str, str] = {}
    wheels: Mapping[str, Wheel] = {}
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Models by id, the wheels that they come in, and the default model of each stage."""

    models: Mapping[str, Model]
    wheels: Mapping[str, Wheel]
    defaults: Mapping[str, str]

    def model(self, model_id: str) -> Model:
        """Return the model; `UsageError` with the nearest id when there is none."""
        if model_id in self.models:
            return self.models[model_id]
        near = difflib.get_close_matches(model_id, self.models, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "`voicebot models list` shows all of them."
        raise UsageError(f"There is no model {model_id!r}; {hint}")

    def of_stage(self, stage: Stage) -> tuple[Model, ...]:
        """Return the models for a stage, smallest first."""
        return tuple(sorted((m for m in self.models.values() if m.stage == stage), key=lambda m: m.size))

    def with_models(self, models: Iterable[Model]) -> Catalogue:
        """Return a copy with these models too; an id that is there already is replaced."""
        return Catalogue({**self.models, **{m.id: m for m in models}}, self.wheels, self.defaults)


def load_catalogue(root: Path | None = None) -> Catalogue:
    """Read the packaged catalogue and what the user added to the store at `root` (default: the default store).

    `ConfigError` names the file and the key that is wrong.
    """
    packaged = parse_catalogue(files("voicebot.models").joinpath("catalogue.toml").read_text("utf-8"))
    added = (default_root() if root is None else root) / ADDED_FILE
    try:
        text = added.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return packaged
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{added} cannot be read ({error}); mend or remove it.") from error
    return packaged.with_models(parse_catalogue(text, str(added)).models.values())


def parse_catalogue(text: str, origin: str = "catalogue.toml") -> Catalogue:
    """Read a catalogue from TOML; `ConfigError` names `origin` and every key that is wrong."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}.") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{origin} is wrong at {wrong}.") from error
    models = {model.id: model for model in document.models}
    sources = (s for m in document.models for f in m.files for s in f.sources if isinstance(s, WheelSource))
    unknown = {part.wheel for source in sources for part in source.parts} - set(document.wheels)
    unknown |= {model_id for model_id in document.defaults.values() if model_id not in models}
    if unknown or len(models) != len(document.models):
        raise ConfigError(f"{origin} names {sorted(unknown)}, which it lacks, or a model twice.")
    return Catalogue(models, document.wheels, document.defaults)

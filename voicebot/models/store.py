"""The installed models: a folder each, hashed when they come and whenever a file looks changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voicebot.errors import DownloadError, ModelError, UsageError
from voicebot.models.catalogue import BYTES_PER_MB, PUBLISHER, Catalogue, Engine, Model, ModelFile, Stage, Vouched
from voicebot.models.digest import sha256_of
from voicebot.models.download import Progress
from voicebot.models.local import install_local
from voicebot.models.location import default_root
from voicebot.models.lock import locked
from voicebot.models.manifest import NEVER, Record, Stamp, read_records, write_records
from voicebot.models.pull import Puller
from voicebot.models.tuned import Tuned, best_weights, cpu_name, forget_tuned, read_tuned, tuned_path, weights_state
from voicebot.models.voice_parts import keep_parts

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file as it is on disk; `sha256` is what it should be, empty while only the publisher knows it."""

    name: str
    path: Path
    state: Literal["ok", "missing", "damaged"]
    sha256: str
    vouched: Vouched


def _no_progress(done: int, total: int) -> None:
    del done, total


class Store:
    """Models under `root`. Only `pull` uses the network, and only through the puller."""

    def __init__(
        self, root: Path, catalogue: Catalogue, *, puller: Callable[[Path, Catalogue], Puller] = Puller
    ) -> None:
        self.root = root
        self.catalogue = catalogue
        self._puller = puller

    @staticmethod
    def default_root() -> Path:
        """Return $VOICEBOT_MODELS, else the user's own store, else the system's when only that one exists."""
        return default_root()

    def path(self, model_id: str) -> Path:
        """Return what the engine is given: a file or a folder whose files are all present and undamaged.

        A file is hashed once and then trusted while its stamp stays. A voice that has not been cut into its parts is
        cut here. A language model that was tuned for this box is its tuned file. `ModelError` says what is missing or
        damaged and the command that mends it; `UsageError` when there is no such model.
        """
        entry, sha256 = self.installed(model_id)
        is_slm = self.catalogue.model(model_id).engine == "llama"
        return best_weights(self.root, model_id, entry, sha256) if is_slm else entry

    def installed(self, model_id: str) -> tuple[Path, str]:
        """Return the entry as it was installed, tuned or not, and its hash ("" for a folder). Raises as `path` does."""
        model = self.catalogue.model(model_id)
        statuses = self._check(model, trust_stamps=True)
        for status in statuses:
            if status.state == "missing":
                raise ModelError(f"Model {model_id} is not installed; run `{_mending(model)}`.")
            if status.state == "damaged":
                raise ModelError(f"{status.path} is damaged; run `{_mending(model)}`, which replaces it.")
        self._keep_parts(model, statuses, trust_stamps=True)
        sha256 = {status.name: status.sha256 for status in statuses}.get(model.entry, "")
        return self._folder(model) / model.entry, sha256

    def tuned(self, model_id: str) -> Tuned | None:
        """Return the record of the tuned weights that this box would use; reads no large file."""
        model = self.catalogue.model(model_id)
        source = self._folder(model) / model.entry
        tuned = read_tuned(self.root, model_id)
        known = read_records(self.root, model_id).get(model.entry)
        if tuned is None or known is None or tuned.misfit(known.sha256, cpu_name()):
            return None
        return tuned if tuned_path(source).is_file() else None

    def untune(self, model_id: str) -> bool:
        """Return to the weights as they were installed; whether there were others."""
        model = self.catalogue.model(model_id)
        with locked(self.root, model_id):
            return forget_tuned(self.root, model_id, self._folder(model) / model.entry)

    def as_used(self) -> Catalogue:
        """Return the catalogue with the memory that tuned weights take in place of the installed ones'."""
        found = ((model, self.tuned(model.id)) for model in self.catalogue.models.values() if model.engine == "llama")
        return self.catalogue.with_models(_with_weights(model, tuned) for model, tuned in found if tuned)

    def is_installed(self, model_id: str) -> bool:
        """Return whether all files are there with the right size; reads none of them."""
        model = self.catalogue.model(model_id)
        records = read_records(self.root, model_id)
        return all(self._looks_right(model, file, records.get(file.name)) for file in model.files)

    def verify(self, model_id: str) -> list[FileStatus]:
        """Hash every file and return how each one is."""
        model = self.catalogue.model(model_id)
        statuses = self._check(model, trust_stamps=False)
        if all(status.state == "ok" for status in statuses):
            self._keep_parts(model, statuses, trust_stamps=False)
        source = self._folder(model) / model.entry
        if tuned := read_tuned(self.root, model_id):
            state = weights_state(source, tuned, trust_stamps=False)
            path = tuned_path(source)
            statuses.append(FileStatus(path.name, path, state, tuned.weights.sha256, "box"))
        return statuses

    def pull(self, model_id: str, progress: Progress = _no_progress, *, accept_licence: bool = False) -> Path:
        """Fetch what is missing or damaged of a model and return what `path` does.

        `progress` is told bytes done and bytes in all. Raises `UsageError` when the licence has to be accepted
        first, and `DownloadError` when the files can't be had.
        """
        model = self.catalogue.model(model_id)
        if all(status.state == "ok" for status in self._check(model, trust_stamps=True)):
            return self.path(model_id)
        with locked(self.root, model_id):
            wanted = [status.name for status in self._check(model, trust_stamps=True) if status.state != "ok"]
            if wanted:
                _check_pullable(model, accept_licence=accept_licence)
                folder = self._folder(model)
                self._puller(self.root, self.catalogue).pull(model, wanted, folder, progress)
                records = read_records(self.root, model_id)
                # The puller has just checked these files against what the catalogue or the publisher promised.
                write_records(self.root, model_id, records | {name: _record(folder / name) for name in wanted})
        return self.path(model_id)

    def add(
        self, source: Path, model_id: str, stage: Stage, engine: Engine, licence: str, *, link: bool = False
    ) -> Model:
        """Copy, or `link`, the user's own file or folder into the store and record its hashes.

        `UsageError` when the id is taken by the catalogue or the files are not what the engine needs.
        """
        known = self.catalogue.models.get(model_id)
        if known and not known.added:
            raise UsageError(f"{model_id} is a model of the catalogue; give yours another --id.")
        with locked(self.root, model_id):
            model = install_local(self.root, source, model_id, stage, engine, licence, link=link)
            folder = self._folder(model)
            write_records(self.root, model_id, {file.name: _record(folder / file.name) for file in model.files})
        self.catalogue = self.catalogue.with_models([model])
        self.path(model_id)  # which cuts a voice
        return model

    def _keep_parts(self, model: Model, statuses: list[FileStatus], *, trust_stamps: bool) -> None:
        if model.engine == "piper":
            (voice,) = [status for status in statuses if status.name == model.entry]
            keep_parts(self.root, model.id, voice.path, voice.sha256, trust_stamps=trust_stamps)

    def _folder(self, model: Model) -> Path:
        return self.root / model.id

    def _looks_right(self, model: Model, file: ModelFile, record: Record | None) -> bool:
        path = self._folder(model) / file.name
        if file.approximate and record is None:
            return False
        size = record.stamp.size if record and file.approximate else file.size
        return path.is_file() and path.stat().st_size == size

    def _check(self, model: Model, *, trust_stamps: bool) -> list[FileStatus]:
        records = read_records(self.root, model.id)
        fresh = dict(records)
        statuses = [self._status(model, file, fresh, trust_stamps=trust_stamps) for file in model.files]
        learnt = {name: record for name, record in fresh.items() if records.get(name) != record}
        if learnt:
            try:
                # Read again: a pull may have finished while this was hashing.
                write_records(self.root, model.id, read_records(self.root, model.id) | learnt)
            except OSError as error:
                # A read-only store is fine: it costs a hash at every start.
                _log.debug("stamps of %s not kept: %s", model.id, error)
        return statuses

    def _status(self, model: Model, file: ModelFile, records: dict[str, Record], *, trust_stamps: bool) -> FileStatus:
        path = self._folder(model) / file.name
        record = records.get(file.name)
        pinned = record.sha256 if record else ""
        expected = pinned if file.sha256 == PUBLISHER else file.sha256
        vouched: Vouched = "you" if model.added else "publisher" if file.approximate else "catalogue"
        if not path.is_file() or not expected:
            # A file with no known hash never came through this store, so it counts as absent.
            return FileStatus(file.name, path, "missing", expected, vouched)
        stamp = Stamp.of(path)
        trusted = trust_stamps and record is not None and record == Record(sha256=expected, stamp=stamp)
        if not trusted and sha256_of(path) != expected:
            records[file.name] = Record(sha256=expected, stamp=NEVER)
            return FileStatus(file.name, path, "damaged", expected, vouched)
        records[file.name] = Record(sha256=expected, stamp=stamp)
        return FileStatus(file.name, path, "ok", expected, vouched)


def _with_weights(model: Model, tuned: Tuned) -> Model:
    weights_mb = tuned.chosen.size / BYTES_PER_MB
    return model.model_copy(update={"memory": model.memory.model_copy(update={"weights_mb": weights_mb})})


def _record(path: Path) -> Record:
    stamp = Stamp.of(path)
    return Record(sha256=sha256_of(path), stamp=stamp)


def _mending(model: Model) -> str:
    return f"voicebot models {'add' if model.added else 'pull'} {model.id}"


def _check_pullable(model: Model, *, accept_licence: bool) -> None:
    if not all(file.sources for file in model.files):
        raise DownloadError(f"{model.id} is your own model and has no source; run `voicebot models add` again.")
    if model.accept_licence and not accept_licence:
        raise UsageError(
            f"{model.id} has terms of its own, {model.licence} ({model.licence_url}); read them, then run"
            f" `voicebot models pull --accept-licence {model.id}`."
        )

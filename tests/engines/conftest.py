"""The real models, each loaded once for all tests of engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicebot.audio import Pcm
from voicebot.audio_io.wav import read_wav
from voicebot.config.pipeline import AsrSettings, TtsSettings
from voicebot.engines.piper import PiperEngine
from voicebot.engines.whisper import FasterWhisper
from voicebot.models.store import Store
from voicebot.workers.flags import CancelFlag, CancelFlags

CONVERSATION = Path(__file__).parents[2] / "fixtures" / "conversation"


@pytest.fixture
def cancel() -> Iterator[CancelFlag]:
    flags = CancelFlags.create()
    yield flags[0]
    flags.close()


@pytest.fixture(scope="session")
def questions() -> dict[str, Pcm]:
    """The recorded questions by the last word of their file's name."""
    return {path.stem.rpartition("-")[2]: read_wav(path) for path in CONVERSATION.glob("*.wav")}


@pytest.fixture(scope="session")
def whisper_folder(store: Store) -> Path:
    return store.path("whisper-tiny.en")


@pytest.fixture(scope="session")
def whisper(whisper_folder: Path) -> FasterWhisper:
    return FasterWhisper(whisper_folder, AsrSettings(), threads=2)


@pytest.fixture(scope="session")
def gguf(store: Store) -> Path:
    return store.path("smollm2-135m-instruct-q4_1")


@pytest.fixture(scope="session")
def turn_file(store: Store) -> Path:
    return store.path("smart-turn-v3.2")


@pytest.fixture(scope="session")
def voice_file(store: Store) -> Path:
    return store.path("piper-en_US-joe-medium")


@pytest.fixture(scope="session")
def piper(voice_file: Path) -> PiperEngine:
    return PiperEngine(voice_file, TtsSettings(), threads=2)


Damage = Callable[[Path], None]


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()  # it may be a link to the real one
    path.write_bytes(content[: len(content) // 2])


def _replace(content: bytes) -> Damage:
    def replace(path: Path) -> None:
        path.unlink()
        path.write_bytes(content)

    return replace


@pytest.fixture(
    params=[
        pytest.param(_remove, id="missing"),
        pytest.param(_cut, id="cut"),
        pytest.param(_replace(b""), id="empty"),
        pytest.param(_replace(b"[]"), id="brackets"),
        pytest.param(_replace(bytes(1000)), id="zeros"),
    ]
)
def damage(request: pytest.FixtureRequest) -> Damage:
    """Do to a file what disks, downloads and people do."""
    wanted: Damage = request.param
    return wanted


@pytest.fixture
def damaged(tmp_path: Path, damage: Damage) -> Callable[[Path, str], Path]:
    """Return a folder like the given one, in which the file of that name is damaged."""

    def make(folder: Path, name: str) -> Path:
        copy = tmp_path / folder.name
        copy.mkdir()
        for file in folder.iterdir():
            (copy / file.name).symlink_to(file)
        damage(copy / name)
        return copy

    return make

"""A box of its own for each test: settings, and a store with small models of the user's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicebot.cli import main
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

PIPELINES = {
    "default": """
        [asr]
        model = "whisper-tiny.en"
        [slm]
        model = "smollm2-135m-instruct-q4_1"
        context_tokens = 2048
        [tts]
        model = "piper-en_US-joe-medium"
    """,
    "own": """
        [asr]
        model = "my-whisper"
        [slm]
        engine = "scripted"
        [tts]
        model = "my-voice"
        [turn_model]
        engine = "none"
    """,
    "scripted": """
        [asr]
        engine = "scripted"
        [slm]
        engine = "scripted"
        [tts]
        engine = "scripted"
        [turn_model]
        engine = "scripted"
    """,
}


@dataclass(frozen=True)
class Box:
    """Where its settings and models are."""

    folder: Path
    store: Path

    def profile(self, text: str) -> str:
        """Write a profile and return its file."""
        path = self.folder / "profile.toml"
        path.write_text(text)
        return str(path)

    def pipeline(self, name: str, text: str) -> str:
        """Write a pipeline and return its file."""
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return str(path)

    def add_own_models(self) -> None:
        """Put my-whisper and my-voice into the store."""
        source = self.folder / "source"
        source.mkdir()
        for name in ("model.bin", "config.json"):
            (source / name).write_text("whisper")
        Store(self.store, load_catalogue(self.store)).add(source, "my-whisper", "asr", "faster-whisper", "CC0")
        voice = self.folder / "voice.onnx"
        voice.write_text("voice")
        voice.with_name("voice.onnx.json").write_text("{}")
        Store(self.store, load_catalogue(self.store)).add(voice, "my-voice", "tts", "piper", "CC0")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("VOICEBOT_MODELS", str(tmp_path / "store"))
    made = Box(tmp_path, tmp_path / "store")
    for name, text in PIPELINES.items():
        made.pipeline(name, text)
    return made


@dataclass(frozen=True)
class Done:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Return the one object that standard output held; there is nothing else on it."""
        assert self.code == 0, self.err
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    def failed(self, code: int, sentence: str) -> None:
        """Assert that it failed with exactly this sentence and printed nothing else."""
        assert (self.code, self.out, self.err) == (code, "", f"voicebot: {sentence}\n")


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `voicebot` with those words in the test's own folder, with the user's models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["voicebot", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
        out, err = capsys.readouterr()
        assert isinstance(code, int)
        return Done(code, out, err)

    return run

"""`voicebot transcribe`: what was said in each file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from voicebot.audio_io.wav import read_wav, write_wav

if TYPE_CHECKING:
    from tests.cli.conftest import Run

CONVERSATION = Path(__file__).parents[2] / "fixtures/conversation"
QUESTION, JOKE = CONVERSATION / "01-capital-of-france.wav", CONVERSATION / "04-joke.wav"
KEYS = ["file", "text", "audio_s", "asr_ms", "window_s", "fallback"]


def test_each_file_has_an_entry(run: Run, tmp_path: Path) -> None:
    shutil.copy(QUESTION, tmp_path / "a.wav")
    result = run("transcribe", "--pipeline", "scripted", "a.wav", JOKE, "--json").json()
    assert list(result) == ["files"]
    assert [list(entry) for entry in result["files"]] == [KEYS, KEYS]
    first, second = result["files"]
    assert (first["file"], second["file"]) == ("a.wav", str(JOKE))
    assert first["text"] == "an utterance of 1 seconds"
    assert first["audio_s"] == pytest.approx(len(read_wav(QUESTION)) / 16_000, abs=0.001)
    assert first["asr_ms"] >= 0
    assert first["fallback"] is False


def test_one_file_is_its_text_and_several_have_their_names(run: Run) -> None:
    text = "an utterance of 1 seconds"
    assert run("transcribe", "--pipeline", "scripted", QUESTION).out == f"{text}\n"
    both = run("transcribe", "--pipeline", "scripted", QUESTION, JOKE).out
    assert both == f"{QUESTION}: {text}\n{JOKE}: an utterance of 0 seconds\n"


def test_silence_has_no_text_and_no_engine_is_asked(run: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "quiet.wav", np.zeros(32_000, np.int16))
    (entry,) = run("transcribe", "--pipeline", "scripted", "quiet.wav", "--json").json()["files"]
    assert (entry["text"], entry["audio_s"], entry["window_s"]) == ("", 2.0, 0.0)
    assert run("transcribe", "--pipeline", "scripted", "quiet.wav").out == "\n"


def test_a_long_file_is_cut_where_it_is_quiet(run: Run, tmp_path: Path) -> None:
    spoken = read_wav(QUESTION)
    write_wav(tmp_path / "long.wav", np.tile(np.concatenate((spoken, np.zeros(16_000, np.int16))), 15))
    (entry,) = run("transcribe", "--pipeline", "scripted", "long.wav", "--json").json()["files"]
    assert entry["text"].count("an utterance of") == 2
    assert entry["audio_s"] == pytest.approx(15 * (len(spoken) / 16_000 + 1), abs=0.001)


def test_the_real_model_hears_the_words(run: Run) -> None:
    (entry,) = run("transcribe", QUESTION, "--json").json()["files"]
    assert "capital of france" in entry["text"].lower()
    assert entry["asr_ms"] > 0
    assert entry["window_s"] >= entry["audio_s"]

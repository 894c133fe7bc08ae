"""`voicebot say`: a text becomes a sound file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from voicebot.audio_io.wav import read_wav
from voicebot.engines.scripted import hum

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_the_speech_is_written(run: Run, tmp_path: Path) -> None:
    done = run("say", "Hello there.", "--pipeline", "scripted", "--out", "spoken.wav")
    assert (done.code, done.out, done.err) == (0, "", "")
    np.testing.assert_array_equal(read_wav(tmp_path / "spoken.wav"), hum(len("Hello there.") * 960))
    assert [path.name for path in tmp_path.glob("*.wav")] == ["spoken.wav"]


def test_json_says_what_was_spoken_and_how_long(run: Run) -> None:
    result = run("say", "**Hello**  there.", "--pipeline", "scripted", "--out", "spoken.wav", "--json").json()
    assert result == {"text": "Hello there.", "audio_s": 0.72, "file": "spoken.wav"}


def test_an_older_file_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spoken.wav").write_text("something older")
    assert run("say", "Hello.", "--pipeline", "scripted", "--out", "spoken.wav").code == 0
    assert len(read_wav(tmp_path / "spoken.wav")) == len("Hello.") * 960


def test_the_real_voice_speaks(run: Run, tmp_path: Path) -> None:
    result = run("say", "Hello there, how are you?", "--out", "spoken.wav", "--json").json()
    pcm = read_wav(tmp_path / "spoken.wav")
    assert result["audio_s"] == pytest.approx(len(pcm) / 16_000, abs=0.001)
    assert 0.8 < result["audio_s"] < 5
    assert np.abs(pcm).max() > 2000

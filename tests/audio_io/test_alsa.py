"""A sound configuration that PortAudio does not survive is a sentence, and PortAudio is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voicebot.audio_io import alsa
from voicebot.audio_io.alsa import check_alsa

ROOT = Path(__file__).parents[2]
LISTING = "from voicebot.audio_io.devices import list_devices; print(len(list_devices()))"


def listed(config: Path | str) -> subprocess.CompletedProcess[str]:
    """List the devices in a process of its own: ALSA keeps its configuration, and PortAudio may abort."""
    env = os.environ | {"ALSA_CONFIG_PATH": str(config)}
    return subprocess.run(
        [sys.executable, "-c", LISTING], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "ALSA's configuration "),
        ("", "ALSA's configuration has no default device; correct what ALSA_CONFIG_PATH names"),
        ("pcm.quiet { type null }", "ALSA's configuration has no default device"),
        ("pcm.default { type", "ALSA's configuration can't be read"),
    ],
)
def test_a_broken_configuration_is_a_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    file = tmp_path / "asound.conf"
    if content is not None:
        file.write_text(content)
    done = listed(file)
    assert done.returncode == 1, "it raised, and nobody has aborted"
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"voicebot.errors.AudioDeviceError: {sentence}")
    assert str(file) in last


@pytest.mark.parametrize("name", ["default", "dmix"])
def test_a_configuration_with_a_default_device_is_none(tmp_path: Path, name: str) -> None:
    file = tmp_path / "asound.conf"
    file.write_text(f"pcm.{name} {{ type null }}\npcm.quiet {{ type null }}")
    done = listed(file)
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_a_machine_without_alsa_has_nothing_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alsa, "_LIBRARY", "libasound-that-is-not-there.so")
    check_alsa()

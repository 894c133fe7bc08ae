"""LastingPort on a virtual sound card that dies or loses its microphone, in a program of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio_io.test_local_card import find, noise
from tests.virtual_sound_card import MICROPHONE, SPEAKER, VirtualSoundCard
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm

PROBE = Path(__file__).with_name("lasting_port_probe.py")
ROOT = Path(__file__).parents[2]
TIMES = 2


@dataclass
class Probe:
    """A program that runs a LastingPort (lasting_port_probe.py)."""

    process: subprocess.Popen[str]
    heard_file: Path

    def waits_until(self, state: str) -> float:
        """Return how long it took to say that it is in that state, in seconds."""
        begun_s = time.monotonic()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{state}\n"
        return time.monotonic() - begun_s

    def result(self) -> tuple[dict[str, Any], Pcm]:
        """Return the report and what the microphone heard."""
        out, _ = self.process.communicate("over\n", timeout=60)
        assert self.process.returncode == 0, out
        heard: Pcm = np.load(self.heard_file)
        report: dict[str, Any] = json.loads(out)
        return report, heard


@contextmanager
def probe(card: VirtualSoundCard, folder: Path) -> Iterator[Probe]:
    heard = folder / "heard.npy"
    command = [sys.executable, str(PROBE), "--heard", str(heard), "--microphone", MICROPHONE, "--speaker", SPEAKER]
    env = card.env | {"PYTHONPATH": str(ROOT)}
    # ALSA and PortAudio complain on stderr when the server dies; that is not what is looked at.
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield Probe(process, heard)
    finally:
        process.kill()
        process.communicate()


OUTAGES: dict[str, tuple[Callable[[VirtualSoundCard], None], Callable[[VirtualSoundCard], None]]] = {
    "the server dies": (VirtualSoundCard.kill, VirtualSoundCard.start),
    "the microphone goes": (VirtualSoundCard.remove_microphone, VirtualSoundCard.add_microphone),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_it_comes_back_and_hears_the_first_word_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], outage: str
) -> None:
    goes, comes = OUTAGES[outage]
    spoken = [noise(0.5, seed) for seed in range(TIMES)]
    back_s = []
    with VirtualSoundCard(tmp_path) as card, probe(card, tmp_path) as running:
        running.waits_until("working")
        for sound in spoken:
            goes(card)
            running.waits_until("away")
            comes(card)
            back_s.append(running.waits_until("working"))
            card.speak(sound)
            time.sleep(0.3)
        report, heard = running.result()
    with capsys.disabled():
        sys.stdout.write(f"\n{outage}: back after {', '.join(f'{seconds:.2f}' for seconds in back_s)} s\n")
    assert report["starts"] == list(range(0, len(report["starts"]) * FRAME_SAMPLES, FRAME_SAMPLES))
    assert abs(report["elapsed_s"] - len(heard) / SAMPLE_RATE_HZ) < 0.5
    for sound in spoken:
        assert find(sound, heard)[0][0] == 0  # its first 100 ms are there
    assert report["status"]["outages"] == TIMES
    assert report["threads"] == ["MainThread"] or all("audio" not in name for name in report["threads"])
    # Those of the sound server's connections while it works, twice the same number.
    assert report["descriptors"][2] == report["descriptors"][4]


def test_a_server_that_hangs_for_a_while_is_taken_again(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card, probe(card, tmp_path) as running:
        running.waits_until("working")
        card.signal(signal.SIGSTOP)
        running.waits_until("away")
        time.sleep(1)
        card.signal(signal.SIGCONT)
        running.waits_until("working")
        report, _ = running.result()
    assert report["status"]["outages"] == 1
    assert report["gaps"] * FRAME_SAMPLES > 2 * SAMPLE_RATE_HZ


def test_a_device_that_comes_after_the_start_is_taken(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card:
        card.kill()
        with probe(card, tmp_path) as running:
            running.waits_until("away")
            card.start()
            running.waits_until("working")
            card.speak(noise(0.5, 7))
            time.sleep(0.3)
            report, heard = running.result()
    find(noise(0.5, 7), heard)
    assert report["status"] | {"since_s": 0} == {
        "state": "working",
        "reason": "",
        "since_s": 0,
        "outages": 0,
        "xruns": report["status"]["xruns"],
        "microphone": MICROPHONE,
        "speaker": SPEAKER,
    }

"""LocalPort on a virtual sound card: real PortAudio, in a program of its own (local_port_probe.py)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.virtual_sound_card import LOOP, MICROPHONE, SPEAKER, VirtualSoundCard
from voicebot.audio import FRAME_SAMPLES, Pcm, ms_from_samples, samples_from_ms
from voicebot.audio_io.wav import write_wav

PROBE = Path(__file__).with_name("local_port_probe.py")
ROOT = Path(__file__).parents[2]
PIECE = samples_from_ms(100)


@dataclass
class Probe:
    """A program that runs a LocalPort (local_port_probe.py)."""

    process: subprocess.Popen[str]
    heard_file: Path

    def result(self) -> tuple[dict[str, Any], Pcm]:
        """Return the report and what the microphone heard."""
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, out
        heard: Pcm = np.load(self.heard_file)
        report: dict[str, Any] = json.loads(out)
        return report, heard

    def error(self) -> str:
        """Return what the program said when it gave up."""
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 1, out
        return out


@contextmanager
def probe(card: VirtualSoundCard, folder: Path, *arguments: str, opens: bool = True) -> Iterator[Probe]:
    heard = folder / "heard.npy"
    command = [sys.executable, str(PROBE), "--heard", str(heard), *arguments]
    # ALSA and PortAudio complain on stderr when the server dies; that is not what is looked at.
    env = card.env | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        if opens:
            assert process.stdout.readline() == "open\n"
        yield Probe(process, heard)
    finally:
        process.kill()
        process.communicate()


def noise(duration_s: float, seed: int) -> Pcm:
    return np.random.default_rng(seed).normal(0, 4000, int(duration_s * 16_000)).astype(np.int16)


def find(sound: Pcm, recording: Pcm) -> list[tuple[int, int]]:
    """Return where each 100 ms of the sound, by its first sample, is in the recording, by correlation.

    Eight of ten have to be there, and in order. How far apart is left open: on a busy machine the sound server loses
    some ms now and then, or puts silence between.
    """
    size = 1 << (len(recording) + PIECE).bit_length()
    spectrum = np.fft.rfft(recording.astype(float), size)
    found = []
    for begin in range(0, len(sound), PIECE):
        piece = sound[begin : begin + PIECE].astype(float)
        correlation = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, size)), size)[: len(recording)]
        place = int(np.argmax(correlation))
        if correlation[place] > 0.5 * float(piece @ piece):
            found.append((begin, place))
    assert len(found) >= 0.8 * len(sound) / PIECE
    assert found == sorted(found, key=itemgetter(1))
    return found


def test_both_directions_arrive_whole(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    spoken, played = noise(1.5, 1), noise(1.5, 2)
    write_wav(tmp_path / "played.wav", played)
    arguments = ("--microphone", "VMIC", "--speaker", SPEAKER, "--seconds", "4", "--play", str(tmp_path / "played.wav"))
    with sound_card.listen() as recording, probe(sound_card, tmp_path, *arguments) as running:
        time.sleep(0.3)
        sound_card.speak(spoken)
        report, heard = running.result()
    find(spoken, heard)
    find(played, recording.pcm)
    assert report["ends_with_none"]


@pytest.mark.parametrize("block_ms", [10, 20])
def test_what_was_played_is_heard_when_the_log_says(
    sound_card: VirtualSoundCard, tmp_path: Path, capsys: pytest.CaptureFixture[str], block_ms: int
) -> None:
    played = noise(2, block_ms)
    write_wav(tmp_path / "played.wav", played)
    arguments = ("--microphone", LOOP, "--speaker", SPEAKER, "--block-ms", str(block_ms), "--seconds", "4")
    with probe(sound_card, tmp_path, *arguments, "--play", str(tmp_path / "played.wav")) as running:
        report, heard = running.result()
    log = np.array(report["played"])[:, :2]
    assert log[:, 1].sum() == len(played)
    begins = np.cumsum(log[:, 1]) - log[:, 1]
    errors_ms = []
    for begin, place in find(played, heard):
        stretch = int(np.searchsorted(begins, begin, side="right")) - 1
        errors_ms.append(ms_from_samples(int(log[stretch, 0]) + begin - int(begins[stretch]) - place))
    delay_ms = ms_from_samples(int(log[0, 0]) - 10 * FRAME_SAMPLES)  # 10: local_port_probe.PLAY_AT_FRAME
    with capsys.disabled():
        sys.stdout.write(
            f"\nblocks of {block_ms} ms: logged as heard {delay_ms:.1f} ms after the push; "
            f"the log is {min(errors_ms):+.1f} to {max(errors_ms):+.1f} ms off; "
            f"{report['late_blocks']} late blocks, {report['xruns']} xruns; "
            f"{100 * report['cpu_share']:.1f} % of a core\n"
        )
    # What the sound server itself lost, by its own count, is no error of the log.
    assert max(abs(error_ms) for error_ms in errors_ms) < 100 * (1 + report["xruns"])
    assert min(abs(error_ms) for error_ms in errors_ms) < 20


def test_ten_seconds_without_a_lost_frame(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    with probe(sound_card, tmp_path, "--seconds", "10") as running:
        report, _ = running.result()
    assert report["starts"] == list(range(0, 500 * FRAME_SAMPLES, FRAME_SAMPLES))
    assert (report["dropped_frames"], report["gaps"]) == (0, 0)
    assert np.median(np.abs(report["clock_lag_ms"])) < 10


def test_an_unknown_device_is_named(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    with probe(sound_card, tmp_path, "--microphone", "vnic", "--seconds", "1", opens=False) as running:
        message = running.error()
    assert "did you mean 'vmic'?" in message
    assert all(repr(name) in message for name in (MICROPHONE, SPEAKER, LOOP))


def test_a_dead_server_is_an_error_within_3_s(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card, probe(card, tmp_path, "--seconds", "60") as running:
        card.kill()
        died_s = time.monotonic()
        assert "has stopped" in running.error()
        assert time.monotonic() - died_s < 3


def test_a_server_that_hangs_is_an_error_within_4_s(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card, probe(card, tmp_path, "--seconds", "60") as running:
        card.signal(signal.SIGSTOP)
        hung_s = time.monotonic()
        assert running.process.stdout is not None
        assert "delivered nothing" in running.process.stdout.readline()
        assert time.monotonic() - hung_s < 4
        card.signal(signal.SIGCONT)


def test_without_a_server_nothing_opens(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card:
        pass
    with probe(card, tmp_path, "--seconds", "1", opens=False) as running:
        assert "microphone" in running.error()

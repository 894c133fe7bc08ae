"""The daemon as a process: it is told to start, asked, told to read its settings again, and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.virtual_sound_card import MICROPHONE, SPEAKER, VirtualSoundCard
from voicebot.interfaces.control_client import ControlClient

PATIENCE_S: Final = 60.0
QUESTION: Final = Path("fixtures/questions/capital-of-france.wav")


class Daemon:
    """`voicebot run` in folders of its own, and the systemd that listens to it."""

    def __init__(self, folder: Path, env: dict[str, str], *options: str) -> None:
        self.folder = folder
        self.profile = folder / "box.toml"
        self.configure()
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(folder / "notify"))
        self._systemd.settimeout(PATIENCE_S)
        self.env = env | {
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "NOTIFY_SOCKET": str(folder / "notify"),
            "VOICEBOT_LOG": "INFO",
            "COLUMNS": "200",
        }
        self._options = ("--profile", str(self.profile), *options)
        self.process = self.start()

    def configure(self, **sections: dict[str, object]) -> None:
        """Write its settings: no web page, so that several can run at once."""
        usual: dict[str, dict[str, Any]] = {
            "web": {"enabled": False},
            "audio": {"input": MICROPHONE, "output": SPEAKER},
        }
        lines = []
        for name, values in (usual | sections).items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        self.profile.write_text("\n".join(lines))

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "voicebot", "run", *self._options]
        return subprocess.Popen(command, env=self.env, text=True, stderr=subprocess.PIPE)

    def told(self, wanted: str) -> None:
        """Wait until it tells systemd that."""
        while wanted not in self._systemd.recv(4096).decode():
            pass

    def ask(self, *words: str) -> dict[str, Any]:
        """Run a command beside it."""
        command = [sys.executable, "-m", "voicebot", *words, "--json"]
        done = subprocess.run(command, env=self.env, text=True, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def status(self) -> dict[str, Any]:
        """Ask it how it is, without the command's seconds."""
        with ControlClient.connect(self.env) as client:
            return dict(client.request("status"))

    def end(self, number: int = signal.SIGTERM) -> str:
        """Tell it to end; return what it has logged."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, errors
        return errors

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._systemd.close()


@contextmanager
def daemon(folder: Path, env: dict[str, str], *options: str) -> Iterator[Daemon]:
    running = Daemon(folder, env, *options)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_without_any_device_and_ends_when_told(tmp_path: Path, number: int) -> None:
    alone = dict(os.environ) | {"PULSE_SERVER": f"unix:{tmp_path}/none"}
    with daemon(tmp_path, alone, "--pipeline", "scripted") as running:
        running.told("READY=1")
        status = running.status()
        assert status["sessions"]["local"]["state"] == "idle"
        assert status["audio"]["state"] == "away"
        log = running.end(number)
        assert 0 < log.index("ready") < log.index("stopping")


def test_it_starts_with_a_sound_configuration_that_nothing_can_be_played_by(tmp_path: Path) -> None:
    empty = dict(os.environ) | {"PULSE_SERVER": f"unix:{tmp_path}/none", "ALSA_CONFIG_PATH": os.devnull}
    with daemon(tmp_path, empty, "--pipeline", "scripted") as running:
        running.told("READY=1")
        assert "has no default device; correct what ALSA_CONFIG_PATH names" in running.status()["audio"]["reason"]
        running.end()


def test_it_may_be_ended_while_it_loads(tmp_path: Path) -> None:
    with daemon(tmp_path, dict(os.environ)) as running:
        running.told("STATUS=loading the models")
        running.end()


def test_a_question_is_answered_settings_are_read_again_and_a_second_one_is_refused(
    tmp_path: Path, sound_card: VirtualSoundCard
) -> None:
    with daemon(tmp_path, sound_card.env) as running:
        running.told("READY=1")
        workers = running.status()["workers"]
        assert {worker["state"] for worker in workers.values()} == {"ready"}

        sound_card.speak(QUESTION)
        until_s = time.monotonic() + PATIENCE_S
        while (status := running.status())["turns"] == 0 and time.monotonic() < until_s:
            time.sleep(0.2)
        assert "capital of france" in status["last_turn"]["user"].lower()
        assert running.ask("ask", "What is the capital of France?")["source"] == "slm"
        with sound_card.listen() as heard:
            running.ask("say", "Dinner is ready.")
        assert abs(heard.pcm.astype(int)).max() > 1000

        second = running.start()
        _, errors = second.communicate(timeout=PATIENCE_S)
        assert (second.returncode, f"process {running.process.pid}" in errors) == (1, True)

        running.ask("mute")
        running.configure(sessions={"most": 1}, cores={"asr_threads": 1})
        running.process.send_signal(signal.SIGHUP)
        running.told("RELOADING=1")
        running.told("READY=1")
        assert running.status()["muted"]
        log = running.end()
        assert "[cores] has changed; restart the daemon for it." in log
        running.process = running.start()
        running.told("READY=1")
        assert running.status()["muted"], "it is kept over a restart"


def test_a_mistake_in_new_settings_changes_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path, dict(os.environ), "--pipeline", "scripted") as running:
        running.told("READY=1")
        running.configure(audio={"block_ms": 7})
        command = [sys.executable, "-m", "voicebot", "reload"]
        done = subprocess.run(command, env=running.env, text=True, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 2
        assert "audio.block_ms" in done.stderr
        assert running.status()["sessions"]

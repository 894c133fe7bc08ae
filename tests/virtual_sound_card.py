"""A sound card made of software, for tests on a machine that has none.

A private PulseAudio with a virtual speaker and a virtual microphone, which a program that is started with `env` sees
through PortAudio as ALSA devices: MICROPHONE and SPEAKER, which are also its defaults, and LOOP, a microphone that
hears the speaker. PortAudio looks for devices when it is first used, so the program has to start after the card.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, silence
from voicebot.audio_io.wav import read_wav

MICROPHONE: Final = "vmic"
SPEAKER: Final = "vspk"
LOOP: Final = "vloop"

_PACKAGES: Final = "pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins"
_PROGRAMS: Final = ("pulseaudio", "pacat", "paplay", "parec", "pactl")
_START_S: Final = 10.0
_STOP_S: Final = 5.0
_RAW: Final = (f"--rate={SAMPLE_RATE_HZ}", "--channels=1", "--format=s16le", "--raw")

# Without norewinds=1 the first input comes up to 1.8 s late and playback stalls.
_SERVER: Final = """\
.fail
load-module module-native-protocol-unix socket={socket} auth-anonymous=1
load-module module-null-sink sink_name=spk rate=16000 channels=1 format=s16le norewinds=1
load-module module-null-sink sink_name=micfeed rate=16000 channels=1 format=s16le norewinds=1
load-module {microphone}
set-default-sink spk
set-default-source mic
"""
_MICROPHONE: Final = "module-remap-source source_name=mic master=micfeed.monitor rate=16000 channels=1"
_ALSA: Final = """\
</usr/share/alsa/alsa.conf>
pcm.vmic  {{ type pulse server "unix:{socket}" device "mic" hint {{ show on description "microphone" }} }}
pcm.vspk  {{ type pulse server "unix:{socket}" device "spk" hint {{ show on description "speaker" }} }}
pcm.vloop {{ type pulse server "unix:{socket}" device "spk.monitor" hint {{ show on description "loop" }} }}
pcm.!default {{ type asym playback.pcm "vspk" capture.pcm "vmic" hint {{ show on description "virtual" }} }}
"""


@dataclass
class Recording:
    """What the speaker has played; `pcm` is complete once listening has ended."""

    pcm: Pcm = field(default_factory=lambda: silence(0))


class VirtualSoundCard:
    """The card, which exists inside `with`; its files lie in `directory`, whose path has to be short (a socket's)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._socket = self._directory / "native"
        self._log = self._directory / "pulseaudio.log"
        self._script = self._directory / "default.pa"
        self._server: subprocess.Popen[bytes] | None = None
        self._silence: subprocess.Popen[bytes] | None = None
        self.env = {
            **os.environ,
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(self._directory / "asound.conf"),
        }

    def __enter__(self) -> Self:
        missing = [program for program in _PROGRAMS if shutil.which(program) is None]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} is missing; apt-get install {_PACKAGES}.")
        self._script.write_text(_SERVER.format(socket=self._socket, microphone=_MICROPHONE))
        (self._directory / "asound.conf").write_text(_ALSA.format(socket=self._socket))
        self.start()
        return self

    def start(self) -> None:
        """Start the sound server, which is ready then; it has been killed, or there was none yet."""
        own = {"HOME": ".", "XDG_RUNTIME_DIR": ".", "PULSE_RUNTIME_PATH": "pulse", "PULSE_STATE_PATH": "state"}
        command = ["pulseaudio", "-n", "-F", str(self._script), "--daemonize=no", "--exit-idle-time=-1"]
        command += ["--use-pid-file=no", "--disallow-exit", "--realtime=no", "--high-priority=no"]
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [*command, "--log-target=stderr", "--log-level=warning"],
                env=os.environ | {name: str(self._directory / path) for name, path in own.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + _START_S
        while not self._is_up():
            if self._server.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise RuntimeError(f"PulseAudio did not start: {self._log.read_text()}")
            time.sleep(0.02)
        # Silence that never ends, or the microphone halts for 10 ms when a sound ends, and the speaker with it.
        _go_before_all(self._server)
        self._silence = self._start("pacat", "--playback", "--device=micfeed", "--latency-msec=20", *_RAW, "/dev/zero")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._silence, self._server):
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """Let the sound server die, as when it crashes or the card is pulled out."""
        for process in (self._server, self._silence):
            if process is not None:
                process.kill()
                process.wait(_STOP_S)

    def remove_microphone(self) -> None:
        """Take the microphone from the sound server, which moves its listeners to another one without a word."""
        self._pactl("unload-module", "module-remap-source")

    def add_microphone(self) -> None:
        """Bring it back."""
        self._pactl("load-module", *_MICROPHONE.split())

    def signal(self, number: int) -> None:
        """Send the sound server a signal: SIGSTOP lets it hang, SIGCONT goes on."""
        if self._server is not None:
            self._server.send_signal(number)

    def speak(self, sound: Path | Pcm) -> None:
        """Play a sound file or 16 kHz samples into the microphone; return when all has been spoken."""
        pcm = read_wav(sound) if isinstance(sound, Path) else sound
        # From a file, since who writes into a pipe may be kept from it by busy workers.
        raw = self._new_file("spoken")
        raw.write_bytes(pcm.tobytes())
        player = self._start("paplay", "--device=micfeed", "--latency-msec=200", *_RAW, str(raw))
        try:
            code = player.wait(len(pcm) / SAMPLE_RATE_HZ + 10)
        finally:
            player.kill()
        if code:
            raise RuntimeError(f"paplay ended with {code}.")
        raw.unlink()

    @contextmanager
    def listen(self) -> Iterator[Recording]:
        """Record what the speaker plays inside `with`, at 16 kHz."""
        recording = Recording()
        raw = self._new_file("heard")
        with raw.open("wb") as out:
            recorder = self._start("parec", "--device=spk.monitor", "--latency-msec=10", *_RAW, stdout=out)
            try:
                deadline_s = time.monotonic() + _START_S
                while raw.stat().st_size == 0 and time.monotonic() < deadline_s:
                    time.sleep(0.01)
                yield recording
            finally:
                recorder.terminate()
                recorder.wait(_STOP_S)
        heard = raw.read_bytes()
        recording.pcm = np.frombuffer(heard[: len(heard) // 2 * 2], np.int16)
        raw.unlink()

    def _new_file(self, name: str) -> Path:
        return self._directory / f"{name}-{time.monotonic_ns()}.raw"

    def _start(self, *command: str, stdout: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, env=self.env, stdin=quiet, stdout=stdout or quiet, stderr=quiet)
        _go_before_all(process)
        return process

    def _pactl(self, *words: str) -> None:
        subprocess.run(["pactl", *words], env=self.env, stdout=subprocess.DEVNULL, check=True)

    def _is_up(self) -> bool:
        question = subprocess.run(["pactl", "info"], env=self.env, capture_output=True, check=False)
        return question.returncode == 0 and b"Default Source: mic" in question.stdout


def _go_before_all(process: subprocess.Popen[bytes]) -> None:
    """Let a program run before all others, where that is allowed: round robin, at a higher priority than the daemon.

    A real card and the people around it do not wait for the processor. At the usual niceness, behind two busy workers,
    most of what was spoken into this one got lost.
    """
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(20))

"""The sound devices of this machine, by name: all that is known here of PortAudio.

PortAudio is imported when a device is asked for and not before, so the rest works on a machine without it. It looks
for devices once, when it is first used.
"""

from __future__ import annotations

import difflib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import soxr

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.errors import AudioDeviceError

Kind = Literal["input", "output"]

_CALLED: Final[dict[Kind, str]] = {"input": "microphone", "output": "speaker"}


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device as PortAudio lists it; `inputs` and `outputs` count its channels, 0 for none."""

    index: int
    name: str
    inputs: int
    outputs: int
    default_rate_hz: int
    is_default_input: bool
    is_default_output: bool

    def channels(self, kind: Kind) -> int:
        """Return how many channels of a kind the device has."""
        return self.inputs if kind == "input" else self.outputs


class Exchange:
    """What the device's thread and the event loop's hand each other: blocks of int16 samples, and nothing waits.

    A stream calls it in its own thread, once per block. Of the microphone, the newest `backlog_blocks` are kept in
    `captured`, each with its number; `ready` holds what the speaker is to play next.
    """

    def __init__(self, backlog_blocks: int, on_block: Callable[[], None]) -> None:
        self.captured: deque[tuple[int, bytes]] = deque(maxlen=backlog_blocks)
        self.ready: deque[bytes] = deque()
        self.latest = (0, 0.0, 0.0)
        """How many blocks there have been, when the last one came (time.monotonic), and its round trip in seconds."""
        self.late_blocks = 0
        self.xruns = 0
        self._on_block = on_block

    def __call__(self, captured: bytes, round_trip_s: float, *, xrun: bool) -> bytes | None:
        """Take a block of the microphone and return one for the speaker, or None for silence.

        `round_trip_s` is how long after the first sample of `captured` the first one of the returned block will be
        heard, by the device's clock; 0 if it has none. `xrun`: the device says that it lost audio before this.
        """
        blocks = self.latest[0]
        self.captured.append((blocks, captured))
        self.latest = (blocks + 1, time.monotonic(), round_trip_s)
        self.xruns += xrun
        try:
            block = self.ready.popleft()
        except IndexError:
            self.late_blocks += 1
            block = None
        self._on_block()
        return block


class DuplexStream(Protocol):
    """A microphone and a speaker that run; int16, one channel in and `channels[1]` out."""

    samplerate: float
    blocksize: int
    latency: tuple[float, float]
    channels: tuple[int, int]

    def close(self) -> None:
        """Stop at once and let go of the devices."""


def list_devices() -> list[Device]:
    """Return all sound devices, in PortAudio's order. Raises AudioDeviceError when PortAudio is missing or fails."""
    with _portaudio() as sounddevice:
        found = sounddevice.query_devices()
        if len(found) == 0:
            return []
        host = sounddevice.query_hostapis(sounddevice.default.hostapi)
        return [
            Device(
                index=int(entry["index"]),
                name=str(entry["name"]),
                inputs=int(entry["max_input_channels"]),
                outputs=int(entry["max_output_channels"]),
                default_rate_hz=round(entry["default_samplerate"]),
                is_default_input=entry["index"] == host["default_input_device"],
                is_default_output=entry["index"] == host["default_output_device"],
            )
            for entry in found
        ]


def find_device(name: str | None, kind: Kind) -> Device:
    """Return the default device of a kind, or the one whose name is, or else contains, `name` in any case.

    Raises AudioDeviceError that lists the devices there are, when none fits or more than one.
    """
    return choose_device(list_devices(), name, kind)


def choose_device(devices: list[Device], name: str | None, kind: Kind) -> Device:
    """Return the device of `devices` that `find_device` describes. Raises AudioDeviceError."""
    usable = {device.name: device for device in reversed(devices) if device.channels(kind)}
    names = sorted(usable)
    if not names:
        raise AudioDeviceError(f"This machine has no {_CALLED[kind]}; attach one, or start the sound server.")
    listed = ", ".join(repr(known) for known in names)
    if name is None:
        for device in devices:
            if device.is_default_input if kind == "input" else device.is_default_output:
                return device
        raise AudioDeviceError(f"There is no default {_CALLED[kind]}; choose one of {listed}.")
    wanted = name.casefold()
    fitting = [known for known in names if known.casefold() == wanted]
    fitting = fitting or [known for known in names if wanted in known.casefold()]
    if len(fitting) == 1:
        return usable[fitting[0]]
    if fitting:
        several = ", ".join(repr(known) for known in fitting)
        raise AudioDeviceError(f"Several {_CALLED[kind]}s are called {name!r}: {several}; give more of the name.")
    close = difflib.get_close_matches(wanted, [known.casefold() for known in names], 1)
    meant = next((f"did you mean {known!r}? " for known in names if [known.casefold()] == close), "")
    raise AudioDeviceError(f"No {_CALLED[kind]} is called {name!r}; {meant}There are {listed}.")


def open_duplex(
    microphone: str | None, speaker: str | None, block_ms: int, exchange: Exchange, finished: Callable[[], None]
) -> DuplexStream:
    """Open and start two devices as one stream, at 16 kHz or else at the rate that one of them prefers.

    `finished` is called in PortAudio's thread when the stream has ended, for whatever reason. Raises
    AudioDeviceError when a name is wrong or the devices refuse. Blocks for up to some 100 ms.
    """
    source, sink = find_device(microphone, "input"), find_device(speaker, "output")

    def callback(captured: Any, play: Any, _samples: int, times: Any, status: Any) -> None:  # noqa: ANN401
        block = exchange(bytes(captured), times.outputBufferDacTime - times.inputBufferAdcTime, xrun=bool(status))
        play[:] = block if block is not None else bytes(len(play))

    with _portaudio() as sounddevice:
        refused: Exception | None = None
        for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, source.default_rate_hz, sink.default_rate_hz)):
            try:
                stream: Any = sounddevice.RawStream(
                    samplerate=rate_hz,
                    blocksize=rate_hz * block_ms // 1000,
                    device=(source.index, sink.index),
                    channels=(1, min(2, sink.outputs)),
                    dtype="int16",
                    latency="low",
                    callback=callback,
                    finished_callback=finished,
                )
            except sounddevice.PortAudioError as error:
                refused = error
                continue
            try:
                stream.start()
            except BaseException:
                stream.close()
                raise
            opened: DuplexStream = stream
            return opened
    raise AudioDeviceError(
        f"The microphone {source.name!r} and the speaker {sink.name!r} do not open together ({refused}); "
        "end what else uses them, or choose others."
    ) from refused


def play_through(speaker: str | None, pcm: Pcm) -> None:
    """Play 16 kHz int16 to its end, through a speaker alone; blocks as long. Raises AudioDeviceError."""
    sink = find_device(speaker, "output")
    with _portaudio() as sounddevice:
        try:
            sounddevice.play(pcm, SAMPLE_RATE_HZ, device=sink.index, blocking=True)
        except sounddevice.PortAudioError:
            converted = soxr.resample(pcm, SAMPLE_RATE_HZ, sink.default_rate_hz)
            sounddevice.play(converted, sink.default_rate_hz, device=sink.index, blocking=True)


@contextmanager
def _portaudio() -> Iterator[Any]:
    try:
        import sounddevice  # noqa: PLC0415 - fails where libportaudio2 is not installed
    except OSError as error:
        raise AudioDeviceError(
            "The library PortAudio is missing; install libportaudio2: apt-get install libportaudio2."
        ) from error
    try:
        yield sounddevice
    except sounddevice.PortAudioError as error:
        raise AudioDeviceError(f"The sound system failed ({error}); see that the sound server runs.") from error

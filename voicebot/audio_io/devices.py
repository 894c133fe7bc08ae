"""The sound devices of this machine, by name: all that is known here of PortAudio.

PortAudio is imported when a device is asked for and not before, so the rest works on a machine without it. It looks
for devices once, when it is first used, and then when `relist_devices` has it do so.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import soxr

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.audio_io.alsa import check_alsa
from voicebot.errors import AudioDeviceError

Kind = Literal["input", "output"]

_CALLED: Final[dict[Kind, str]] = {"input": "microphone", "output": "speaker"}
_LONGEST_LATENCY_S: Final = 2.0
_ASSUMED_LATENCY_S: Final = 0.04


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
    """What the devices' threads and the event loop's hand each other: blocks of int16 samples, and nothing waits.

    The microphone calls `take` and the speaker `give`, once per block, each in its own thread. Of the microphone, the
    newest `backlog_blocks` are kept in `captured`, each with its number; `ready` holds what the speaker plays next.
    Moments are seconds of one clock that both devices are measured by.
    """

    def __init__(self, backlog_blocks: int, on_block: Callable[[], None]) -> None:
        self.captured: deque[tuple[int, bytes]] = deque(maxlen=backlog_blocks)
        self.ready: deque[bytes] = deque()
        self.latest = (0, 0.0, 0.0)
        """How many blocks the microphone gave, when the last one came (time.monotonic), and when it began."""
        self.given = (0, 0.0, 0.0)
        """How many blocks the speaker took, when it took the last one (time.monotonic), and when that is heard.

        The last is 0 where the device does not know.
        """
        self.late_blocks = 0
        self.xruns = 0
        self._on_block = on_block

    def take(self, captured: bytes, began_s: float, *, xrun: bool) -> None:
        """Take a block of the microphone, whose first sample was captured at that moment.

        `xrun`: the device says that it lost audio before this.
        """
        self._take(captured, began_s, xrun=xrun)
        self._on_block()

    def give(self, heard_s: float, *, xrun: bool) -> bytes | None:
        """Return a block for the speaker, whose first sample is heard at that moment, or None for silence."""
        block = self._give(heard_s, xrun=xrun)
        self._on_block()
        return block

    def __call__(self, captured: bytes, round_trip_s: float, *, xrun: bool) -> bytes | None:
        """Take a block and give one, for a device that does both at once.

        `round_trip_s` is how long after the first sample of `captured` the first one of the returned block will be
        heard, by the device's clock; 0 if it has none.
        """
        now_s = time.monotonic()
        self._take(captured, now_s, xrun=xrun)
        block = self._give(now_s + round_trip_s if round_trip_s else 0.0, xrun=False)
        self._on_block()
        return block

    def _take(self, captured: bytes, began_s: float, *, xrun: bool) -> None:
        blocks = self.latest[0]
        self.captured.append((blocks, captured))
        self.latest = (blocks + 1, time.monotonic(), began_s)
        self.xruns += xrun

    def _give(self, heard_s: float, *, xrun: bool) -> bytes | None:
        self.given = (self.given[0] + 1, time.monotonic(), heard_s)
        self.xruns += xrun
        try:
            return self.ready.popleft()
        except IndexError:
            self.late_blocks += 1
            return None


class DuplexStream(Protocol):
    """A microphone and a speaker that run; int16, one channel in and `channels[1]` out."""

    rates_hz: tuple[int, int]
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
    """Open and start two devices, each at 16 kHz or else at the rate that it prefers.

    `finished` is called in PortAudio's thread when one of them has ended, for whatever reason. Raises
    AudioDeviceError when a name is wrong or a device refuses. Blocks for up to some 100 ms, and for as long as a
    sound server hangs.
    """

    def take(captured: Any, _samples: int, times: Any, status: Any) -> None:  # noqa: ANN401
        ago_s = _sane_latency_s(times.currentTime - times.inputBufferAdcTime)
        exchange.take(bytes(captured), times.currentTime - ago_s, xrun=bool(status))

    def give(play: Any, _samples: int, times: Any, status: Any) -> None:  # noqa: ANN401
        ahead_s = _sane_latency_s(times.outputBufferDacTime - times.currentTime)
        block = exchange.give(times.currentTime + ahead_s, xrun=bool(status))
        play[:] = block if block is not None else bytes(len(play))

    with _portaudio() as sounddevice, _Pair.lock, ExitStack() as undo:
        source, sink = find_device(microphone, "input"), find_device(speaker, "output")
        common = {"dtype": "int16", "latency": "low", "finished_callback": finished}
        hearing = _open(sounddevice, "input", source, block_ms, channels=1, callback=take, **common)
        undo.callback(hearing.close)
        playing = _open(sounddevice, "output", sink, block_ms, channels=min(2, sink.outputs), callback=give, **common)
        undo.callback(playing.close)
        playing.start()
        hearing.start()
        undo.pop_all()
        return _Pair(hearing, playing)


def relist_devices() -> bool:
    """Have PortAudio look for devices anew. That would end all streams: False, and not done, while there are any.

    Each time takes PortAudio 30 ms of processor time, and it keeps 12 KB for good. Raises AudioDeviceError.
    """
    with _portaudio() as sounddevice, _Pair.lock:
        if _Pair.running:
            return False
        if sounddevice._initialized:  # noqa: SLF001 - there is no other way
            sounddevice._terminate()  # noqa: SLF001
        sounddevice._initialize()  # noqa: SLF001
        return True


class _Pair:
    """A DuplexStream of two streams, since two devices have two clocks.

    PortAudio's own full duplex waits for both devices at once. With PulseAudio, where one clock ran 1 % faster, it
    was measured to add 10 ms of delay in each second, at 83 % of a core; where it ran slower, poll() failed after 8 s.
    """

    lock = threading.Lock()
    running = 0
    """How many of them this process has; it changes under the lock."""

    def __init__(self, hearing: Any, playing: Any) -> None:  # noqa: ANN401
        self.rates_hz = (round(hearing.samplerate), round(playing.samplerate))
        self.latency = (hearing.latency, playing.latency)
        self.channels = (hearing.channels, playing.channels)
        self._streams: tuple[Any, ...] = (hearing, playing)
        _Pair.running += 1

    def close(self) -> None:
        """Stop at once and let go of the devices."""
        streams, self._streams = self._streams, ()
        for stream in streams:
            stream.close()
        with self.lock:
            _Pair.running -= bool(streams)


def _open(portaudio: Any, kind: Kind, device: Device, block_ms: int, **parameters: Any) -> Any:  # noqa: ANN401
    """Return a stream on the device. Raises AudioDeviceError."""
    stream_of = {"input": portaudio.RawInputStream, "output": portaudio.RawOutputStream}[kind]
    refused: Exception | None = None
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, device.default_rate_hz)):
        blocksize = rate_hz * block_ms // 1000
        try:
            return stream_of(samplerate=rate_hz, blocksize=blocksize, device=device.index, **parameters)
        except portaudio.PortAudioError as error:
            refused = error
    raise AudioDeviceError(
        f"The {_CALLED[kind]} {device.name!r} does not open ({refused}); end what else uses it, or choose another."
    ) from refused


def _sane_latency_s(stated_s: float) -> float:
    """Return how far a callback is from its audio's moment; some drivers state nonsense."""
    return stated_s if 0 <= stated_s < _LONGEST_LATENCY_S else _ASSUMED_LATENCY_S


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
    check_alsa()
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

"""The table of all that reads input from outside: from a network, another program, or a file."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import soundfile
from aiohttp import web
from wyoming.event import Event

from tests.fuzz.campaign import Parser
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.audio_io.wav import read_wav
from voicebot.config.box import BoxSettings, SessionSettings
from voicebot.config.load import load_file
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.section import Section
from voicebot.cpu.journal import Journal
from voicebot.daemon import scripted_stages
from voicebot.engines.tools import parse_tools
from voicebot.errors import VoicebotError
from voicebot.events import TurnEnded
from voicebot.interfaces.control_requests import parse_request
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.mqtt.commands import parse_command
from voicebot.interfaces.recorder.file import Contents, read_recording, write_contents
from voicebot.interfaces.recorder.recording import Header
from voicebot.interfaces.recorder.ring import Decided, Entry, Sound
from voicebot.interfaces.recorder.table_check import check_table
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.interfaces.web.access import Token, is_ours, is_same_origin
from voicebot.interfaces.web.api import Api
from voicebot.interfaces.web.guard import Guard
from voicebot.interfaces.web.microphone import FRAME_BYTES, BrowserPort
from voicebot.interfaces.wyoming.handle import context_of
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.wake import names_in
from voicebot.interfaces.wyoming.wire import LONGEST_HEADER_BYTES, EventStream, encoded, pong, text_of
from voicebot.latency.fits import read_fits
from voicebot.models.gguf import kv_bytes_per_token, layer_count
from voicebot.models.manifest import read_records
from voicebot.models.tuned import read_tuned
from voicebot.replay.recorded import Recorded
from voicebot.replay.scenario_file import ScenarioSection
from voicebot.turn.table import State, TurnEvent
from voicebot.workers.event_stream import EventStream as ServerSentEvents

_ROOT: Final = Path(__file__).parents[2]


class Parsers:
    """All of them. Files are written into `folder`; coroutines run on a loop of their own until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        kept = KeptState(folder / "nothing-kept", lambda _: None)
        service = Service(scripted_stages(CLOCK), SCRIPTED, SessionSettings(), Watchers(), kept)
        self._token = Token("0123456789abcdef")
        guard = Guard(self._token, (), (), _Hurrying())
        self._handlers = {route.path: route.handler for route in Api(service).routes()}
        self._handlers["/api/login"] = guard.log_in
        self.all: Final = self._table()

    def close(self) -> None:
        """End the loop."""
        self._loop.close()

    def _table(self) -> tuple[Parser, ...]:
        return (
            Parser("Wyoming events", self._wyoming, _WYOMING),
            Parser("MQTT commands", _mqtt, _MQTT),
            Parser("control requests", parse_request, _CONTROL),
            Parser("browser microphone", self._microphone, _microphone_corpus()),
            Parser("HTTP bodies", self._body, _BODIES),
            Parser("HTTP headers", self._headers, self._header_corpus()),
            Parser("server-sent events", _server_sent, _SERVER_SENT),
            Parser("tools", lambda data: parse_tools(data.decode("utf-8", "surrogateescape")), _TOOLS),
            Parser("sound files", lambda data: read_wav(self._file(data)), _sound_corpus()),
            Parser("box settings", lambda data: self._settings(data, BoxSettings), _tables("config/voicebot.toml")),
            Parser(
                "pipelines",
                lambda data: self._settings(data, PipelineSettings),
                _tables("pipelines/assistant.toml") + _tables("pipelines/scripted.toml"),
            ),
            Parser("scenarios", lambda data: self._settings(data, ScenarioSection), _SCENARIOS),
            Parser("kept switches", lambda data: KeptState(self._file(data)).muted, _KEPT),
            Parser("CPU journal", lambda data: Journal(self._file(data), "boot").load(), _JOURNAL),
            Parser("fits", lambda data: read_fits(self._file(data)), _FITS),
            Parser("model records", self._records, _RECORDS),
            Parser("GGUF headers", self._gguf, _gguf_corpus()),
            Parser("recordings", self._recording, _recordings()),
        )

    def _file(self, data: bytes) -> Path:
        file = self._folder / "input"
        file.write_bytes(data)
        return file

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        return self._loop.run_until_complete(coroutine)

    def _settings(self, data: bytes, section: type[Section]) -> object:
        return load_file(self._file(data).rename(self._folder / "input.toml"), section)

    def _records(self, data: bytes) -> None:
        for kind in (".manifests", ".tuned"):
            place = self._folder / kind
            place.mkdir(exist_ok=True)
            (place / "model.json").write_bytes(data)
        read_records(self._folder, "model")
        read_tuned(self._folder, "model")

    def _gguf(self, data: bytes) -> None:
        file = self._file(data)
        layer_count(file)
        kv_bytes_per_token(file)

    def _recording(self, data: bytes) -> None:
        recording = read_recording(self._file(data))
        check_table(recording)
        for session, sound in recording.sounds.items():
            Recorded.of(recording.file, session, sound[:, 0], recording.speech_ends(session))

    def _wyoming(self, data: bytes) -> None:
        async def read() -> None:
            reader, audio = asyncio.StreamReader(LONGEST_HEADER_BYTES), IncomingAudio()
            reader.feed_data(data)
            reader.feed_eof()
            stream = EventStream(reader, cast("asyncio.StreamWriter", None))
            while (event := await stream.read(60.0)) is not None:
                _take_event(event, audio)
            audio.finish()

        self._run(read())

    def _microphone(self, data: bytes) -> None:
        async def hear() -> None:
            port = BrowserPort(_Still())
            for at in range(0, len(data), FRAME_BYTES):
                port.take(data[at : at + FRAME_BYTES])
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    while await port.next_frame() is not None:
                        pass

        self._run(hear())

    def _body(self, data: bytes) -> None:
        path, _, body = data.partition(b"\n")
        handler = self._handlers.get(path.decode("latin-1"), self._handlers["/api/login"])
        try:
            self._run(cast("Coroutine[Any, Any, object]", handler(cast("web.Request", _Request(body)))))
        except web.HTTPException as error:
            raise VoicebotError(error.reason) from error

    def _headers(self, data: bytes) -> None:
        host, origin, site, cookie = (data.decode("utf-8", "surrogateescape").split("\n") + [""] * 4)[:4]
        is_ours(host, ("voicebot.local",))
        is_same_origin(origin or None, host, site or None)
        assert not self._token.allows(cookie, 1e12), "a cookie that has expired, or is forged"
        self._token.is_this(cookie)

    def _header_corpus(self) -> tuple[bytes, ...]:
        cookie = self._token.cookie(2_000_000_000)
        hosts = ("localhost:8321", "[::1]:8321", "192.168.1.5", "voicebot.local", "fe80::1%eth0", "1.2.3.4.")
        return tuple(f"{host}\nhttp://{host}\nsame-origin\n{cookie}".encode() for host in hosts)


class _Still:
    """A clock that stands."""

    def now_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        raise AssertionError(duration_s)


class _Hurrying:
    """A clock by which nobody asks too often."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        self._now_s += 1000.0
        return self._now_s


class _Request:
    """What the handlers read of a request."""

    remote, secure = "127.0.0.1", False

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def _take_event(event: Event, audio: IncomingAudio) -> None:
    match event.type:
        case "audio-chunk":
            audio.feed(event)
        case "audio-stop":
            audio.finish()
        case "ping":
            encoded(pong(event))
        case "detect":
            names_in(event)
        case _:
            context_of(event)
            text_of(event, 4000)


def _mqtt(data: bytes) -> None:
    name, _, payload = data.partition(b"\n")
    parse_command(name.decode("utf-8", "replace"), payload)


def _server_sent(data: bytes) -> None:
    stream = ServerSentEvents()
    for at in range(0, len(data), 100):
        stream.feed(data[at : at + 100])


def _event(kind: str, payload: bytes = b"", *, apart: bool = False, **data: object) -> bytes:
    """Return a Wyoming event, with its data in the header or `apart`."""
    body = json.dumps(data).encode() if apart else b""
    header: dict[str, object] = {"type": kind, "data_length": len(body), "payload_length": len(payload)}
    return json.dumps(header if apart else header | {"data": data}).encode() + b"\n" + body + payload


def _chunk(rate: int, width: int, channels: int) -> bytes:
    form = {"rate": rate, "width": width, "channels": channels}
    return _event("audio-chunk", bytes(range(48)) * 10, apart=True, **form)


_WYOMING: Final = (
    _event("ping", text="are you there") + _event("synthesize", text="Dinner is ready."),
    _event("transcript", apart=True, text="What time is it?", context={"conversation_id": "kitchen"}),
    _event("detect", names=["okay_nabu", "hey_jarvis"]) + _event("detect") + _event("recognize", text="Never mind."),
    _event("synthesize-start", text="") + _event("synthesize-chunk", text="Dinner ", apart=True),
    _chunk(16_000, 2, 1) + _chunk(16_000, 2, 1) + _event("audio-stop", text=""),
    _chunk(22_050, 4, 2) + _chunk(48_000, 1, 1) + _chunk(8000, 2, 8),
)
_MQTT: Final = (
    *(b"say\nDinner is ready.", b"ask\n" + b'{"text": "What time is it?", "session": "local", "id": "7"}'),
    *(b"stop\nPRESS", b"stop\n", b'stop\n{"session": null}', b"mute\nON", b"mute\noff", b'mute\n{"muted": true}'),
    *(b"volume\n70", b'volume\n{"volume": 70, "id": "a"}'),
)
_CONTROL: Final = (
    b'{"schema": 1, "request": "status"}',
    *(b'{"request": "events"}', b'{"request": "stop", "session": "local"}', b'{"request": "listen"}'),
    *(b'{"request": "mute"}', b'{"request": "volume", "percent": 70}', b'{"request": "reload"}'),
    b'{"request": "ask", "text": "What time is it? \\u00e9", "session": null, "wait": false}',
)
_BODIES: Final = (
    *(
        b'/api/mute\n{"muted": true}',
        b'/api/volume\n{"percent": 70}',
        b'/api/stop\n{"session": null}',
        b"/api/stop\n{}",
    ),
    b'/api/login\n{"token": "0123456789abcdef"}',
)
_SERVER_SENT: Final = (
    b'data: {"choices": [{"delta": {"content": "Paris"}}]}\n\ndata: [DONE]\n\n',
    b": comment\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n",
)
_TOOLS: Final = (
    json.dumps(
        [
            {
                "name": "set_light",
                "description": "Switches a light.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "room": {"enum": ["kitchen", "hall"]},
                        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
                        "at": {"type": "string", "format": "time"},
                        "names": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3},
                    },
                    "required": ["room"],
                },
            }
        ]
    ).encode(),
    b'[{"type": "function", "function": {"name": "stop", "strict": true, "parameters": {}}}]',
    b'[{"name": "f", "parameters": {"type": "object", "properties": {"x": {"anyOf": [{"const": 1}]}}}}]',
)
_SCENARIOS: Final = (
    b'about = "x"\n[[clip]]\nfile = "a.wav"\nsays = "x"\nat_s = 0.5\n[[clip]]\nfile = "b.wav"\nafter = "reply ends"\n',
    b'about = "x"\nduration_s = 3.0\n[noise]\nkind = "white"\nlevel_dbfs = -40.0\n[echo]\ndelay_ms = 4\ngain_db = -6\n',
    b'about = "x"\nduration_s = 1.0\n[expect]\nturns = 2\n[[expect.turn]]\nuser = "hello"\nwords = ["a"]\n',
)
_KEPT: Final = (b'{"muted":false,"volume":70}', b'{"muted": true}', b"{}")
_JOURNAL: Final = (
    json.dumps(
        {
            "boot": "boot",
            "files": {
                "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": {
                    "original": "2400000",
                    "ours": ["1500000", "1800000"],
                    "settled": True,
                }
            },
        }
    ).encode(),
)
_FITS: Final = (
    json.dumps(
        {
            "fits": [
                {
                    "stage": "asr",
                    "model": "whisper-tiny.en",
                    "core": "x86_64 some",
                    "threads": 2,
                    "base_s": 0.1,
                    "gcycles_per_unit": 0.5,
                    "memory_s_per_unit": 0.0,
                    "margin": 1.5,
                }
            ]
        }
    ).encode(),
)
_RECORDS: Final = (
    json.dumps(
        {"files": {"model.bin": {"sha256": "0" * 64, "stamp": {"size": 9, "mtime_ns": 10**18, "inode": 5}}}}
    ).encode(),
)


def _tables(name: str) -> tuple[bytes, ...]:
    """Return the tables of a settings file, each by itself, without comments."""
    text = re.sub(r"^#.*\n", "", (_ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    return tuple(table.encode() for table in re.split(r"\n(?=\[)", text) if table.strip())


def _microphone_corpus() -> tuple[bytes, ...]:
    pcm = bytes(FRAME_BYTES - 8)
    frames = [struct.pack("<II", number, number * 320) + pcm for number in (0, 1, 2, 5, 6)]
    return frames[0], b"".join(frames)


def _sound_corpus() -> tuple[bytes, ...]:
    tone = (np.sin(np.arange(200) / 5) / 2).astype(np.float32)
    forms = [
        *(("WAV", "PCM_16", SAMPLE_RATE_HZ, 1), ("WAV", "FLOAT", 44_100, 2), ("WAV", "PCM_U8", 8000, 1)),
        *(("WAVEX", "PCM_24", 48_000, 2), ("WAV", "IMA_ADPCM", 22_050, 1), ("FLAC", "PCM_16", SAMPLE_RATE_HZ, 1)),
    ]
    return tuple(_sound(tone, *form) for form in forms)


def _sound(tone: Any, container: str, subtype: str, rate_hz: int, channels: int) -> bytes:
    file = BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def _gguf_corpus() -> tuple[bytes, ...]:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def number(name: str, value: int) -> bytes:
        return text(f"llama.{name}") + struct.pack("<II", 4, value)

    entries = [
        *(text("general.architecture") + struct.pack("<I", 8) + text("llama"), number("block_count", 30)),
        *(number("attention.head_count", 9), number("embedding_length", 576)),
        text("llama.attention.head_count_kv") + struct.pack("<IIQ3I", 9, 4, 3, 3, 3, 3),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 3) + text("a") + text("b") + text("c"),
        text("general.quantized") + struct.pack("<I?", 7, True),
    ]
    nested = text("x") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 3 + struct.pack("<IQI", 4, 1, 7)
    return tuple(
        struct.pack("<4sIQQ", b"GGUF", 3, 2, len(chosen)) + b"".join(chosen) for chosen in (entries, [*entries, nested])
    )


def _recordings() -> tuple[bytes, ...]:
    words = ("What?", "That.", "That.", "slm")
    turn = TurnEnded("local", 1, 1, *words, interrupted=False, speech_end_sample=400, marks={"soft_end": 500},
                     stage_ms={"asr": 90.5}, over_budget=("asr",), error=None)  # fmt: skip
    happened = (
        Decided(0, State.IDLE, TurnEvent.SOFT_END, (State.IDLE, ())),
        Decided(0, State.IDLE, TurnEvent.MEANT, None),
        turn,
    )
    entries = [Entry(1.0, "1-local", what) for what in happened]
    sounds = [Entry(1.0, "1-local", Sound(at, bytes(640), bytes(640))) for at in (0, 320, 960)]
    header = Header(voicebot="1", saved_at="2026", reason="", minutes=1, pipeline={"asr": "x"}, audio={})
    found = []
    for chosen in (entries, [*entries, *sounds]):
        file = BytesIO()
        write_contents(file, Contents(header, tuple(chosen), 2.0, threading.Event()))
        found.append(file.getvalue())
    return tuple(found)

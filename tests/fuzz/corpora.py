"""What each parser takes when nothing is wrong with it: campaigns begin with these and damage them."""

from __future__ import annotations

import json
import re
import struct
import threading
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.events import TurnEnded
from voicebot.interfaces.recorder.file import Contents, write_contents
from voicebot.interfaces.recorder.recording import Header
from voicebot.interfaces.recorder.ring import Decided, Entry, Sound
from voicebot.interfaces.web.microphone import FRAME_BYTES
from voicebot.turn.table import State, TurnEvent

_ROOT: Final = Path(__file__).parents[2]


def _event(kind: str, payload: bytes = b"", *, apart: bool = False, **data: object) -> bytes:
    """Return a Wyoming event, with its data in the header or `apart`."""
    body = json.dumps(data).encode() if apart else b""
    header: dict[str, object] = {"type": kind, "data_length": len(body), "payload_length": len(payload)}
    return json.dumps(header if apart else header | {"data": data}).encode() + b"\n" + body + payload


def _chunk(rate: int, width: int, channels: int) -> bytes:
    form = {"rate": rate, "width": width, "channels": channels}
    return _event("audio-chunk", bytes(range(48)) * 10, apart=True, **form)


WYOMING: Final = (
    _event("ping", text="are you there") + _event("synthesize", text="Dinner is ready."),
    _event("transcript", apart=True, text="What time is it?", context={"conversation_id": "kitchen"}),
    _event("detect", names=["okay_nabu", "hey_jarvis"]) + _event("detect") + _event("recognize", text="Never mind."),
    _event("synthesize-start", text="") + _event("synthesize-chunk", text="Dinner ", apart=True),
    _chunk(16_000, 2, 1) + _chunk(16_000, 2, 1) + _event("audio-stop", text=""),
    _chunk(22_050, 4, 2) + _chunk(48_000, 1, 1) + _chunk(8000, 2, 8),
)
MQTT: Final = (
    *(b"say\nDinner is ready.", b"ask\n" + b'{"text": "What time is it?", "session": "local", "id": "7"}'),
    *(b"stop\nPRESS", b"stop\n", b'stop\n{"session": null}', b"mute\nON", b"mute\noff", b'mute\n{"muted": true}'),
    *(b"volume\n70", b'volume\n{"volume": 70, "id": "a"}'),
)
CONTROL: Final = (
    b'{"schema": 1, "request": "status"}',
    *(b'{"request": "events"}', b'{"request": "stop", "session": "local"}', b'{"request": "listen"}'),
    *(b'{"request": "mute"}', b'{"request": "volume", "percent": 70}', b'{"request": "reload"}'),
    b'{"request": "ask", "text": "What time is it? \\u00e9", "session": null, "wait": false}',
)
BODIES: Final = (
    *(
        b'/api/mute\n{"muted": true}',
        b'/api/volume\n{"percent": 70}',
        b'/api/stop\n{"session": null}',
        b"/api/stop\n{}",
    ),
    b'/api/login\n{"token": "0123456789abcdef"}',
)
SERVER_SENT: Final = (
    b'data: {"choices": [{"delta": {"content": "Paris"}}]}\n\ndata: [DONE]\n\n',
    b": comment\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n",
)
TOOLS: Final = (
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
SCENARIOS: Final = (
    b'about = "x"\n[[clip]]\nfile = "a.wav"\nsays = "x"\nat_s = 0.5\n[[clip]]\nfile = "b.wav"\nafter = "reply ends"\n',
    b'about = "x"\nduration_s = 3.0\n[noise]\nkind = "white"\nlevel_dbfs = -40.0\n[echo]\ndelay_ms = 4\ngain_db = -6\n',
    b'about = "x"\nduration_s = 1.0\n[expect]\nturns = 2\n[[expect.turn]]\nuser = "hello"\nwords = ["a"]\n',
)
KEPT: Final = (b'{"muted":false,"volume":70}', b'{"muted": true}', b"{}")
JOURNAL: Final = (
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
FITS: Final = (
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
RECORDS: Final = (
    json.dumps(
        {"files": {"model.bin": {"sha256": "0" * 64, "stamp": {"size": 9, "mtime_ns": 10**18, "inode": 5}}}}
    ).encode(),
)


def tables(name: str) -> tuple[bytes, ...]:
    """Return the tables of a settings file, each by itself, without comments."""
    text = re.sub(r"^#.*\n", "", (_ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    return tuple(table.encode() for table in re.split(r"\n(?=\[)", text) if table.strip())


def microphone() -> tuple[bytes, ...]:
    pcm = bytes(FRAME_BYTES - 8)
    frames = [struct.pack("<II", number, number * 320) + pcm for number in (0, 1, 2, 5, 6)]
    return frames[0], b"".join(frames)


def sounds() -> tuple[bytes, ...]:
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


def ggufs() -> tuple[bytes, ...]:
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


def recordings() -> tuple[bytes, ...]:
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

"""The table of all that reads input from outside: from a network, another program, or a file."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from wyoming.event import Event

from tests.fuzz import corpora
from tests.fuzz.campaign import Parser
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio_io.wav import read_wav
from voicebot.config.box import BoxSettings, SessionSettings
from voicebot.config.load import load_file
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.section import Section
from voicebot.cpu.journal import Journal
from voicebot.daemon import scripted_stages
from voicebot.engines.tools import parse_tools
from voicebot.errors import VoicebotError
from voicebot.interfaces.control_requests import parse_request
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.mqtt.commands import parse_command
from voicebot.interfaces.recorder.file import read_recording
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
from voicebot.workers.event_stream import EventStream as ServerSentEvents


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
            Parser("Wyoming events", self._wyoming, corpora.WYOMING),
            Parser("MQTT commands", _mqtt, corpora.MQTT),
            Parser("control requests", parse_request, corpora.CONTROL),
            Parser("browser microphone", self._microphone, corpora.microphone()),
            Parser("HTTP bodies", self._body, corpora.BODIES),
            Parser("HTTP headers", self._headers, self._header_corpus()),
            Parser("server-sent events", _server_sent, corpora.SERVER_SENT),
            Parser("tools", lambda data: parse_tools(data.decode("utf-8", "surrogateescape")), corpora.TOOLS),
            Parser("sound files", lambda data: read_wav(self._file(data)), corpora.sounds()),
            Parser(
                "box settings", lambda data: self._settings(data, BoxSettings), corpora.tables("config/voicebot.toml")
            ),
            Parser(
                "pipelines",
                lambda data: self._settings(data, PipelineSettings),
                corpora.tables("pipelines/assistant.toml") + corpora.tables("pipelines/scripted.toml"),
            ),
            Parser("scenarios", lambda data: self._settings(data, ScenarioSection), corpora.SCENARIOS),
            Parser("kept switches", lambda data: KeptState(self._file(data)).muted, corpora.KEPT),
            Parser("CPU journal", lambda data: Journal(self._file(data), "boot").load(), corpora.JOURNAL),
            Parser("fits", lambda data: read_fits(self._file(data)), corpora.FITS),
            Parser("model records", self._records, corpora.RECORDS),
            Parser("GGUF headers", self._gguf, corpora.ggufs()),
            Parser("recordings", self._recording, corpora.recordings()),
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

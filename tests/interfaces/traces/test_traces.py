"""Turns of a scripted conversation arrive at a collector; and whatever that does, the conversation goes on."""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.interfaces.control_scene import Daemon, serving, until
from tests.interfaces.traces.collector import PATH, Collector, collecting, values
from voicebot.config.traces import TracesSettings
from voicebot.events import Event, TurnEnded, TurnEnergy
from voicebot.interfaces.traces.otlp import OtlpExport
from voicebot.interfaces.traces.traces import Traces

WEB: Final = Path(__file__).parents[1] / "web"
LOGGER: Final = "voicebot.interfaces.traces"
JOULES: Final = 2.5


@asynccontextmanager
async def traced(folder: Path, url: str, delivery_s: float = 10.0, **more: Any) -> AsyncGenerator[Daemon, None]:
    """Tell the turns of a daemon with scripted engines, each of which takes 2.5 J."""
    settings = TracesSettings(enabled=True, endpoint=url, **more)
    async with serving(folder) as daemon:
        traces = Traces(settings, daemon.service, open_export=lambda settings: OtlpExport(settings, delivery_s))
        running = asyncio.create_task(traces.run(), name="traces")
        await until(lambda: daemon.service.status().get("traces", {}).get("works"))

        def account(event: Event) -> None:
            if isinstance(event, TurnEnded):
                daemon.watchers(TurnEnergy(event.session, event.turn, JOULES, measured=False))

        daemon.service.watch(account)
        try:
            yield daemon
        finally:
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            assert "traces" not in daemon.service.status()


async def ask(daemon: Daemon) -> dict[str, Any]:
    """Hold a turn, and return what was told of it."""
    turn: dict[str, Any] = (await daemon.ask("ask", text="What is the capital of France?"))["result"]["turn"]
    return turn


def tell(daemon: Daemon, session: str = "hall", error: str | None = None) -> None:
    """Let a turn end that nobody has held."""
    marks = {"soft_end": 17_000, "asr_final": 18_000, "audible": 24_000}
    daemon.watchers(
        TurnEnded(session, 1, 1, "capital of France", "Paris.", "Paris.", "slm", False, 16_000, marks, {}, (), error)
    )


def lost(daemon: Daemon, at_least: int) -> bool:
    return bool(daemon.service.status()["traces"]["lost"] >= at_least)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith(LOGGER)]


async def test_each_turn_is_a_trace_with_its_stages_inside(tmp_path: Path) -> None:
    before_ns = time.time_ns()
    async with collecting() as collector, traced(tmp_path, collector.url, name="kitchen box") as daemon:
        told = [await ask(daemon), await ask(daemon)]
        await until(lambda: len(collector.turns) == 2)
        status = {"works": True, "endpoint": collector.url, "sent": len(collector.spans), "lost": 0}
        await until(lambda: daemon.service.status()["traces"] == status)
    first, second = sorted(collector.turns, key=lambda span: span.start_time_unix_nano)
    assert first.trace_id != second.trace_id
    assert {(one["service.name"], "host.name" in one) for one in collector.about} == {("kitchen box", True)}
    for turn, span in zip(told, (first, second), strict=True):
        attributes = values(span.attributes)
        assert (attributes["voicebot.session"], attributes["voicebot.turn"]) == ("local", turn["turn"])
        assert attributes["voicebot.voice_to_voice_ms"] == turn["voice_to_voice_ms"]
        assert attributes["voicebot.over_budget"] == turn["over_budget"]
        assert (attributes["voicebot.energy_j"], attributes["voicebot.energy_measured"]) == (JOULES, False)
        assert not {"voicebot.user", "voicebot.reply", "voicebot.heard"} & set(attributes)
        assert "France" not in str(span)

        stages = collector.inside(span)
        assert set(stages) == {*turn["stage_ms"], "playback"}
        for stage, took_ms in turn["stage_ms"].items():
            length_ms = (stages[stage].end_time_unix_nano - stages[stage].start_time_unix_nano) / 1e6
            assert length_ms == pytest.approx(took_ms, abs=0.001)
        for stage in stages.values():
            assert span.start_time_unix_nano <= stage.start_time_unix_nano
            assert stage.end_time_unix_nano <= span.end_time_unix_nano
        assert before_ns < span.start_time_unix_nano < span.end_time_unix_nano <= time.time_ns()

        wait_ns = turn["marks"]["audible"] - turn["speech_end_sample"]
        (audible,) = (event for event in span.events if event.name == "audible")
        assert (audible.time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(wait_ns / 16_000, abs=1e-6)
        assert {event.name for event in span.events} == set(turn["marks"])


async def test_words_are_sent_on_request_and_an_error_marks_the_turn(tmp_path: Path) -> None:
    async with collecting() as collector, traced(tmp_path, collector.url, texts=True) as daemon:
        turn = await ask(daemon)
        tell(daemon, error="the slm worker died.")
        await until(lambda: len(collector.turns) == 2)
    spans = {values(span.attributes)["voicebot.session"]: span for span in collector.turns}
    assert values(spans["local"].attributes)["voicebot.reply"] == turn["reply"]
    assert spans["local"].status.code != Status.STATUS_CODE_ERROR
    assert (spans["hall"].status.code, spans["hall"].status.message) == (
        Status.STATUS_CODE_ERROR,
        "the slm worker died.",
    )


async def test_a_turn_whose_energy_nobody_tells_is_sent_after_a_while_and_at_the_end(tmp_path: Path) -> None:
    async with collecting() as collector:
        async with serving(tmp_path) as daemon:
            traces = Traces(TracesSettings(endpoint=collector.url), daemon.service)
            running = asyncio.create_task(traces.run())
            await until(lambda: daemon.service.status().get("traces", {}).get("works"))
            tell(daemon)
            await until(lambda: len(collector.turns) == 1)
            tell(daemon)
            running.cancel()
            await asyncio.wait([running])
        await until(lambda: len(collector.turns) == 2)
    assert not [turn for turn in collector.turns if "voicebot.energy_j" in values(turn.attributes)]


async def test_a_collector_that_is_away_costs_one_line_and_is_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with collecting() as gone:
        pass
    async with traced(tmp_path, gone.url, delivery_s=0.5) as daemon:
        for number in range(1, 4):
            tell(daemon)
            await until(functools.partial(lost, daemon, 3 * number))
        away = f"traces are lost: the collector at {gone.url} takes none (no answer)"
        assert lines(caplog) == [away]
        async with collecting(gone.port) as back:
            tell(daemon)
            await until(lambda: len(back.turns) == 1)
            await until(lambda: len(lines(caplog)) == 2)
    assert lines(caplog) == [away, f"the collector at {gone.url} takes traces again"]
    assert [record.name for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_a_collector_that_refuses_is_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with collecting() as collector, traced(tmp_path, collector.url) as daemon:
        collector.status = 401
        tell(daemon)
        await until(lambda: daemon.service.status()["traces"]["lost"])
    assert lines(caplog) == [f"traces are lost: the collector at {collector.url} takes none (HTTP 401 Unauthorized)"]


async def test_nothing_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as elsewhere, collecting() as collector:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            monkeypatch.setenv(name, elsewhere.url.removesuffix(PATH))
        monkeypatch.setenv("no_proxy", "")
        async with traced(tmp_path, collector.url) as daemon:
            collector.status, collector.location = 307, elsewhere.url
            tell(daemon)
            await until(lambda: daemon.service.status()["traces"]["lost"])
            collector.status = 200
            tell(daemon)
            await until(lambda: len(collector.turns) == 1)
    assert elsewhere.headers == []


async def test_headers_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "headers").write_text("Authorization: Bearer of a secret\n\nx-team:kitchen \n")
    async with collecting() as collector, traced(tmp_path, collector.url, headers_file="headers") as daemon:
        tell(daemon)
        await until(lambda: bool(collector.turns))
    sent = {name.lower(): value for name, value in collector.headers[0].items()}
    assert (sent["authorization"], sent["x-team"]) == ("Bearer of a secret", "kitchen")
    assert sent["content-type"] == "application/x-protobuf"


async def test_tls_is_checked_against_the_file_that_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(WEB / "certificate.pem", WEB / "key.pem")
    async with collecting(tls=tls) as collector:
        url = collector.url.replace("http:", "https:")
        async with traced(tmp_path, url, delivery_s=0.5) as daemon:
            tell(daemon)
            await until(lambda: daemon.service.status()["traces"]["lost"])
        assert len(lines(caplog)) == 1
        async with traced(tmp_path, url, ca=str(WEB / "certificate.pem")) as daemon:
            tell(daemon)
            await until(lambda: len(collector.turns) == 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("a secret without a name", "line 1 of"),
        ("key: a\nkey\x00: b", "line 2 of"),
        ("key: \N{SNOWMAN}", "line 1 of"),
    ],
)
async def test_a_headers_file_that_is_none_is_one_line_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, said: str
) -> None:
    file = tmp_path / "headers"
    if content is not None:
        file.write_text(content)
    await _without_traces(tmp_path, caplog, TracesSettings(headers_file=str(file)))
    (line,) = lines(caplog)
    assert line.startswith("no traces: traces.headers_file or traces.ca can't be used")
    assert said in line
    assert "secret" not in line


async def test_without_the_extra_one_line_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "voicebot.interfaces.traces.otlp", None)
    await _without_traces(tmp_path, caplog, TracesSettings())
    (line,) = lines(caplog)
    assert line.startswith("no traces: install voicebot[traces], or set traces.enabled = false")


async def _without_traces(folder: Path, caplog: pytest.LogCaptureFixture, settings: TracesSettings) -> None:
    """Hold a turn of a daemon that can't send traces."""
    async with serving(folder) as daemon:
        running = asyncio.create_task(Traces(settings, daemon.service).run())
        await until(lambda: bool(lines(caplog)))
        tell(daemon)
        assert daemon.service.status()["traces"] == {"works": False}
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_words_that_can_be_read_on_the_way_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with traced(tmp_path, "http://192.0.2.1/v1/traces", texts=True):
        pass
    assert lines(caplog) == ["traces are sent without encryption: all words can be read on the network"]


async def test_the_libraries_are_loaded_only_where_they_are_wanted() -> None:
    program = "import sys, voicebot.interfaces.traces.traces; print('opentelemetry' in sys.modules)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    assert output.decode().strip() == "False"


def test_the_collectors_own_lines_are_not_logged() -> None:
    assert logging.getLogger("opentelemetry.sdk.trace.export").getEffectiveLevel() == logging.CRITICAL


def test_the_scene_is_as_it_is_told() -> None:
    assert Collector(port=4318).url == TracesSettings().endpoint

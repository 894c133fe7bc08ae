"""The control socket: what it answers, whom it drops, and that nothing which is sent to it does harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interfaces.control_scene import Daemon, serving, until
from voicebot.config.control import ControlSettings
from voicebot.errors import ConfigError, UsageError
from voicebot.events import Transcribed
from voicebot.interfaces.control_requests import LONGEST_LINE, parse_request
from voicebot.interfaces.event_json import event_json
from voicebot.turn.table import State

PATIENCE_S = 60


async def speaking(daemon: Daemon) -> None:
    await until(lambda: daemon.service.sessions["local"].state is State.SPEAKING)


def counted(daemon: Daemon, what: str) -> int:
    return int(daemon.service.status()["control"][what])


async def test_status(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        answer = await daemon.ask("status", schema=1)
    assert (answer["schema"], answer["ok"]) == (1, True)
    assert answer["result"]["pid"] == os.getpid()
    assert answer["result"]["sessions"]["local"]["state"] == "idle"
    assert answer["result"]["control"] == {"clients": 1, "watching": 0, "slow_readers": 0}


async def test_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path, sessions=("local", "kitchen")) as daemon:
        answer = await daemon.ask("sessions")
    assert list(answer["result"]) == ["sessions"]
    assert set(answer["result"]["sessions"]) == {"local", "kitchen"}


async def test_mute_and_volume(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        assert (await client.ask("mute"))["result"] == {"muted": True}
        assert daemon.service.muted
        assert (await client.ask("unmute"))["result"] == {"muted": False}
        assert (await client.ask("volume", percent=30))["result"] == {"volume": 30}
        assert daemon.service.volume == 30
        assert (await client.ask("volume", percent=101))["exit_code"] == 2


async def test_ask_and_say_tell_the_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        turn = (await client.ask("ask", text="Who?"))["result"]["turn"]
        assert (turn["event"], turn["user"], turn["reply"], turn["source"]) == (
            *("turn_ended", "Who?", "You said: Who?."),
            "slm",
        )
        turn = (await client.ask("say", text="Hm.", session="local"))["result"]["turn"]
        assert (turn["heard"], turn["source"]) == ("Hm.", "say")


async def test_a_prompt_that_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        assert (await client.ask("say", text="Hello there.", wait=False))["result"] == {"turn": None}
        await speaking(daemon)
        assert (await client.ask("stop"))["result"] == {"stopped": 1}
        assert (await client.ask("stop", session="local"))["result"] == {"stopped": 0}


@pytest.mark.parametrize(
    ("request_", "fields", "sentence"),
    [
        ("say", {"text": "  "}, "the text is empty"),
        ("ask", {"text": "x" * 1001}, "1000 are the most"),
        ("say", {"text": "Hello", "session": "attic", "wait": False}, "there is no session 'attic'; known: local."),
        ("stop", {"session": "attic"}, "there is no session 'attic'"),
        ("volume", {"percent": True}, "percent: Input should be a valid integer"),
        ("dance", {}, "Input tag 'dance'"),
        ("mute", {"loud": 1}, "loud: Extra inputs are not permitted"),
        ("status", {"schema": 2}, "schema: Input should be 1"),
    ],
)
async def test_what_is_refused(request_: str, fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        answer = await client.ask(request_, **fields)
        assert (answer["schema"], answer["ok"], answer["exit_code"]) == (1, False, 2)
        assert sentence in answer["error"]
        assert (await client.ask("sessions"))["ok"]


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with serving(tmp_path, sessions=()) as daemon:
        answer = await daemon.ask("say", text="Hello")
    assert answer["error"] == "nobody is there to hear it: no session is open."


async def test_too_many_texts_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        answers = [await client.ask("say", text="Hello there.", wait=False) for _ in range(12)]
    assert [answer["ok"] for answer in answers].count(False) >= 3
    assert "try again" in answers[-1]["error"]


async def test_reload_says_what_needs_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        daemon.needs_restart = ["asr.model needs a restart."]
        assert (await client.ask("reload"))["result"] == {"needs_restart": ["asr.model needs a restart."]}
        daemon.needs_restart = ConfigError("x.toml: wrong")
        assert (await client.ask("reload"))["error"] == "x.toml: wrong"


async def test_a_failure_inside_is_an_answer_and_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        daemon.needs_restart = ZeroDivisionError()
        answer = await client.ask("reload")
        assert "its log says more" in answer["error"]
        assert (await client.ask("status"))["ok"]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the request reload failed"
    ]


async def test_events_are_streamed_until_the_client_leaves(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        async with daemon.client() as client:
            assert await client.ask("events") == {"schema": 1, "ok": True, "result": {}}
            event = Transcribed("local", 1, 2, "Grüße\n\u2028")
            daemon.watchers(event)
            assert await client.answer() == event_json(event)
            assert counted(daemon, "watching") == 1
        await until(lambda: not counted(daemon, "watching"))


async def test_a_slow_reader_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        await client.ask("events")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        event = Transcribed("local", 1, 1, "x" * 10_000)
        for _ in range(1000):
            daemon.watchers(event)
        await until(lambda: not counted(daemon, "watching"))
        assert (await daemon.ask("status"))["result"]["control"]["slow_readers"] == 1


async def test_who_leaves_gives_up_what_was_not_begun(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as first:
        assert (await first.ask("say", text="This is a rather long text.", wait=False))["ok"]
        await speaking(daemon)
        async with daemon.client() as second:
            second.send("say", text="Never heard.")
            await until(lambda: counted(daemon, "clients") == 2)
        await until(lambda: counted(daemon, "clients") == 1)
        await first.ask("stop")
        assert (await first.ask("say", text="Hm."))["result"]["turn"]["turn"] == 2


async def test_the_end_of_the_conversation_is_told_to_who_waits(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as first, daemon.client() as second:
        assert (await first.ask("say", text="This is a rather long text.", wait=False))["ok"]
        await speaking(daemon)
        second.send("ask", text="Who?")
        daemon.ports["local"].end()
        assert (await second.answer())["error"] == "the conversation ended before that was spoken."
        assert (await second.ask("status"))["ok"]


async def test_too_many_clients(tmp_path: Path) -> None:
    async with serving(tmp_path, ControlSettings(most_clients=1)) as daemon, daemon.client() as first:
        assert (await first.ask("status"))["ok"]
        async with daemon.client() as second:
            assert "too many programs" in (await second.answer())["error"]
            assert await second.is_hung_up()
        assert (await first.ask("status"))["ok"]


async def test_too_many_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, ControlSettings(requests_per_s=2)) as daemon, daemon.client() as client:
        for _ in range(50):
            client.send("status")
        answers = []
        with contextlib.suppress(ConnectionResetError, json.JSONDecodeError):
            while True:
                answers.append(await client.answer())
        assert len(answers) < 50
        assert answers[-1]["error"] == "these were too many requests in a second."


async def test_who_asks_nothing_is_disconnected(tmp_path: Path) -> None:
    async with serving(tmp_path, ControlSettings(idle_s=0.05)) as daemon, daemon.client() as client:
        async with asyncio.timeout(PATIENCE_S):
            assert await client.is_hung_up()


async def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        client.writer.write(b"x" * (LONGEST_LINE * 2))
        assert "the line is longer than" in (await client.answer())["error"]
        assert await client.is_hung_up()


async def test_the_last_line_needs_no_end_and_its_answer_comes_to_who_has_stopped_writing(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, daemon.client() as client:
        client.writer.write(b'{"request": "sessions"}')
        client.writer.write_eof()
        assert (await client.answer())["ok"]
        assert await client.is_hung_up()


async def test_who_changed_something_is_logged_and_no_text_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voicebot")
    async with serving(tmp_path) as daemon, daemon.client() as client:
        await client.ask("status")
        await client.ask("mute")
        await client.ask("say", text="secret", wait=False)
    who = f"process {os.getpid()} of user {os.getuid()}"
    assert [record.message for record in caplog.records] == [f"{who} asks for mute", f"{who} asks for say"]


async def test_owner_and_group_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "run") as daemon:
        assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o660
        assert stat.S_IMODE(daemon.path.parent.stat().st_mode) == 0o750
    assert not daemon.path.exists()


async def test_without_a_place_the_daemon_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as daemon:
        (tmp_path / "file").write_text("")
        other = type(daemon.control)(ControlSettings(), daemon.service, tmp_path / "file/control.sock", daemon.reload)
        await other.run()
    assert "there is no control socket at" in caplog.text


KEYS = ["request", "schema", "text", "session", "wait", "percent"]
WORDS = ["status", "sessions", "events", "stop", "mute", "volume", "say", "ask", "reload"]
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS)
NEARLY_REQUESTS = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=5),
    st.recursive(ANYTHING, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)),
    max_size=6,
).map(lambda value: json.dumps(value).encode())


@given(st.binary(max_size=300) | NEARLY_REQUESTS)
@settings(max_examples=300)
def test_whatever_is_sent_is_a_request_or_one_sentence(line: bytes) -> None:
    with contextlib.suppress(UsageError):
        assert parse_request(line).request in {*WORDS, "unmute"}
        return
    with pytest.raises(UsageError, match=r"^this is no request: (?s:.{,310})$"):
        parse_request(line)


@given(st.lists(st.binary(max_size=100) | NEARLY_REQUESTS, max_size=30))
@settings(max_examples=20)
def test_every_line_has_one_for_an_answer(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    sent = b"\n".join([b"", *(line for line in lines if b"events" not in line), b"{}"])

    async def main() -> None:
        async with (
            serving(tmp_path_factory.mktemp("run"), ControlSettings(requests_per_s=1000), ()) as daemon,
            daemon.client() as client,
        ):
            client.writer.write(sent)
            client.writer.write_eof()
            answers = [json.loads(line) for line in (await client.reader.read()).splitlines()]
            assert len(answers) == sent.count(b"\n") + 1
            assert all(answer["schema"] == 1 for answer in answers)

    asyncio.run(main())

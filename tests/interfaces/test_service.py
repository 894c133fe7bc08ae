"""What interfaces can ask of the running assistant, over a scripted conversation in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK
from voicebot.audio import samples_from_ms
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import run_virtual
from voicebot.config.box import SessionSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel, hum
from voicebot.errors import UsageError
from voicebot.events import Event, FramesDropped, StateChanged, TurnEnded, TurnEnergy, WorkerChanged
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import NoSuchSessionError, Service, TooManySessionsError
from voicebot.interfaces.watchers import Watchers
from voicebot.pipeline.prompts import BusyError
from voicebot.turn.table import State

REPLY = "First of all, this is a reply. It has a second sentence."


def service(folder: Path, **limits: int) -> Service:
    stages = scripted_stages(CLOCK, slm=ScriptedModel(lambda _: REPLY))
    kept = KeptState(folder / "switched.json")
    return Service(stages, SCRIPTED, SessionSettings(**limits), Watchers(), kept)


def during(folder: Path, script: Callable[..., Coroutine[Any, Any, None]], **limits: int) -> list[Event]:
    """Run a script while a session is open; return what was told meanwhile."""
    events: list[Event] = []

    async def main() -> None:
        running = service(folder, **limits)
        running.watch(events.append)
        port = ReplayPort(CLOCK, record=True)
        async with running.open_session("local", port):
            await CLOCK.sleep_s(0.5)
            await (script(running, port) if len(signature(script).parameters) == 2 else script(running))
        assert running.sessions == {}

    run_virtual(main())
    return events


async def until(running: Service, state: State) -> None:
    while running.sessions["local"].state is not state:
        await CLOCK.sleep_s(0.01)


def test_a_text_is_said_and_another_is_answered(tmp_path: Path) -> None:
    async def script(running: Service) -> None:
        assert (await running.say("**Dinner** is\nready.")).heard == "Dinner is ready."
        turn = await running.ask("  What\tis it? ", "local")
        assert (turn.user, turn.reply) == ("What is it?", REPLY)
        status = running.status()
        assert (status["turns"], status["last_turn"]["reply"]) == (2, REPLY)
        assert status["last_turn"]["voice_to_voice_ms"] > 0
        always = {"attentive": True, "attentive_s": None}
        assert status["sessions"]["local"] == {"state": "idle", **always, "exchanges": 1, "dropped_frames": 0}

    events = during(tmp_path, script)
    assert [event.source for event in events if isinstance(event, TurnEnded)] == ["say", "slm"]
    last = events[-1]
    assert isinstance(last, StateChanged)
    assert (last.session, last.state) == ("local", "closed")


@pytest.mark.parametrize(
    ("text", "why"), [("", "empty"), (" \x00\n", "empty"), ("x" * 21, "20 are the most"), ("()", "nothing to say")]
)
def test_a_text_that_can_not_be_said_is_refused(tmp_path: Path, text: str, why: str) -> None:
    async def script(running: Service) -> None:
        with pytest.raises(UsageError, match=why):
            await running.say(text)

    during(tmp_path, script, longest_text=20)


def test_a_reply_is_stopped_and_only_a_reply(tmp_path: Path) -> None:
    async def script(running: Service) -> None:
        assert running.stop() == 0
        said = asyncio.ensure_future(running.say(REPLY * 5))
        await until(running, State.SPEAKING)
        assert running.stop("local") == 1
        assert (await said).interrupted
        with pytest.raises(NoSuchSessionError, match="known: local"):
            running.stop("kitchen")

    during(tmp_path, script)


def test_a_muted_microphone_hears_nothing_and_stays_so(tmp_path: Path) -> None:
    async def script(running: Service, port: ReplayPort) -> None:
        port.say(hum(samples_from_ms(1000)))
        await until(running, State.LISTENING)
        running.mute(muted=True)
        assert running.sessions["local"].state is State.IDLE  # what was being said is forgotten
        await CLOCK.sleep_s(2)
        port.say(hum(samples_from_ms(1000)))
        await CLOCK.sleep_s(3)
        assert running.status()["turns"] == 0
        assert (await running.say("I can still speak.")).heard == "I can still speak."
        assert service(tmp_path).muted
        running.mute(muted=False)
        assert not service(tmp_path).muted
        port.say(hum(samples_from_ms(1000)))
        await until(running, State.SPEAKING)

    told = [event.state for event in during(tmp_path, script) if isinstance(event, StateChanged) and not event.session]
    assert told == ["muted", "unmuted"]


def test_a_session_opened_while_muted_hears_nothing(tmp_path: Path) -> None:
    service(tmp_path).mute(muted=True)

    async def script(running: Service, port: ReplayPort) -> None:
        port.say(hum(samples_from_ms(1000)))
        await CLOCK.sleep_s(3)
        assert running.status()["turns"] == 0

    during(tmp_path, script)


def test_the_volume_is_that_of_what_is_played_and_kept(tmp_path: Path) -> None:
    async def script(running: Service, port: ReplayPort) -> None:
        peaks = []
        for percent in (100, 25, 0):
            running.set_volume(percent)
            await CLOCK.sleep_s(0.1)
            begun = port.now_sample()
            await running.say("Some words.")
            peaks.append(int(abs(port.recording()[1][begun:].astype(int)).max()))
        assert peaks[1] == pytest.approx(peaks[0] / 4, rel=0.02)
        assert peaks[2] == 0
        with pytest.raises(UsageError, match="0 to 100"):
            running.set_volume(101)
        assert service(tmp_path).volume == 0

    during(tmp_path, script)


def test_there_are_no_more_sessions_than_allowed_and_names_differ(tmp_path: Path) -> None:
    async def main() -> None:
        running = service(tmp_path, most=2)
        with pytest.raises(NoSuchSessionError, match="no session is open"):
            await running.say("Hello.")
        async with running.open_session("kitchen", ReplayPort(CLOCK)):
            async with running.open_session("kitchen", ReplayPort(CLOCK)):
                assert list(running.sessions) == ["kitchen", "kitchen-2"]
                with pytest.raises(TooManySessionsError, match="2 conversations"):
                    async with running.open_session("hall", ReplayPort(CLOCK)):
                        pass
            async with running.open_session("a/../b c", ReplayPort(CLOCK)):
                assert list(running.sessions) == ["kitchen", "a-..-b-c"]

    run_virtual(main())


def test_the_status_tells_of_workers_losses_energy_and_of_the_interfaces(tmp_path: Path) -> None:
    async def script(running: Service) -> None:
        running.describe("mqtt", lambda: {"connected": True})
        await running.ask("What is it?")
        tell = running._watchers
        tell(WorkerChanged("asr", "ready", 7, ""))
        tell(WorkerChanged("asr", "died", None, "killed"))
        tell(WorkerChanged("asr", "loading", 8, ""))
        tell(FramesDropped("local", 3))
        tell(TurnEnergy("local", 1, 4.567, measured=False))
        status = json.loads(json.dumps(running.status()))
        assert status["workers"] == {"asr": {"state": "loading", "pid": 8, "deaths": 1}}
        assert status["sessions"]["local"]["dropped_frames"] == 3
        assert status["last_turn"]["energy_j"] == 4.57
        assert status["mqtt"] == {"connected": True}

    during(tmp_path, script)


def test_what_has_ended_is_in_the_status_no_longer(tmp_path: Path) -> None:
    async def script(running: Service) -> None:
        end_old = running.describe("web", lambda: {"address": "old"})
        end_new = running.describe("web", lambda: {"address": "new"})
        end_old()
        assert running.status()["web"] == {"address": "new"}
        end_new()
        end_new()
        assert "web" not in running.status()

    during(tmp_path, script)


def test_a_text_waits_no_longer_than_it_is_told_to(tmp_path: Path) -> None:
    async def script(running: Service, port: ReplayPort) -> None:
        port.say(hum(samples_from_ms(20_000)))
        await until(running, State.LISTENING)
        for prompt in (running.say, running.ask):
            with pytest.raises(BusyError, match="talked for 2 s"):
                await prompt("Dinner is ready.")

    during(tmp_path, script, longest_wait_s=2)


def test_a_watcher_that_fails_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Event) -> None:
        raise ValueError(f"a defect at {event}")

    async def script(running: Service) -> None:
        running.watch(fail)
        seen: list[Event] = []
        unwatch = running.watch(seen.append)
        assert (await running.say("Words.")).heard == "Words."
        assert seen
        unwatch()
        unwatch()
        seen.clear()
        await running.say("Words.")
        assert seen == []

    during(tmp_path, script)
    assert "an observer failed at StateChanged" in caplog.text


def test_who_begins_to_watch_is_told_how_the_workers_are() -> None:
    watchers, told = Watchers(), list[Event]()
    for event in (WorkerChanged("asr", "loading", 7, ""), WorkerChanged("asr", "ready", 7, "")):
        watchers(event)
    watchers.watch(told.append)
    assert told == [WorkerChanged("asr", "ready", 7, "")]


@pytest.mark.parametrize(
    "content", ["", "{", '{"muted": 1}', '{"muted": false, "more": 1}', '{"volume": 101}', "[" * 3000, "\0" * 9]
)
def test_switches_that_can_not_be_read_leave_the_microphone_off(tmp_path: Path, content: str) -> None:
    file = tmp_path / "switched.json"
    file.write_text(content)
    assert KeptState(file).muted
    KeptState(file).set_muted(muted=False)
    assert not KeptState(file).muted


def test_switches_that_can_not_be_written_are_said_so_and_hold_until_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("")
    kept = KeptState(tmp_path / "a file" / "switched.json")
    kept.set_volume(30)
    assert kept.volume == 30
    assert "will be forgotten" in caplog.text

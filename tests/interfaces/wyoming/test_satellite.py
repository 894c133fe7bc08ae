"""Conversations with satellites, over loopback and in real time."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from wyoming.pipeline import PipelineStage

from tests.interfaces.wyoming.fake_satellite import FakeSatellite
from tests.interfaces.wyoming.serving import PATIENCE_S, serving, until
from tests.virtual_conversation import CLOCK, understood
from tests.voice import ReadableSynthesizer, spoken, written
from voicebot.config.box import SessionSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer
from voicebot.events import Interrupted, TurnEnded
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.pipeline.stages import Stages

MS_PER_LETTER = 30
LONG = "this is a long answer, and somebody has something to say before all of it was heard."


def answer(messages: tuple[Message, ...]) -> str:
    asked = messages[-1].content.split()[-1]
    return LONG if asked == "long" else f"and so is {asked}."


def stages() -> Stages:
    tts = ReadableSynthesizer(ms_per_letter=MS_PER_LETTER, pace=Pace(20), piece_ms=300)
    return scripted_stages(CLOCK, ScriptedRecognizer(understood, Pace(20)), ScriptedModel(answer, Pace(20, 1)), tts)


@asynccontextmanager
async def _all(satellites: list[FakeSatellite]) -> AsyncGenerator[None, None]:
    async with AsyncExitStack() as entered:
        for each in satellites:
            await entered.enter_async_context(each)
        yield


class Turns:
    """The turns of all sessions as they end."""

    def __init__(self, service: Service) -> None:
        self.of: dict[str, list[TurnEnded]] = {}
        self.interruptions = 0
        service.watch(self._note)

    def _note(self, event: object) -> None:
        if isinstance(event, TurnEnded):
            self.of.setdefault(event.session, []).append(event)
        self.interruptions += isinstance(event, Interrupted)

    def count(self, session: str) -> int:
        return len(self.of.get(session, []))


@asynccontextmanager
async def talking(
    kept: KeptState, *satellites: FakeSatellite, **settings: Any
) -> AsyncGenerator[tuple[Service, Turns, list[str]], None]:
    """Run the server with satellites; gives the names of their sessions, which are open."""
    addresses = tuple(each.address for each in satellites)
    async with serving(kept, stages(), satellites=addresses, **settings) as running:
        status = running.server.status
        await until(lambda: all(each["connected"] for each in status()["satellites"].values()))
        await CLOCK.sleep_s(0.5)  # the quiet room, so that what is louder is a voice
        names = [status()["satellites"][address]["session"] for address in addresses]
        yield running.service, Turns(running.service), names


async def test_a_satellite_holds_five_turns_with_one_interruption(kept: KeptState) -> None:
    async with FakeSatellite() as satellite, talking(kept, satellite) as (_, turns, (name,)):
        for number, word in enumerate(("one", "two"), 1):
            satellite.say(spoken(f"tell me {word}"))
            await until(lambda number=number: turns.count(name) == number)  # type: ignore[misc]
        before = len(satellite.loudspeaker)
        satellite.say(spoken("tell me long"))
        await until(lambda: len(satellite.loudspeaker) > before + 8000)
        satellite.say(spoken("no wait tell me four"))
        await until(lambda: turns.count(name) == 3)
        interrupted_at = len(satellite.loudspeaker)
        await until(lambda: turns.count(name) == 4)
        satellite.say(spoken("tell me five"))
        await until(lambda: turns.count(name) == 5)
        await until(lambda: satellite.count("audio-stop") >= 4)

        found = turns.of[name]
        assert [turn.user for turn in found] == [
            *("tell me one", "tell me two", "tell me long", "no wait tell me four", "tell me five"),
        ]
        assert [turn.interrupted for turn in found] == [False, False, True, False, False]
        assert [turn.heard for turn in found if not turn.interrupted] == [
            *("and so is one.", "and so is two.", "and so is four.", "and so is five."),
        ]
        assert satellite.texts("transcript") == [turn.user for turn in found]
        assert satellite.count("voice-started") >= 5
        # What the loudspeaker got of the reply that was stopped is what the history knows, to the next word's end.
        heard, played = found[2].heard, written(satellite.loudspeaker[before:interrupted_at])
        assert 0 < len(heard) < len(LONG)
        assert LONG.startswith(heard)
        words_played = len(played.split())
        assert len(heard.split()) <= words_played <= len(heard.split()) + 2


async def test_eight_satellites_hold_their_conversations_at_once(kept: KeptState) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]

    async def talk(satellite: FakeSatellite, name: str, word: str, turns: Turns) -> None:
        for number in range(3):
            satellite.say(spoken(f"tell me {word}"))
            await until(lambda number=number: turns.count(name) > number)  # type: ignore[misc]

    satellites = [FakeSatellite() for _ in words]
    async with _all(satellites), talking(kept, *satellites) as (service, turns, names):
        assert len(set(names)) == 8 == len(service.sessions)
        async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as group:
            for satellite, name, word in zip(satellites, names, words, strict=True):
                group.create_task(talk(satellite, name, word, turns))
        for satellite, name, word in zip(satellites, names, words, strict=True):
            assert [(turn.user, turn.heard) for turn in turns.of[name]] == [
                (f"tell me {word}", f"and so is {word}.")
            ] * 3
            assert set(written(satellite.loudspeaker).split(".")) - {""} <= {f"and so is {word}", f" and so is {word}"}
    assert service.sessions == {}


async def test_it_is_connected_to_again_when_it_comes_back(
    kept: KeptState, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.interfaces.wyoming.satellite._FIRST_WAIT_S", 0.05)
    caplog.set_level(logging.WARNING, "voicebot")
    async with FakeSatellite() as satellite, talking(kept, satellite) as (service, turns, (name,)):
        for number in range(3):
            satellite.disconnect()
            await until(lambda number=number: satellite.connections > number + 1)  # type: ignore[misc]
            await until(lambda: name in service.sessions)
        await CLOCK.sleep_s(0.5)
        satellite.say(spoken("tell me one"))
        await until(lambda: turns.count(name) == 1)
        status = service.status()["wyoming"]["satellites"][satellite.address]
        assert status == {"connected": True, "session": name, "connections": 4}
    assert len(caplog.messages) == 1  # one line, and not one for each time
    assert satellite.address in caplog.messages[0]


async def test_one_that_is_not_there_harms_nobody(kept: KeptState) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unused = closed.getsockname()[1]
    async with FakeSatellite() as there, serving(kept, satellites=(f"127.0.0.1:{unused}", there.address)) as running:
        satellites = running.server.status()["satellites"]
        await until(lambda: running.server.status()["satellites"][there.address]["connected"])
        assert satellites[f"127.0.0.1:{unused}"]["connected"] is False
        assert len(running.service.sessions) == 1


async def test_a_satellite_for_which_there_is_no_room_is_left_alone(
    kept: KeptState, caplog: pytest.LogCaptureFixture
) -> None:
    satellites = [FakeSatellite(), FakeSatellite()]
    async with _all(satellites):
        addresses = tuple(each.address for each in satellites)
        async with serving(kept, satellites=addresses, sessions=SessionSettings(most=1)) as running:
            await until(lambda: all(each.connections for each in satellites))
            await until(lambda: len(running.service.sessions) == 1)
            await until(lambda: any("sessions.most" in line for line in caplog.messages))


async def test_the_wake_word_stops_a_reply(kept: KeptState) -> None:
    async with FakeSatellite(PipelineStage.ASR) as satellite, talking(kept, satellite) as (_, turns, (name,)):
        satellite.say(spoken("tell me long"))
        await until(lambda: len(satellite.loudspeaker) > 8000)
        satellite.wake()
        await until(lambda: turns.count(name) == 1)
        (turn,) = turns.of[name]
        assert turn.interrupted
        assert 0 < len(turn.heard) < len(LONG)
        assert turns.interruptions == 0


async def test_what_a_satellite_sends_that_is_nonsense_ends_its_session_alone(
    kept: KeptState, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeSatellite() as good, FakeSatellite() as bad, talking(kept, good, bad) as (service, turns, names):
        bad.send(b'{"type": "audio-chunk", "data": {"rate": 1}}\n')
        await until(lambda: names[1] not in service.sessions)
        good.say(spoken("tell me one"))
        await until(lambda: turns.count(names[0]) == 1)
    assert any("audio has a rate" in line for line in caplog.messages)


async def test_a_ping_is_answered(kept: KeptState) -> None:
    async with FakeSatellite() as satellite, talking(kept, satellite):
        satellite.send(b'{"type": "ping", "data": {"text": "hello"}}\n')
        await until(lambda: satellite.texts("pong") == ["hello"])

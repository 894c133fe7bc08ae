"""Talking through a browser: its frames and its time, a whole conversation over the socket, and nonsense."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interfaces.web.browser import Browser
from tests.interfaces.web.scene import REPLY, serving, until
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK, stretches, tasks_left
from voicebot.audio import FRAME_SAMPLES, Pcm, samples_from_ms
from voicebot.audio_io.playback import Played
from voicebot.clock import run_virtual
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import Event, ReplyAudible, TurnEnded
from voicebot.interfaces.web.microphone import FRAME_BYTES, BrowserPort, ProtocolError
from voicebot.pipeline.session import Session

FRAME_S: Final = 0.02


def message(number: int, played: int = 0, level: int = 7) -> bytes:
    return struct.pack("<II", number % 2**32, played % 2**32) + np.full(FRAME_SAMPLES, level, "<i2").tobytes()


def with_port(script: Callable[[BrowserPort], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with BrowserPort(CLOCK) as port:
            await script(port)

    run_virtual(main())


def test_frames_are_what_was_sent_one_after_the_other() -> None:
    async def script(port: BrowserPort) -> None:
        for number in range(3):
            await CLOCK.sleep_s(FRAME_S)
            port.take(message(number, level=number))
            frame = await port.next_frame()
            assert frame is not None
            assert (frame.start_sample, frame.gap, set(frame.pcm.tolist())) == (number * FRAME_SAMPLES, False, {number})
            assert port.now_sample() == frame.end_sample
        port.end()
        assert await port.next_frame() is None
        assert port.dropped_frames == 0

    with_port(script)


def test_a_frame_that_is_missing_is_marked_silence() -> None:
    async def script(port: BrowserPort) -> None:
        port.take(message(0))
        port.take(message(3))
        frames = [await port.next_frame() for _ in range(4)]
        assert [frame is not None and frame.gap for frame in frames] == [False, True, True, False]
        assert port.dropped_frames == 2

    with_port(script)


def test_of_frames_that_nobody_takes_the_oldest_are_lost() -> None:
    async def script(port: BrowserPort) -> None:
        for number in range(60):
            port.take(message(number))
        frames = [await port.next_frame() for _ in range(60)]
        assert [frame is not None and frame.gap for frame in frames] == [True] * 10 + [False] * 50

    with_port(script)


@pytest.mark.parametrize("second", [0, -1, 1 << 31, 251])
def test_frames_that_are_out_of_order_or_too_many_are_refused(second: int) -> None:
    async def script(port: BrowserPort) -> None:
        port.take(message(0))
        with pytest.raises(ProtocolError):
            port.take(message(second))

    with_port(script)


def test_the_clock_of_a_browser_may_be_another_one() -> None:
    async def script(port: BrowserPort) -> None:
        for number in range(30_000):  # ten minutes, at 0.1 % more than they should be
            await CLOCK.sleep_s(FRAME_S / 1.001)
            port.take(message(number))
            await port.next_frame()
        assert port.dropped_frames == 0
        assert abs(port.now_sample() - 30_000 * FRAME_SAMPLES) < FRAME_SAMPLES

    with_port(script)


def test_a_network_that_stalls_does_not_move_the_time_of_what_was_said() -> None:
    async def script(port: BrowserPort) -> None:
        for number in range(100):
            late_s = 0.18 if 40 <= number < 49 else 0.0  # they come together, when the ninth has been spoken
            await CLOCK.sleep_s(number * FRAME_S + FRAME_S + late_s - CLOCK.now_s())
            port.take(message(number))
            frame = await port.next_frame()
            assert frame is not None
            assert (frame.start_sample, frame.gap) == (number * FRAME_SAMPLES, False)
        assert abs(port.now_sample() - 100 * FRAME_SAMPLES) < samples_from_ms(10)

    with_port(script)


def test_what_is_sent_is_paced_and_not_far_ahead() -> None:
    async def script(port: BrowserPort) -> None:
        sent: list[float] = []

        async def send(pcm: bytes) -> None:
            assert len(pcm) == 2 * FRAME_SAMPLES
            sent.append(CLOCK.now_s())
            await CLOCK.sleep_s(0.5 if len(sent) == 30 else 0.0)  # the network stalls once

        began_s = CLOCK.now_s()
        playing = asyncio.create_task(port.play(send))
        await CLOCK.sleep_s(2)
        playing.cancel()
        for count, at_s in enumerate(sent, 1):
            assert count * FRAME_S <= at_s - began_s + 0.0801, "80 ms ahead at most"
        assert len(sent) in range(int((2 - 0.5) / FRAME_S), int((2 - 0.5 + 0.16) / FRAME_S) + 1), "nothing made up for"

    with_port(script)


class Wire:
    """Hands over what it is given, as late as it is told, and in order."""

    def __init__(self, delay_ms: Callable[[], float], take: Callable[[bytes], None]) -> None:
        self._delay_ms, self._take, self._last_s = delay_ms, take, 0.0

    def send(self, data: bytes) -> None:
        self._last_s = max(self._last_s + 1e-4, CLOCK.now_s() + self._delay_ms() / 1000)
        asyncio.get_running_loop().call_at(self._last_s, self._take, data)


def conversation_with(delay_ms: Callable[[], float], say: Pcm) -> tuple[Browser, list[Event], list[Played]]:
    """Talk to a session over a network that delays each message, in both directions, as it is told; 8 s."""
    browser, events, played = Browser(), list[Event](), list[Played]()

    async def main() -> None:
        stages = scripted_stages(CLOCK, ScriptedRecognizer(lambda _: "what is it"), ScriptedModel(lambda _: REPLY))
        async with BrowserPort(CLOCK) as port:
            session = Session("browser", port, stages, SCRIPTED, events.append)
            port.playback.subscribe(played.extend)
            down, up = Wire(delay_ms, browser.receive), Wire(delay_ms, port.take)

            async def send(pcm: bytes) -> None:
                down.send(pcm)

            running = [asyncio.create_task(session.run()), asyncio.create_task(port.play(send))]
            await CLOCK.sleep_s(0.1)
            browser.say(say)
            due_s = CLOCK.now_s()
            for _ in range(400):
                due_s += FRAME_S
                await CLOCK.sleep_s(due_s - CLOCK.now_s())
                up.send(browser.tick())
            await CLOCK.sleep_s(1)
            port.end()
            await running[0]
            running[1].cancel()
            await asyncio.wait(running)
        assert tasks_left() == set()

    run_virtual(main())
    return browser, events, played


@pytest.mark.parametrize("delay_ms", [0, 15, 90])
def test_where_the_reply_was_heard_is_known(delay_ms: float) -> None:
    browser, events, played = conversation_with(lambda: delay_ms, hum(samples_from_ms(900)))
    (turn,) = [event for event in events if isinstance(event, TurnEnded)]
    (audible,) = [event for event in events if isinstance(event, ReplyAudible)]
    assert (turn.user, turn.heard, turn.error) == ("what is it", REPLY, None)
    begin, end = stretches(browser.speaker(), gap_ms=200)[0]
    assert abs(audible.at_sample - begin) <= FRAME_SAMPLES
    last = [stretch for stretch in played if stretch.audible_sample is not None][-1]
    assert abs(last.start_sample + last.samples - end) <= FRAME_SAMPLES


def test_a_jittery_network_costs_no_word() -> None:
    delays = np.random.default_rng(4)
    browser, events, _ = conversation_with(lambda: delays.uniform(0, 35), hum(samples_from_ms(900)))
    (turn,) = [event for event in events if isinstance(event, TurnEnded)]
    assert turn.heard == REPLY
    audible_ms = sum(end - begin for begin, end in stretches(browser.speaker())) / 16
    assert abs(audible_ms - 60 * len(REPLY)) < 20


async def talk(socket: ClientWebSocketResponse, browser: Browser, until_heard: Callable[[], bool]) -> None:
    """Be the browser in real time until something has happened."""
    loop = asyncio.get_running_loop()

    async def listen() -> None:
        async for answer in socket:
            browser.receive(answer.data)

    listening = asyncio.create_task(listen())
    due_s = loop.time()
    async with asyncio.timeout(60):
        while not until_heard():
            due_s = max(due_s + FRAME_S, loop.time() - 0.2)
            await asyncio.sleep(due_s - loop.time())
            await socket.send_bytes(browser.tick())
    listening.cancel()
    await asyncio.wait([listening])


async def test_a_conversation_over_the_socket(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        turns: list[TurnEnded] = []
        browser = Browser()
        question = hum(samples_from_ms(700))

        def note(event: Event) -> None:
            if isinstance(event, TurnEnded):
                turns.append(event)
                browser.say(question)

        scene.service.watch(note)
        browser.say(question)
        socket = await scene.browser.ws_connect(f"{scene.url}/api/microphone")
        assert await socket.receive_json() == {"session": "browser", "frame_samples": FRAME_SAMPLES}
        assert scene.web.status()["microphones"] == 1
        await talk(socket, browser, lambda: len(turns) == 2)
        assert [(turn.session, turn.user, turn.heard) for turn in turns] == [
            ("browser", "what is the capital of france", REPLY)
        ] * 2
        audible_ms = sum(end - begin for begin, end in stretches(browser.speaker())) / 16
        assert 0 <= 2 * 30 * len(REPLY) - audible_ms < 250, "but for the end of the last one, which it did not wait for"
        await socket.close()
        await until(lambda: set(scene.service.sessions) == {"local"})
        assert scene.web.status()["microphones"] == 0


async def test_there_are_only_so_many_conversations(tmp_path: Path) -> None:
    async with serving(tmp_path, most_sessions=2) as scene:
        first = await scene.browser.ws_connect(f"{scene.url}/api/microphone")
        await until(lambda: len(scene.service.sessions) == 2)
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        answer = await scene.get("/api/microphone", **handshake, **{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
        assert (answer.status, "sessions.most" in (await answer.json())["error"]) == (503, True)
        assert (await scene.get("/api/microphone")).status == 400
        await first.close()
        await until(lambda: len(scene.service.sessions) == 1)


MESSAGES: Final = st.one_of(
    st.text(max_size=100),
    st.binary(max_size=2 * FRAME_BYTES),
    st.builds(message, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.builds(message, st.integers(0, 20), st.just(0)),
)


@given(st.lists(MESSAGES, max_size=30))
def test_a_port_takes_a_message_or_refuses_it(messages: list[str | bytes]) -> None:
    async def script(port: BrowserPort) -> None:
        taken = 0
        for each in messages:
            try:
                port.take(each if isinstance(each, bytes) else each.encode())
            except ProtocolError:
                continue
            taken += 1
        await CLOCK.sleep_s(1)
        assert (port.now_sample() > 0) == (taken > 0)
        assert port._delay_samples >= 0

    with_port(script)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
def test_nonsense_ends_a_conversation_and_harms_nobody(tmp_path: Path, messages: list[str | bytes]) -> None:
    async def main() -> None:
        async with serving(tmp_path) as scene:
            socket = await scene.browser.ws_connect(f"{scene.url}/api/microphone")
            for each in [*messages, "an end"]:
                await (socket.send_str(each) if isinstance(each, str) else socket.send_bytes(each))
            while (await socket.receive(60)).type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                pass
            assert socket.close_code in {1003, 1008, 1009}
            await until(lambda: set(scene.service.sessions) == {"local"})
            assert (await scene.get("/healthz")).status == 200

    asyncio.run(main())

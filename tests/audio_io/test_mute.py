"""A muted microphone gives silence in place of what it hears, frame by frame."""

from __future__ import annotations

import asyncio

import numpy as np

from voicebot.audio import FRAME_SAMPLES, Frame, samples_from_ms
from voicebot.audio_io.mute import MutablePort
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock, run_virtual
from voicebot.engines.scripted import hum


def test_frames_are_silent_while_muted_and_the_timeline_goes_on() -> None:
    async def main() -> None:
        inner = ReplayPort(LoopClock())
        inner.say(hum(samples_from_ms(200)))
        port = MutablePort(inner, muted=True)
        loud = []
        async with port:
            for number in range(6):
                port.muted = number < 3
                frame = await port.next_frame()
                assert frame is not None
                assert (frame.start_sample, frame.gap) == (number * FRAME_SAMPLES, False)
                loud.append(bool(np.any(frame.pcm)))
            assert (port.now_sample(), port.dropped_frames) == (inner.now_sample(), inner.dropped_frames)
            assert port.playback is inner.playback
            inner.end()
            await asyncio.sleep(1)
            while await port.next_frame() is not None:
                pass
        assert loud == [False, False, False, True, True, True]

    run_virtual(main())


def test_a_tap_is_shown_what_the_session_gets() -> None:
    async def main() -> None:
        inner = ReplayPort(LoopClock())
        inner.say(hum(samples_from_ms(200)))
        port = MutablePort(inner, muted=True)
        shown: list[Frame] = []
        async with port:
            await port.next_frame()
            port.tap = shown.append
            taken = [await port.next_frame() for _ in range(2)]
            port.muted = False
            taken.append(await port.next_frame())
            inner.end()
            assert await port.next_frame() is None
            assert shown == taken
            assert [bool(np.any(frame.pcm)) for frame in shown] == [False, False, True]

    run_virtual(main())

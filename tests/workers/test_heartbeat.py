"""A worker that hangs while nobody asks for anything is found and replaced all the same."""

from __future__ import annotations

import signal

import pytest

from tests.workers.rig import order, serving

pytestmark = pytest.mark.usefixtures("_nothing_left")


@pytest.mark.parametrize("stage", ["asr", "slm", "tts", "turn"])
async def test_a_worker_that_hangs_in_silence_is_replaced(stage: str) -> None:
    async with serving(order(stage), heartbeat_s=0.02, request_timeout_s=0.5) as rig:
        hung = rig.pid
        rig.signal(signal.SIGSTOP)
        await rig.until(lambda: rig.states[-1] == "ready" and rig.pid != hung)
        died = next(event for event in rig.reported if event.state == "died")
        assert (died.pid, died.reason) == (hung, "signal 9")


async def test_a_worker_that_lives_is_left_alone_and_answers_between_the_beats() -> None:
    async with serving(heartbeat_s=0.001) as rig:
        lived = rig.pid
        for _ in range(20):
            assert await rig.texts("a") == ["You", " said:", " a."]
        assert rig.pid == lived
        assert rig.states == ["loading", "ready"]

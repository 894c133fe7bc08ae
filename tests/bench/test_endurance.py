"""A long conversation: all of it takes place, nothing is kept, and what is left behind is found."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.bench.endless_talk import ForgetfulModel, hummed, reply_to, words_for
from voicebot.bench.endurance import Endurance, Losses, StrictPort, endure_virtually
from voicebot.bench.growth import failures
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings, load_settings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import ScriptedRecognizer, hum
from voicebot.interfaces.watchers import Watchers


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("scripted", "voicebot")


def test_everything_happens_in_it_and_nothing_is_left_behind(settings: Settings) -> None:
    run, _ = endure_virtually(settings, 0.3, seed=1, samples=20)
    result = run.result()
    events = result["events"]
    assert 40 < events["turns"] < 90
    assert events["interrupted"] >= 5
    assert events["resumed"] >= 1
    assert (events.get("failed", 0), events.get("deaths", 0), result["error"]) == (0, 0, "")
    assert result["lost"] == {"dropped_frames": 0, "late_frames": 0, "latest_ms": 0}
    assert failures(result, limit_mb=100) == []  # so short a run says little about memory
    assert len(run.samples) == pytest.approx(21, abs=1)
    assert run.samples[-1].hours == pytest.approx(0.3, abs=0.05)
    assert result["floor"]["descriptors"][0] > 0


def test_the_same_seed_has_the_same_conversation(settings: Settings) -> None:
    one, other, different = (endure_virtually(settings, 0.05, seed, samples=2)[0].counts for seed in (1, 1, 2))
    assert one.events == other.events
    assert one.events != different.events


def test_a_task_that_each_turn_leaves_behind_is_found(settings: Settings) -> None:
    async def converse() -> Endurance:
        left: list[asyncio.Task[object]] = []
        clock = LoopClock()

        def words(pcm: object) -> str:
            del pcm
            left.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
            return "And what is that"

        run = Endurance(0.1, clock, samples=16)
        stages = scripted_stages(clock, ScriptedRecognizer(words))
        talk = hummed(Random(1), (0.5, 1.0))  # noqa: S311 - no secret
        await run.run(settings, stages, Watchers(), talk)
        return run

    (sentence,) = failures(run_virtual(converse()).result(), limit_mb=100)
    assert "tasks in the second half" in sentence


def test_a_frame_that_is_taken_too_late_would_have_been_lost() -> None:
    losses = Losses()

    async def listen() -> int:
        async with StrictPort(LoopClock(), losses) as port:
            await port.next_frame()
            await asyncio.sleep(1.1)  # the 55 frames of it wait; a device keeps 50
            for _ in range(60):
                await port.next_frame()
            return port.dropped_frames

    assert run_virtual(listen()) == losses.dropped_frames == 4
    assert losses.late_frames == 51
    assert losses.latest_ms == pytest.approx(1080, abs=1)


def test_scripted_words_depend_on_nothing_but_the_length() -> None:
    assert words_for(hum(SAMPLE_RATE_HZ // 3)) == "mm-hm"
    assert words_for(hum(3 * SAMPLE_RATE_HZ)) == words_for(hum(3 * SAMPLE_RATE_HZ))
    assert words_for(hum(3 * SAMPLE_RATE_HZ)) != words_for(hum(3 * SAMPLE_RATE_HZ + 1))
    message = Message("user", "Is it the one")
    assert reply_to((message,)) == reply_to((message,))
    assert reply_to((message,)).endswith(".")


def test_a_model_that_is_asked_all_day_keeps_no_request(settings: Settings) -> None:
    model = ForgetfulModel(reply_to)

    async def converse() -> None:
        clock = LoopClock()
        talk = hummed(Random(1), (0.5, 1.0))  # noqa: S311 - no secret
        await Endurance(0.02, clock, samples=2).run(settings, scripted_stages(clock, slm=model), Watchers(), talk)

    run_virtual(converse())
    assert len(model.requests) <= 1
    assert model.prefills == []

"""All workers with their real models: they start, they answer, they are replaced, and nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import cast

import numpy as np
import psutil
import pytest

from voicebot.audio import level_dbfs
from voicebot.audio_io.wav import read_wav
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings, load_settings
from voicebot.config.pipeline import TurnModelSettings
from voicebot.daemon import open_stages, scripted_stages, workers
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import LoudnessDetector, ScriptedRecognizer, hum
from voicebot.engines.silero import SileroDetector
from voicebot.engines.webrtc_gate import WebRtcGate
from voicebot.errors import EngineError, ModelError
from voicebot.events import Event, WorkerChanged, ignore
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store
from voicebot.pipeline.stages import TurnModel
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor

FIXTURES = Path(__file__).parents[1] / "fixtures"
FRANCE = read_wav(FIXTURES / "conversation" / "01-capital-of-france.wav")
SENTENCE = read_wav(FIXTURES / "human" / "ps_something.wav")
QUESTION = (Message("system", "Answer in one short sentence."), Message("user", "What is the capital of France?"))
LONG_S = 60.0


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def turnless() -> Settings:
    """Scripted, and without a model for the end of a turn."""
    scripted = load_settings("scripted")
    return scripted.with_pipeline(scripted.pipeline.model_copy(update={"turn_model": TurnModelSettings(engine="none")}))


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert psutil.Process().children() == []


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path, load_catalogue(tmp_path))


class CarelessStore(Store):
    """Hands out something else for the language model."""

    def path(self, model_id: str) -> Path:
        path = super().path(model_id)
        return Path(__file__) if path.suffix == ".gguf" else path


async def hear(supervisor: Supervisor) -> str:
    return (await WorkerAsr(supervisor).transcribe(FRANCE)).text


async def reply(supervisor: Supervisor) -> str:
    async with aclosing(WorkerSlm(supervisor).generate(QUESTION, 20)) as stream:
        return "".join([text async for text in stream])


async def speak(supervisor: Supervisor) -> str:
    async with aclosing(WorkerTts(supervisor).synthesize("Paris.", first=True)) as stream:
        pcm = np.concatenate([speech.pcm async for speech in stream])
    return "Paris" if level_dbfs(pcm) > -35 else "silence"


async def judge(supervisor: Supervisor) -> str:
    turn = WorkerTurn(supervisor)
    whole, half = [(await turn.judge(SENTENCE[: len(SENTENCE) // parts])).probability for parts in (1, 2)]
    return "only the whole is finished" if whole > 0.5 > half else f"{whole}, {half}"


ASK = {"asr": hear, "slm": reply, "tts": speak, "turn": judge}
ANSWER = {
    "asr": "What is the capital of France?",
    "slm": "Paris",
    "tts": "Paris",
    "turn": "only the whole is finished",
}


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    async with asyncio.timeout(LONG_S):
        yield


async def test_a_worker_that_is_killed_is_ready_again(settings: Settings, store: Store) -> None:
    events: list[WorkerChanged] = []

    def observe(event: Event) -> None:
        events.append(cast("WorkerChanged", event))

    clock = LoopClock()
    async with in_time(), workers(settings, store, clock, observe) as running:
        assert {event.stage for event in events if event.state == "ready"} == set(ASK)
        sys.stdout.write("\n")
        for stage, supervisor in running.items():
            assert ANSWER[stage] in await ASK[stage](supervisor)
            pid, begun_s = supervisor.pid, clock.now_s()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while supervisor.pid == pid:  # noqa: ASYNC110 - the kernel sets no asyncio.Event
                await asyncio.sleep(0.001)
            await supervisor.ready()
            ready_s = clock.now_s() - begun_s
            assert ANSWER[stage] in await ASK[stage](supervisor)
            answered_s = clock.now_s() - begun_s
            sys.stdout.write(f"{stage}: killed, ready again after {ready_s:.2f} s, answered after {answered_s:.2f} s\n")
        assert [event.state for event in events if event.stage == "slm"] == [
            *("loading", "ready", "died"),
            *("loading", "ready"),
        ]
    assert [event.state for event in events[-4:]] == ["stopped"] * 4


async def test_an_engines_failure_costs_one_request(settings: Settings, store: Store) -> None:
    async with in_time(), workers(settings, store, LoopClock(), ignore, ("slm",)) as running:
        supervisor = running["slm"]
        pid = supervisor.pid
        with pytest.raises(EngineError, match="don't fit into a context"):
            await WorkerSlm(supervisor).prefill((Message("user", "again and " * 3000),))
        assert ANSWER["slm"] in await reply(supervisor)
        assert supervisor.pid == pid


async def test_a_cancel_reaches_the_running_computation(settings: Settings, store: Store) -> None:
    async with in_time(), workers(settings, store, LoopClock(), ignore, ("slm",)) as running:
        slm = WorkerSlm(running["slm"])
        long = (Message("user", "again and " * 200),)
        asking = asyncio.create_task(slm.prefill(long))
        await asyncio.sleep(0.1)  # of the seconds that it takes
        asking.cancel()
        await asyncio.wait([asking])
        assert await slm.prefill(long) > 100  # there is only one left to compute when the first has run to its end


async def test_the_stages_of_a_real_conversation(settings: Settings, store: Store) -> None:
    async with in_time(), open_stages(settings, store, LoopClock(), ignore) as stages:
        assert isinstance(stages.make_gate(), WebRtcGate)
        assert isinstance(stages.make_detector(), SileroDetector)
        assert level_dbfs(stages.apology) > -35
        assert (await stages.asr.transcribe(FRANCE)).text == ANSWER["asr"]
        assert stages.turn is not None
        assert (await stages.turn.judge(SENTENCE)).probability > 0.5


async def test_a_stage_that_the_pipeline_does_without_has_no_worker(turnless: Settings, empty_store: Store) -> None:
    async with in_time(), workers(turnless, empty_store, LoopClock(), ignore) as running:
        assert set(running) == {"asr", "slm", "tts"}


def test_scripted_stages_need_no_process_and_no_real_time(empty_store: Store) -> None:
    async def main() -> list[str]:
        async with open_stages(load_settings("scripted"), empty_store, LoopClock(), ignore) as stages:
            assert psutil.Process().children() == []
            assert isinstance(stages.make_gate(), LoudnessDetector)
            assert isinstance(stages.make_detector(), LoudnessDetector)
            text = (await stages.asr.transcribe(hum(32_000))).text
            return [piece async for piece in stages.slm.generate((Message("user", text),), 20)]

    assert "".join(run_virtual(main())) == "You said: an utterance of 2 seconds."


def test_scripted_stages_may_do_without_the_turn_model(turnless: Settings, empty_store: Store) -> None:
    async def turn_model(settings: Settings) -> TurnModel | None:
        async with open_stages(settings, empty_store, LoopClock(), ignore) as stages:
            return stages.turn

    assert run_virtual(turn_model(load_settings("scripted"))) is not None
    assert run_virtual(turn_model(turnless)) is None


def test_a_script_may_be_the_tests_own() -> None:
    async def main() -> str:
        stages = scripted_stages(LoopClock(), asr=ScriptedRecognizer(lambda _: "my words"))
        return (await stages.asr.transcribe(hum(10))).text

    assert run_virtual(main()) == "my words"


async def test_a_model_that_is_missing_is_said_before_anything_starts(settings: Settings, empty_store: Store) -> None:
    events: list[Event] = []
    with pytest.raises(ModelError, match="is not installed; run `voicebot models pull"):
        async with in_time(), workers(settings, empty_store, LoopClock(), events.append):
            raise AssertionError("it must not start")
    assert events == []


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json"])
async def test_a_model_that_was_changed_is_refused_before_anything_loads_it(
    settings: Settings, store: Store, tmp_path: Path, file: str
) -> None:
    for original in [path for path in store.root.rglob("*") if path.is_file()]:
        copy = tmp_path / original.relative_to(store.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(original)
    changed = tmp_path / settings.pipeline.asr.model / file
    size = changed.stat().st_size
    changed.unlink()
    with changed.open("wb") as fresh:
        fresh.truncate(size)
    events: list[Event] = []
    with pytest.raises(ModelError, match=f"{file} is damaged; run `voicebot models pull"):
        async with in_time(), workers(settings, Store(tmp_path, store.catalogue), LoopClock(), events.append):
            raise AssertionError("it must not start")
    assert events == []


async def test_a_model_that_is_damaged_is_refused_and_all_workers_end(settings: Settings, store: Store) -> None:
    careless = CarelessStore(store.root, store.catalogue)
    events: list[WorkerChanged] = []

    def observe(event: Event) -> None:
        events.append(cast("WorkerChanged", event))

    with pytest.raises(EngineError, match=r"^llama\.cpp can't load .*; it is damaged"):
        async with in_time(), workers(settings, careless, LoopClock(), observe):
            raise AssertionError("it must not start")
    last = {event.stage: event.state for event in events}
    assert last == {"asr": "stopped", "slm": "died", "tts": "stopped", "turn": "stopped"}


async def test_what_goes_wrong_inside_the_block_ends_the_workers(settings: Settings, store: Store) -> None:
    with pytest.raises(EngineError, match=r"^the test's own\.$"):
        async with in_time(), workers(settings, store, LoopClock(), ignore, ("slm",)):
            raise EngineError("the test's own.")

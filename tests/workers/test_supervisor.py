"""A worker's life: it serves, it dies in every way that a process can, and it is replaced."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from tests.workers.rig import Rig, children, generate, make, open_descriptors, order, said, serving, within
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.box import WorkerSettings
from voicebot.errors import EngineError, WorkerDiedError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.workers import process as module
from voicebot.workers.flags import REQUEST_FLAGS
from voicebot.workers.process import Reply
from voicebot.workers.wire import encode

pytestmark = pytest.mark.usefixtures("_nothing_left")


def whole(replies: list[str]) -> str:
    return "".join(replies)


def free_flags(rig: Rig) -> int:
    life = rig.supervisor._current
    assert life is not None
    return life.free_flags.qsize()


async def pending(rig: Rig, count: int) -> None:
    life = rig.supervisor._current
    assert life is not None
    await rig.until(lambda: len(life.pending) == count)


# Requests


async def test_a_request_is_answered_piece_by_piece() -> None:
    async with serving() as rig:
        assert await rig.texts("a b") == ["You", " said:", " a", " b."]
        assert await rig.texts("a b", most=1) == ["You"]
        assert psutil.Process(rig.pid).cmdline()[-4] == "voicebot.workers.host"
    assert rig.states == ["loading", "ready", "stopped"]
    assert len({event.pid for event in rig.reported}) == 1
    assert {event.stage for event in rig.reported} == {"slm"}


async def test_many_requests_at_once_each_get_their_own_answer() -> None:
    async with serving() as rig:
        asked = [f"number {number} of many" for number in range(2 * REQUEST_FLAGS)]
        answers = await asyncio.gather(*(rig.texts(words) for words in asked))
        assert [whole(answer) for answer in answers] == [said(words) for words in asked]
        assert free_flags(rig) == REQUEST_FLAGS


async def test_an_engines_failure_reaches_only_whoever_asked() -> None:
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)  # no scripted engine fails, so the test answers for it
        asking = [asyncio.create_task(rig.texts(words)) for words in ("one", "other")]
        await pending(rig, 2)
        life = rig.supervisor._current
        assert life is not None
        life.reader.feed_data(encode({"id": 0, "end": "failed", "reason": "it failed.", "cpu_s": 0.1}))
        with pytest.raises(EngineError, match=r"^it failed\.$"):
            await asking[0]
        done = encode({"id": 1, "end": "done", "cpu_s": 0.1})
        life.reader.feed_data(encode({"id": 1, "item": {"text": "it works."}}) + done)
        assert await asking[1] == ["it works."]
        assert free_flags(rig) == REQUEST_FLAGS
        rig.signal(signal.SIGKILL)


async def test_leaving_the_replies_early_cancels_the_work() -> None:
    async with serving() as rig:
        async with aclosing(rig.supervisor.request(generate("word " * 4000, 5000))) as replies:
            async for reply in replies:
                assert reply.item == {"text": "You"}
                break
        assert whole(await rig.texts("a b")) == said("a b")
        assert free_flags(rig) == REQUEST_FLAGS
    assert rig.states == ["loading", "ready", "stopped"]


async def test_a_request_whose_task_is_cancelled_is_never_worked_on() -> None:
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        asking = asyncio.create_task(rig.texts("unwanted"))
        await pending(rig, 1)
        asking.cancel()
        await asyncio.wait([asking])
        rig.signal(signal.SIGCONT)
        assert whole(await rig.texts("wanted")) == said("wanted")
        assert free_flags(rig) == REQUEST_FLAGS


async def test_replies_that_nobody_takes_fail_their_request_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REPLIES", 10)
    async with serving() as rig:
        async with aclosing(rig.supervisor.request(generate("word " * 4000, 5000))) as replies:
            await anext(replies)
            life = rig.supervisor._current
            assert life is not None
            await rig.until(lambda: not life.pending)
            with pytest.raises(EngineError, match="not taken"):
                async for _ in replies:
                    pass
        assert whole(await rig.texts("a b")) == said("a b")


# Costs


async def test_a_request_is_charged_to_what_it_was_made_for() -> None:
    ledger = WorkLedger()
    async with serving() as rig:
        assert whole(await rig.texts("for nobody")) == said("for nobody")
        assert ledger.cpu_s == 0
        charged_to.set(Work(ledger))
        assert whole(await rig.texts("a b")) == said("a b")
        spent = ledger.cpu_s
        assert spent > 0
        await rig.texts("word " * 3000, 4000)
        assert ledger.cpu_s > 2 * spent
    assert ledger.wasted_cpu_s == 0


async def test_what_was_left_early_is_charged_as_wasted_when_the_worker_has_ended_it() -> None:
    ledger = WorkLedger()
    charged_to.set(Work(ledger))
    async with serving() as rig:
        async with aclosing(rig.supervisor.request(generate("word " * 4000, 5000))) as replies:
            await anext(replies)
        await rig.until(lambda: ledger.cpu_s > 0)
        assert ledger.wasted_cpu_s == ledger.cpu_s
        await rig.texts("a b")
        assert ledger.wasted_cpu_s < ledger.cpu_s


async def test_what_failed_is_charged_as_wasted() -> None:
    ledger = WorkLedger()
    charged_to.set(Work(ledger))
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        asking = asyncio.create_task(rig.texts("one"))
        await pending(rig, 1)
        life = rig.supervisor._current
        assert life is not None
        life.reader.feed_data(encode({"id": 0, "end": "failed", "reason": "it failed.", "cpu_s": 0.5}))
        with pytest.raises(EngineError):
            await asking
        rig.signal(signal.SIGKILL)
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (0.5, 0.5)


async def test_who_dies_at_work_tells_no_cost() -> None:
    ledger = WorkLedger()
    charged_to.set(Work(ledger))
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        asking = asyncio.create_task(rig.texts("one"))
        await pending(rig, 1)
        rig.signal(signal.SIGKILL)
        with pytest.raises(WorkerDiedError):
            await asking
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (0, 0)


# Deaths


async def test_a_worker_killed_while_idle_is_replaced() -> None:
    async with serving() as rig:
        first = rig.pid
        rig.signal(signal.SIGKILL)
        await rig.until(lambda: "died" in rig.states)
        assert whole(await rig.texts("a b")) == said("a b")  # it waited for the next one
        second = rig.pid
    assert [(event.state, event.pid) for event in rig.reported] == [
        ("loading", first),
        ("ready", first),
        ("died", first),
        ("loading", second),
        ("ready", second),
        ("stopped", second),
    ]
    assert rig.reported[2].reason == "signal 9"


async def test_a_worker_killed_at_work_fails_what_it_worked_on() -> None:
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        asking = [asyncio.create_task(rig.texts(f"request {number}")) for number in range(REQUEST_FLAGS + 10)]
        await pending(rig, REQUEST_FLAGS)  # the others wait for a flag
        rig.signal(signal.SIGKILL)
        failures = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(failure) for failure in failures} == {WorkerDiedError}
        assert str(failures[0]) == str(failures[-1]) == "the slm worker died; it is being replaced, ask again."
        assert whole(await rig.texts("a b")) == said("a b")
    assert rig.states == ["loading", "ready", "died", "loading", "ready", "stopped"]


async def test_a_worker_that_exits_is_replaced() -> None:
    async with serving() as rig:
        with pytest.raises(WorkerDiedError):  # no engine knows this; the worker falls over it
            async for _ in rig.supervisor.request({"op": "generate"}):
                pass
        assert whole(await rig.texts("a b")) == said("a b")
    assert [event.reason for event in rig.reported if event.state == "died"] == ["exit code 1"]


@pytest.mark.parametrize("payload", [b"", bytes(3 << 20)], ids=["small", "more than the socket holds"])
async def test_a_worker_that_hangs_is_killed_and_replaced(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        monkeypatch.setattr(rig.supervisor, "_timeouts", WorkerSettings(request_timeout_s=1))
        with pytest.raises(WorkerDiedError):
            async for _ in rig.supervisor.request({"op": "prefill", "messages": []}, payload):
                pass
        monkeypatch.undo()
        await rig.until(lambda: rig.states[2:3] == ["died"])
        assert rig.reported[2].reason == "signal 9"
        await rig.until(lambda: rig.states[-1] == "ready")
        assert whole(await rig.texts("a b")) == said("a b")


def life_that_hears(*moments_s: float) -> Any:
    """Return a life whose process says something, to somebody, at those moments."""
    life = SimpleNamespace(heard_s=0.0, killed=False)

    def kill() -> None:
        life.killed = True

    async def hear() -> None:
        for moment_s in moments_s:
            await asyncio.sleep(moment_s - asyncio.get_running_loop().time())
            life.heard_s = moment_s

    life.kill = kill
    life.hear = hear
    return life


def test_a_worker_busy_with_others_is_waited_for() -> None:
    life = life_that_hears(4, 8, 12, 16)

    async def main() -> None:
        replies: asyncio.Queue[Any] = asyncio.Queue()
        hearing = asyncio.create_task(life.hear())
        asking = asyncio.create_task(make(order(), request_timeout_s=5).supervisor._next(life, replies))
        await asyncio.sleep(18)
        replies.put_nowait(Reply({"text": "at last"}, b""))
        assert cast("Reply", await asking).item == {"text": "at last"}
        await hearing

    run_virtual(main())
    assert not life.killed


def test_a_worker_that_falls_silent_is_not() -> None:
    life = life_that_hears(4, 8)

    async def main() -> float:
        hearing = asyncio.create_task(life.hear())
        with pytest.raises(WorkerDiedError):
            await make(order(), request_timeout_s=5).supervisor._next(life, asyncio.Queue())
        await hearing
        return LoopClock().now_s()

    assert run_virtual(main()) <= 8 + 2 * 5
    assert life.killed


async def test_messages_that_are_none_end_a_worker() -> None:
    async with serving() as rig:
        life = rig.supervisor._current
        assert life is not None
        life.reader.feed_data(b"\xff" * 100)
        await rig.until(lambda: rig.states[2:] == ["died", "loading", "ready"])
        assert "impossible length" in rig.reported[2].reason
        assert whole(await rig.texts("a b")) == said("a b")


# The end


async def test_a_stopped_supervisor_fails_what_still_runs() -> None:
    async with serving() as rig:
        rig.signal(signal.SIGSTOP)
        asking = asyncio.create_task(rig.texts())
        await pending(rig, 1)
        rig.running.cancel()
        with pytest.raises(WorkerDiedError):
            await asking
        await asyncio.wait([rig.running])
    assert rig.states == ["loading", "ready", "stopped"]  # it hung, and was killed after a moment


async def test_whoever_is_cancelled_while_it_loads_leaves_nothing() -> None:
    for moments in range(12):
        rig = make(order())
        running = asyncio.create_task(rig.supervisor.run())
        for _ in range(moments):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_whoever_is_cancelled_twice_leaves_nothing() -> None:
    rig = make(order())
    running = asyncio.create_task(rig.supervisor.run())
    await within(rig.supervisor.ready())
    rig.signal(signal.SIGSTOP)  # so that its end takes a while
    running.cancel()
    await rig.until(lambda: rig.supervisor.pid is None)
    running.cancel()
    await asyncio.wait([running])
    await rig.until(lambda: not children())


async def test_twenty_deaths_leave_no_descriptor_open() -> None:
    async with serving() as rig:
        counts = []
        for death in range(1, 21):
            rig.signal(signal.SIGKILL)
            await rig.until(lambda death=death: rig.states.count("ready") == death + 1)  # type: ignore[misc]
            await rig.texts("a")
            counts.append(open_descriptors())
        assert max(counts[1:]) <= counts[0]
        assert len(children()) == 1

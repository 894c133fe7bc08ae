"""Keeps one stage's worker process alive, and carries requests to it and replies back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicebot.clock import Clock
from voicebot.config.box import WorkerSettings
from voicebot.config.tiers import kind_of
from voicebot.errors import EngineError, WorkerDiedError
from voicebot.events import Observer, WorkerChanged
from voicebot.latency.work import charged_to
from voicebot.workers.process import End, Reply, WorkerProcess
from voicebot.workers.wire import Header, encode, read_frame

_log = logging.getLogger(__name__)
_LONGEST_BACK_OFF_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is to load."""

    stage: str
    model: Path
    settings: Mapping[str, Any]
    threads: int
    prefill_threads: int
    cache: Path = Path()
    """Where the engine may keep what need not be computed again."""
    companion: Path | None = None
    """A second model beside the stage's own: it guesses for a language model, or looks again at doubtful words."""
    nice: int | None = None
    """At which niceness it runs; None is the daemon's own."""

    def header(self) -> Header:
        """Return the order as the first frame's header."""
        return {
            "stage": kind_of(self.stage),
            "model": str(self.model),
            "settings": dict(self.settings),
            "threads": self.threads,
            "prefill_threads": self.prefill_threads,
            "cache": str(self.cache),
            "companion": None if self.companion is None else str(self.companion),
        }


class Supervisor:
    """One stage's worker. `run` has to be kept running by an owner; everything else waits for it."""

    def __init__(self, order: WorkerOrder, clock: Clock, observer: Observer, timeouts: WorkerSettings) -> None:
        self._order = order
        self._clock = clock
        self._observer = observer
        self._timeouts = timeouts
        self._current: WorkerProcess | None = None
        self._ready = asyncio.Event()
        self._loaded_before = False
        self._refused: EngineError | None = None
        self._next_number = 0
        self._fields = {"fields": {"stage": order.stage}}
        """Of what is logged here, for the journal."""

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return None if self._current is None else self._current.process.pid

    async def ready(self) -> None:
        """Wait until the engine is loaded and warm. Raises EngineError when it can't be."""
        await self._ready.wait()
        if self._refused is not None:
            raise self._refused

    async def run(self) -> None:
        """Start the worker, and start it again whenever it dies, until cancelled."""
        back_off_s = 0.0
        while True:
            await self._clock.sleep_s(back_off_s)
            began_s = self._clock.now_s()
            try:
                await self._live()
            except EngineError as error:
                if not self._loaded_before:
                    self._refused = error
                    self._ready.set()
                    return
                _log.error("%s", error, extra=self._fields)
            lived_s = self._clock.now_s() - began_s
            back_off_s = 0.0 if lived_s > _LONGEST_BACK_OFF_S else min(_LONGEST_BACK_OFF_S, 2 * back_off_s + 0.1)

    async def request(self, header: Header, payload: bytes = b"") -> AsyncGenerator[Reply, None]:
        """Send a request and yield its replies. Leaving the iteration early cancels the work.

        Raises WorkerDiedError when the process dies meanwhile or is not replaced in time, EngineError when the engine
        fails.
        """
        life = await self._life()
        flag = await life.free_flags.get()
        if life is not self._current:
            life.free_flags.put_nowait(flag)  # for the next one that waits, to find out the same
            raise self._died()
        number, self._next_number = self._next_number, self._next_number + 1
        replies = life.ask(number, flag, charged_to.get())
        try:
            # Without drain(), which would wait without end for a process that hangs.
            life.writer.write(encode({**header, "id": number, "flag": flag}, payload))
            while isinstance(reply := await self._next(life, replies), Reply):
                yield reply
            if reply.error is not None:
                raise reply.error
        finally:
            if number in life.pending:
                life.flags[flag].request()
                life.flags.alarm.request()

    async def _life(self) -> WorkerProcess:
        """Return the process that serves now; a replacement is waited for as long as an answer would be."""
        try:
            async with asyncio.timeout(self._timeouts.request_timeout_s):
                await self.ready()
        except TimeoutError as error:
            raise self._died() from error
        if self._current is None:
            raise self._died()
        return self._current

    async def _next(self, life: WorkerProcess, replies: asyncio.Queue[Reply | End]) -> Reply | End:
        """Return the next reply. Kills a process that has answered nobody for too long."""
        longest_s = self._timeouts.request_timeout_s
        while True:
            try:
                async with asyncio.timeout(longest_s):
                    return await replies.get()
            except TimeoutError as error:
                if self._clock.now_s() - life.heard_s < longest_s:
                    continue  # it is busy with the requests before this one
                _log.error("the %s worker hangs; it is killed and replaced", self._order.stage, extra=self._fields)
                life.kill()
                raise self._died() from error

    async def _live(self) -> None:
        """Run one life of the process, from its start to its end. Raises EngineError when it does not load."""
        life = await WorkerProcess.spawn(self._order.stage, self._order.nice)
        reason = "stopped"
        try:
            await self._load(life)
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(), name=f"{self._order.stage} heartbeat")
                reason = await self._dispatch(life)
                beating.cancel()
        except EngineError as error:
            reason = str(error)
            raise
        finally:
            self._current = None
            self._ready.clear()
            life.give_up(self._died())
            await life.end()
            state = "stopped" if reason == "stopped" else "died"
            self._observer(WorkerChanged(self._order.stage, state, life.process.pid, reason))

    async def _beat(self) -> None:
        """Ask for a sign of life now and then, so that a worker that hangs is found before somebody waits for it."""
        while True:
            await asyncio.sleep(self._timeouts.heartbeat_s)
            with contextlib.suppress(WorkerDiedError):
                async for _ in self.request({"op": "ping"}):
                    pass

    async def _load(self, life: WorkerProcess) -> None:
        self._observer(WorkerChanged(self._order.stage, "loading", life.process.pid, ""))
        life.writer.write(encode(self._order.header()))
        try:
            async with asyncio.timeout(self._timeouts.start_timeout_s):
                answer = await read_frame(life.reader)
        except WorkerDiedError as error:
            raise EngineError(f"the {self._order.stage} worker failed while it loaded ({error}).") from error
        except TimeoutError as error:
            raise EngineError(
                f"the {self._order.stage} worker did not load within {self._timeouts.start_timeout_s} s."
            ) from error
        if answer is None:
            code = await life.process.wait()
            raise EngineError(f"the {self._order.stage} worker ended while it loaded (exit code {code}).")
        if "failed" in answer[0]:
            raise EngineError(answer[0]["failed"])
        self._current = life
        self._loaded_before = True
        self._ready.set()
        self._observer(WorkerChanged(self._order.stage, "ready", life.process.pid, ""))

    async def _dispatch(self, life: WorkerProcess) -> str:
        """Hand replies to whoever asked, until the process is gone; returns why it went."""
        try:
            while (frame := await read_frame(life.reader)) is not None:
                life.heard_s = self._clock.now_s()
                header, payload = frame
                if "item" in header:
                    life.deliver(header["id"], Reply(header["item"], payload))
                else:
                    error = EngineError(header["reason"]) if "reason" in header else None
                    life.finish(header["id"], error, header["cpu_s"], cancelled=header["end"] != "done")
        except WorkerDiedError as error:
            return str(error)
        code = await life.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _died(self) -> WorkerDiedError:
        return WorkerDiedError(f"the {self._order.stage} worker died; it is being replaced, ask again.")

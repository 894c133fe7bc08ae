"""Calls of sound systems, which may hang for as long as a server does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(call: Callable[[], Result], name: str) -> Result:
    """Return what a call returns, or raise what it raises; it has a thread of its own.

    A call that hangs keeps neither the program from ending, as one in the loop's own threads does, nor others waiting
    for a free thread. The thread begins with the precedence of the caller's, and so do those that a sound library
    begins in it. Being cancelled leaves the call to itself.
    """
    done: Future[Result] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)

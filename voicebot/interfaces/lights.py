"""Shows what the box is doing where people see it: by an LED of the kernel's, or by a program of the box's builder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from voicebot.clock import Clock
from voicebot.config.lights import LightSettings
from voicebot.events import Event, StateChanged, WorkerChanged
from voicebot.interfaces.led import DARK, LOOKS, Led, LedError, SysfsLed
from voicebot.interfaces.public_state import BoxState, PublicState
from voicebot.interfaces.service import Service
from voicebot.interfaces.state_program import StateProgram

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Lights:
    """Lives beside the conversations, which never wait for it. An LED or a program that fails ends nothing."""

    def __init__(self, settings: LightSettings, service: Service, clock: Clock, root: Path = Path("/")) -> None:
        """`root` is / but for tests."""
        self._service = service
        states = {name: session.state.value for name, session in service.sessions.items()}
        self._box = BoxState(muted=service.muted, sessions=states)
        self._shown = self._box.overall
        self._lights: list[LitLed | StateProgram] = []
        if settings.led:
            led = Led(SysfsLed(root, settings.led), settings.brightness / 100)
            self._lights.append(LitLed(led, settings.led, self._shown))
        if settings.command:
            self._lights.append(StateProgram(settings.command, self._shown, clock))

    async def run(self) -> None:
        """Show each state until cancelled; then the LED is as it was, and the program has ended."""
        unwatch = self._service.watch(self._observe)
        try:
            async with asyncio.TaskGroup() as group:
                for light in self._lights:
                    group.create_task(light.run(), name="light")
                await asyncio.Event().wait()
        finally:
            unwatch()

    def _observe(self, event: Event) -> None:
        if not isinstance(event, StateChanged | WorkerChanged):
            return
        self._box.follow(event)
        if (state := self._box.overall) != self._shown:
            self._shown = state
            for light in self._lights:
                light.tell(state)


class LitLed:
    """Lets an LED blink as the latest state wants it."""

    def __init__(self, led: Led, name: str, state: PublicState) -> None:
        self._led = led
        self._name = name
        self._state = state
        self._changed = asyncio.Event()
        self._complained = False
        # One thread, so that giving it back is not overtaken by what was written before.
        self._thread = ThreadPoolExecutor(1, "led")

    def tell(self, state: PublicState) -> None:
        """Show another state. Does not block."""
        self._state = state
        self._changed.set()

    async def run(self) -> None:
        """Show the states until cancelled. An LED that is not there is looked for at each of them."""
        try:
            while True:
                self._changed.clear()
                try:
                    await self._show()
                except LedError as error:
                    self._complain(error)
                finally:
                    await self._give_back()
                await self._changed.wait()
        finally:
            self._thread.shutdown(wait=False)

    async def _show(self) -> None:
        """Show the states until that fails. Raises LedError."""
        await self._in_thread(self._led.take)
        while True:
            self._changed.clear()
            look, lit = LOOKS[self._state], True
            while not self._changed.is_set():
                await self._in_thread(partial(self._led.light, look.colour if lit else DARK))
                self._complained = False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((look.on_s if lit else look.off_s) or None):
                        await self._changed.wait()
                lit = not lit

    async def _give_back(self) -> None:
        if failed := await self._in_thread(self._led.give_back):
            _log.warning("of the LED %s, %s could not be put back", self._name, ", ".join(failed))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _complain(self, error: LedError) -> None:
        """Say it once until it works again."""
        if not self._complained:
            self._complained = True
            _log.warning("%s: %s", self._name, error)

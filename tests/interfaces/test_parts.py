"""Parts run beside each other, are begun anew for the settings that they depend on, and end the last one first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.replayed import SCRIPTED
from voicebot.clock import run_virtual
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.interfaces.parts import Part, Parts

SETTINGS = Settings("scripted", "voicebot", SCRIPTED, BoxSettings())


def with_port(port: int, *, enabled: bool = True) -> Settings:
    return replace(SETTINGS, box=BoxSettings.model_validate({"web": {"port": port, "enabled": enabled}}))


def telling(log: list[str], name: str) -> Callable[[Settings, asyncio.Event], Awaitable[None]]:
    async def run(settings: Settings, works: asyncio.Event) -> None:
        works.set()
        log.append(f"{name} {settings.box.web.port}")
        try:
            await asyncio.Event().wait()
        finally:
            log.append(f"no {name}")

    return run


def test_those_that_depend_on_what_changed_are_begun_anew() -> None:
    log: list[str] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            parts = Parts(group, with_port(1000))
            await parts.start(Part("talk", ("pipeline",), lambda _: True, telling(log, "talk")))
            await parts.start(Part("web", ("box.web",), lambda box: box.web.enabled, telling(log, "web")))
            await asyncio.sleep(0)
            assert list(parts.running) == ["talk", "web"]
            await parts.begin_anew(with_port(2000), frozenset({"box.web", "box.mqtt"}))
            await asyncio.sleep(0)
            await parts.begin_anew(with_port(3000, enabled=False), frozenset({"box.web"}))
            assert list(parts.running) == ["talk"]
            await parts.begin_anew(with_port(4000), frozenset({"box.web", "pipeline.endpoint"}))
            await asyncio.sleep(0)
            await parts.stop()
            assert list(parts.running) == []

    run_virtual(main())
    assert log == [
        *("talk 1000", "web 1000", "no web", "web 2000", "no web"),
        *("no talk", "talk 4000", "web 4000", "no web", "no talk"),
    ]


def test_one_that_fails_ends_all() -> None:
    log: list[str] = []

    async def fail(settings: Settings, works: asyncio.Event) -> None:
        raise ValueError(f"a defect on {settings.pipeline_name}, {works}")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            parts = Parts(group, SETTINGS)
            await parts.start(Part("talk", (), lambda _: True, telling(log, "talk")))
            await parts.start(Part("web", (), lambda _: True, fail))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        run_virtual(main())
    assert log[-1:] == ["no talk"]

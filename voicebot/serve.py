"""The daemon's life: what is started, in which order, and stopped in reverse."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from voicebot.audio_io.local import LocalPort
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import open_stages
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.models.location import default_state
from voicebot.models.store import Store

_log = logging.getLogger(__name__)
_FADE_S: Final = 0.15
"""What a reply that is stopped still plays: the lead of the sound card, and the fade."""


async def serve(settings: Settings, store: Store) -> None:
    """Listen and answer until SIGTERM or SIGINT. Raises ModelError, EngineError and what the devices raise."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with AsyncExitStack() as opened:
        service = await opened.enter_async_context(_open_service(settings, store))
        await opened.enter_async_context(_local_session(settings, service))
        _log.info("ready")
        await over.wait()
        await _fade(service)


@asynccontextmanager
async def _open_service(settings: Settings, store: Store) -> AsyncGenerator[Service, None]:
    watchers = Watchers()
    kept = await asyncio.to_thread(KeptState, _state_folder(settings) / "switched.json")
    async with open_stages(settings, store, LoopClock(), watchers) as stages:
        yield Service(stages, settings.pipeline, settings.box.sessions, watchers, kept)


@asynccontextmanager
async def _local_session(settings: Settings, service: Service) -> AsyncGenerator[None, None]:
    """Hold the conversation at the box's own microphone."""
    audio = settings.box.audio
    port = LocalPort(audio.input or None, audio.output or None, block_ms=audio.block_ms, lead_ms=audio.lead_ms)
    async with service.open_session("local", port):
        yield


async def _fade(service: Service) -> None:
    """End what is being said softly: the devices are closed right after."""
    if service.stop():
        await asyncio.sleep(_FADE_S)


def _state_folder(settings: Settings) -> Path:
    named = settings.box.paths.state
    return Path(named).expanduser() if named else default_state()

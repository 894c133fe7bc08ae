"""The web server over a conversation with scripted engines, and a browser's questions to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientResponse, ClientSession, ClientTimeout, CookieJar, TCPConnector

from tests.replayed import SCRIPTED
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock
from voicebot.config.box import SessionSettings
from voicebot.config.web import WebSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.interfaces.web.server import Web

REPLY: Final = "It is Paris."
SECRET: Final = "a secret of some length"  # noqa: S105
PATIENCE_S: Final = 60.0


class HurriedClock(LoopClock):
    """Does not wait for long."""

    async def sleep_s(self, duration_s: float) -> None:
        await super().sleep_s(min(duration_s, 0.01))


class StoppedClock(LoopClock):
    """For it no time passes, so that nothing becomes allowed again."""

    def now_s(self) -> float:
        return 0.0


@dataclass
class Scene:
    """What answers, and who asks. `url` has no slash at its end."""

    service: Service
    watchers: Watchers
    web: Web
    browser: ClientSession
    url: str

    async def get(self, path: str, **headers: str) -> ClientResponse:
        async with self.browser.get(self.url + path, headers=headers) as answer:
            await answer.read()
            return answer

    async def post(self, path: str, body: Any = None, **headers: str) -> ClientResponse:
        async with self.browser.post(self.url + path, json=body, headers=headers) as answer:
            await answer.read()
            return answer


def token_file(folder: Path, secret: str = SECRET, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_text(f"{secret}\n")
    file.chmod(mode)
    return file


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await LoopClock().sleep_s(0.001)


@asynccontextmanager
async def serving(
    folder: Path, settings: WebSettings | None = None, *, most_sessions: int = 10, clock: LoopClock | None = None
) -> AsyncGenerator[Scene, None]:
    """Serve while the block runs; there is one conversation, "local", in which nobody speaks."""
    watchers = Watchers()
    kept = await asyncio.to_thread(KeptState, folder / "kept.json", _in_thread)
    stages = scripted_stages(
        LoopClock(),
        ScriptedRecognizer(lambda _: "what is the capital of france"),
        ScriptedModel(lambda _: REPLY),
        ScriptedSynthesizer(ms_per_letter=30),
    )
    service = Service(replace(stages, turn=None), SCRIPTED, SessionSettings(most=most_sessions), watchers, kept)
    web = Web(settings or WebSettings(port=0), service, clock)
    scheme = "https" if settings is not None and settings.certificate else "http"
    async with ClientSession(
        cookie_jar=CookieJar(unsafe=True), timeout=ClientTimeout(PATIENCE_S), connector=TCPConnector(ssl=False)
    ) as browser:
        running = asyncio.create_task(web.run(), name="web")
        try:
            async with service.open_session("local", ReplayPort(LoopClock())):
                await until(lambda: web.address or running.done())
                assert web.address is not None, running
                yield Scene(service, watchers, web, browser, f"{scheme}://127.0.0.1:{web.address[1]}")
        finally:
            running.cancel()
            await asyncio.wait([running])


def _in_thread(write: Callable[[], None]) -> None:
    asyncio.get_running_loop().run_in_executor(None, write)

"""The daemon's life: what is started, in which order, and stopped in reverse."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from voicebot.audio_io.lasting import LastingPort, LocalDevices
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.config.runtime import control_path
from voicebot.cpu.thermal import Thermometer
from voicebot.daemon import open_stages
from voicebot.errors import ConfigError
from voicebot.interfaces.control import ControlSocket
from voicebot.interfaces.event_log import log_event
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.notify import Notifier
from voicebot.interfaces.parts import Part, Parts
from voicebot.interfaces.service import Service
from voicebot.interfaces.status_line import StatusLine
from voicebot.interfaces.watchdog import Watchdog, watchdog_s
from voicebot.interfaces.watchers import Watchers
from voicebot.models.location import default_state
from voicebot.models.store import Store
from voicebot.reload import adoptable, changes, needing_restart

_log = logging.getLogger(__name__)
_FADE_S: Final = 0.15
"""What a reply that is stopped still plays: the lead of the sound card, and the fade."""
LOCAL: Final = "local"


async def serve(
    settings: Settings, store: Store, runtime: Path | None, load: Callable[[], Settings], notifier: Notifier
) -> None:
    """Listen and answer until SIGTERM or SIGINT.

    `runtime`: the folder by which others find the daemon; without one there is no control socket. `load` reads the
    settings again. Raises ModelError and EngineError, when the models can't be used.
    """
    over, loading = asyncio.Event(), asyncio.Event()

    def end() -> None:
        over.set()
        if loading.is_set():  # from a slow card that takes a minute, which nobody waits for
            serving.cancel()

    serving = asyncio.ensure_future(_serve(settings, store, runtime, load, notifier, over, loading))
    with _at_signal(signal.SIGINT, end), _at_signal(signal.SIGTERM, end):
        try:
            await serving
        except asyncio.CancelledError:
            if not over.is_set():
                raise


async def _serve(
    settings: Settings,
    store: Store,
    runtime: Path | None,
    load: Callable[[], Settings],
    notifier: Notifier,
    over: asyncio.Event,
    loading: asyncio.Event,
) -> None:
    async with AsyncExitStack() as opened:
        notifier.status("loading the models")
        loading.set()
        service = await opened.enter_async_context(_open_service(settings, store))
        loading.clear()
        opened.callback(service.watch(log_event))
        group = await opened.enter_async_context(asyncio.TaskGroup())
        parts = Parts(group, settings)
        daemon = _Daemon(service, parts, load, notifier)
        opened.enter_context(_at_signal(signal.SIGHUP, daemon.begin_reload))
        for part in _parts(service, runtime, daemon, notifier):
            await parts.start(part)
        opened.callback(service.watch(StatusLine(notifier, service).observe))
        notifier.ready()
        _log.info("ready")

        await over.wait()
        notifier.stopping()
        _log.info("stopping")
        await _fade(service)
        await parts.stop()


class _Daemon:
    """What can be asked of the whole."""

    def __init__(self, service: Service, parts: Parts, load: Callable[[], Settings], notifier: Notifier) -> None:
        self._service = service
        self._parts = parts
        self._load = load
        self._notifier = notifier
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    async def reload(self) -> list[str]:
        """Read the settings again, and begin anew what they change; returns what needs a restart of the daemon.

        Raises ConfigError with all errors; nothing has changed then.
        """
        async with self._reloading:
            new = await asyncio.to_thread(self._load)
            self._notifier.reloading()
            try:
                old = self._parts.settings
                adopted = adoptable(old, new)
                self._service.pipeline = adopted.pipeline
                self._service.limits = adopted.box.sessions
                await self._parts.begin_anew(adopted, changes(old, adopted))
            finally:
                self._notifier.ready()
            return needing_restart(changes(old, new))

    def begin_reload(self) -> None:
        """Do the same at a signal, and say in the log what came of it."""
        task = asyncio.get_running_loop().create_task(self._reload_and_tell(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_and_tell(self) -> None:
        try:
            left = await self.reload()
        except ConfigError as error:
            _log.error("the settings were not read again: %s", error)
            return
        for sentence in left or ["the settings are those of the files"]:
            _log.warning("%s", sentence)


def _parts(service: Service, runtime: Path | None, daemon: _Daemon, notifier: Notifier) -> list[Part]:
    """Return what runs beside the conversations and each other, in the order of the start."""

    async def local(settings: Settings, works: asyncio.Event) -> None:
        await _listen(settings, service, works)

    async def control(settings: Settings, works: asyncio.Event) -> None:
        if runtime is not None:
            await ControlSocket(settings.box.control, service, control_path(runtime), daemon.reload, works).run()

    async def wyoming(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.wyoming.server import Wyoming  # noqa: PLC0415 - loaded only by who wants it

        works.set()
        await Wyoming(settings.box.wyoming, service).run()

    async def mqtt(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.mqtt.bridge import MqttBridge  # noqa: PLC0415 - loaded only by who wants it

        works.set()
        clock, file = LoopClock(), _state_folder(settings) / "mqtt-outbox"
        await MqttBridge(settings.box.mqtt, service, clock, file, Thermometer(clock).read_c).run()

    async def web(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.web.server import Web  # noqa: PLC0415 - loaded only by who wants it

        works.set()
        await Web(settings.box.web, service).run()

    async def lights(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.lights import Lights  # noqa: PLC0415 - loaded only by who wants it

        works.set()
        await Lights(settings.box.lights, service, LoopClock()).run()

    async def watchdog(settings: Settings, works: asyncio.Event) -> None:
        works.set()
        start_s = settings.box.workers.start_timeout_s
        looks = Watchdog(notifier, LoopClock(), frames, start_timeout_s=start_s, within_s=watchdog_s())
        unwatch = service.watch(looks.observe)
        try:
            await looks.run()
        finally:
            unwatch()

    def frames() -> Mapping[str, int]:
        # A satellite may be silent by itself; the box's own microphone never is, even while it is away.
        return {name: taken for name, taken in service.taken_frames.items() if name == LOCAL}

    return [
        _recorder(service),
        Part("local", ("box.audio", "pipeline"), lambda _: True, local),
        Part("control", (), lambda box: box.control.enabled, control),
        Part("wyoming", ("box.wyoming",), lambda box: box.wyoming.enabled, wyoming),
        Part("mqtt", ("box.mqtt",), lambda box: box.mqtt.enabled, mqtt),
        Part("web", ("box.web",), lambda box: box.web.enabled, web),
        Part("lights", ("box.lights",), lambda box: box.lights.enabled, lights),
        _traces(service),
        Part("watchdog", (), lambda _: True, watchdog),
    ]


def _recorder(service: Service) -> Part:
    """Return what sees all conversations from their beginning. Also while it is off it removes what is too old."""

    async def run(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.recorder.recorder import Recorder  # noqa: PLC0415 - loaded after the models

        works.set()
        await Recorder(settings.box.recorder, service, LoopClock(), _recordings(settings)).run()

    return Part("recorder", ("box.recorder",), lambda _: True, run)


def _traces(service: Service) -> Part:
    async def run(settings: Settings, works: asyncio.Event) -> None:
        from voicebot.interfaces.traces.traces import Traces  # noqa: PLC0415 - loaded only by who wants it

        works.set()
        await Traces(settings.box.traces, service).run()

    return Part("traces", ("box.traces",), lambda box: box.traces.enabled, run)


@asynccontextmanager
async def _open_service(settings: Settings, store: Store) -> AsyncGenerator[Service, None]:
    watchers = Watchers()
    with ThreadPoolExecutor(1, thread_name_prefix="switches") as disk:
        kept = await asyncio.to_thread(KeptState, _state_folder(settings) / "switched.json", disk.submit)
        async with open_stages(settings, store, LoopClock(), watchers) as stages:
            yield Service(stages, settings.pipeline, settings.box.sessions, watchers, kept)


async def _listen(settings: Settings, service: Service, works: asyncio.Event) -> None:
    """Hold the conversation at the box's own microphone, for as long as there is one."""
    audio = settings.box.audio
    names = (audio.input or None, audio.output or None)
    devices = LocalDevices(*names, block_ms=audio.block_ms, lead_ms=audio.lead_ms)
    port = LastingPort(devices, LoopClock(), lambda: service.stop(LOCAL))
    undescribe = service.describe("audio", port.status)
    try:
        async with service.open_session(LOCAL, port):
            works.set()
            await asyncio.Event().wait()
    finally:
        undescribe()


@contextmanager
def _at_signal(number: signal.Signals, callback: Callable[[], object]) -> Iterator[None]:
    """Call back in the event loop at a signal.

    Not by the loop's own handlers: they lose a signal while the pipe that wakes the loop is full, as it is when the
    loop was held up and other threads had much to tell it.
    """
    loop = asyncio.get_running_loop()
    before = signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(callback))
    try:
        yield
    finally:
        signal.signal(number, before)


async def _fade(service: Service) -> None:
    """End what is being said softly: the devices are closed right after."""
    if service.stop():
        await asyncio.sleep(_FADE_S)


def _state_folder(settings: Settings) -> Path:
    named = settings.box.paths.state
    return Path(named).expanduser() if named else default_state()


def _recordings(settings: Settings) -> Path:
    named = settings.box.recorder.folder
    return Path(named).expanduser() if named else _state_folder(settings) / "recordings"

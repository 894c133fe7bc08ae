"""Starts and stops what a conversation needs: the workers of the heavy stages, and the light engines beside them."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from voicebot.assistant.phrase_cache import PhraseCache
from voicebot.audio import Pcm, samples_from_ms
from voicebot.clock import Clock
from voicebot.config.box import CoreSettings, SchedulingSettings, WorkerSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings, companion_of
from voicebot.config.tiers import TierSettings, kind_of
from voicebot.cpu.governor import Governor, open_governor
from voicebot.cpu.lease import Lease
from voicebot.cpu.placement import Role
from voicebot.cpu.precedence import Precedence
from voicebot.cpu.seats import HEAVY, TOO_FEW, Seating
from voicebot.cpu.thermal import Thermometer
from voicebot.engines.protocols import VoiceDetector, VoiceGate
from voicebot.engines.registry import load_wake_word
from voicebot.engines.scripted import (
    LoudnessDetector,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurn,
    hum,
)
from voicebot.engines.silero import SileroDetector
from voicebot.engines.webrtc_gate import WebRtcGate
from voicebot.errors import EngineError, VoicebotError, first_error
from voicebot.events import Event, Observer, ignore
from voicebot.latency.costs import Costs, unknown_ghz
from voicebot.latency.fits import FitKey, read_fits, write_fits
from voicebot.memory import check_memory
from voicebot.models.location import default_cache
from voicebot.models.store import Store
from voicebot.models.tuned import cpu_name
from voicebot.pipeline.budgeted import budgeted
from voicebot.pipeline.earcons import tone
from voicebot.pipeline.leased import with_lease
from voicebot.pipeline.routed import RoutedSlm
from voicebot.pipeline.shared_cores import SharedCores
from voicebot.pipeline.stages import Asr, Stages, Tts
from voicebot.pipeline.tiers import SmallModel, TierModel, Tiers, unknown_temperature
from voicebot.workers.inline import InlineAsr, InlineSlm, InlineTts, InlineTurn
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor, WorkerOrder
from voicebot.workers.threads import Threads

_log = logging.getLogger(__name__)
_NO_APOLOGY_HZ: Final = (440, 330, 220)


@asynccontextmanager
async def workers(
    settings: Settings,
    store: Store,
    clock: Clock,
    observer: Observer,
    stages: Sequence[str] | None = None,
    seating: Seating | None = None,
) -> AsyncGenerator[dict[str, Supervisor], None]:
    """Keep the worker of each of those stages running inside the block, by default of all; they are ready on entering.

    A stage that the pipeline does without has none. `seating`: where they will run, where that is known. Raises
    ModelError or EngineError when one can't be.
    """
    await asyncio.to_thread(check_memory, settings, store, stages)
    known = settings.pipeline.worker_stages
    used = [stage for stage in (known if stages is None else stages) if stage in known]
    # In a thread, since a new file is hashed.
    orders = [await asyncio.to_thread(_order, stage, settings, store, seating) for stage in used]
    precedence = Precedence(settings.box.scheduling, threading.get_native_id())
    with precedence.guarded():
        try:
            await asyncio.to_thread(precedence.take)
            orders = [replace(order, nice=_nice_of(order.stage, precedence, seating)) for order in orders]
            async with _supervised(orders, clock, observer, settings.box.workers) as supervisors:
                yield supervisors
        finally:
            await asyncio.to_thread(precedence.give_back)


@asynccontextmanager
async def _supervised(
    orders: Sequence[WorkerOrder], clock: Clock, observer: Observer, timeouts: WorkerSettings
) -> AsyncGenerator[dict[str, Supervisor], None]:
    supervisors = {order.stage: Supervisor(order, clock, observer, timeouts) for order in orders}
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(each.run(), name=f"{stage} worker") for stage, each in supervisors.items()]
            try:
                for supervisor in supervisors.values():
                    await supervisor.ready()
                yield supervisors
            finally:
                for task in running:
                    task.cancel()
    except* VoicebotError as errors:
        raise first_error(errors) from None


def _nice_of(stage: str, precedence: Precedence, seating: Seating | None) -> int | None:
    """Return a worker's niceness: on a box whose cores are divided, those of one seat yield to each other."""
    if seating is None or seating.shared:
        return precedence.worker_nice
    first = min(seating.seats[role].nice for role in HEAVY)
    return precedence.nice_of(seating.seats[cast("Role", kind_of(stage))], first)


@asynccontextmanager
async def open_stages(
    settings: Settings, store: Store, clock: Clock, observer: Observer
) -> AsyncGenerator[Stages, None]:
    """Give a session all its stages; scripted ones in this process when all are scripted.

    Raises ModelError or EngineError.
    """
    endpoint, wake = settings.pipeline.endpoint, settings.pipeline.wake
    make_wake_word = functools.partial(load_wake_word, wake) if wake.mode == "word" else None
    if make_wake_word is not None:
        await asyncio.to_thread(make_wake_word)  # what is wrong with it is said at once, and its library is loaded
    if all_scripted(settings.pipeline):
        stages = replace(scripted_stages(clock), make_wake_word=make_wake_word)
        if settings.pipeline.tiers:
            models = {tier.name: InlineSlm(ScriptedModel(), clock) for tier in settings.pipeline.tiers}
            stages = replace(stages, slm=_routed(InlineSlm(ScriptedModel(), clock), models, settings.pipeline, clock))
        yield stages if "turn" in settings.pipeline.heavy_stages else replace(stages, turn=None)
        return

    def make_gate() -> VoiceGate:
        return WebRtcGate(endpoint.gate_aggressiveness, endpoint.gate_floor_dbfs)

    def make_detector() -> VoiceDetector:
        return SileroDetector()

    governor = await _open_governor(settings, clock, observer)
    attend, seating = (ignore, None) if governor is None else (governor.observe, governor.seating)

    def observe(event: Event) -> None:
        attend(event)
        observer(event)

    async with workers(settings, store, clock, observe, seating=seating) as running:
        asr, tts = choose_asr(settings.pipeline, running), choose_tts(settings.pipeline, running)
        cache = await asyncio.to_thread(_phrase_cache, settings, store)
        apology, covers = await _phrases(settings.pipeline, cache, tts)
        turn = WorkerTurn(running["turn"]) if "turn" in running else None
        async with open_slm(settings.pipeline, running, clock) as slm, _kept_costs(settings, clock, governor) as costs:
            stages = Stages(
                *(asr, slm, tts, make_gate, make_detector, apology, turn, covers),
                attend=attend,
                make_wake_word=make_wake_word,
            )
            stages = budgeted(stages, costs, settings.pipeline.ladder, clock)
            stages = _sharing_cores(stages, settings.box.scheduling, clock)
            if governor is None:
                yield stages
                return
            stages = replace(stages, processor=lambda: governor.status)
            async with governor.running(stages.ladders):
                yield stages


def choose_asr(pipeline: PipelineSettings, running: Mapping[str, Supervisor]) -> Asr:
    """Return the recogniser: that of a worker, or a service, which needs none."""
    if not pipeline.asr.remote:
        return WorkerAsr(running["asr"])
    from voicebot.interfaces.wyoming.remote import RemoteAsr  # noqa: PLC0415 - loaded only by who wants one

    return RemoteAsr(pipeline.asr)


def choose_tts(pipeline: PipelineSettings, running: Mapping[str, Supervisor]) -> Tts:
    """Return the synthesizer: that of a worker, or a service, which needs none."""
    if not pipeline.tts.remote:
        return WorkerTts(running["tts"])
    from voicebot.interfaces.wyoming.remote import RemoteTts  # noqa: PLC0415 - loaded only by who wants one

    return RemoteTts(pipeline.tts)


async def _phrases(pipeline: PipelineSettings, cache: PhraseCache, tts: Tts) -> tuple[Pcm, tuple[Pcm, ...]]:
    """Return the apology and the openers; a tone and none of them where a service that should render them is away."""
    try:
        apology = await cache.get(tts, pipeline.phrases.apology)
        openers = pipeline.openers
        return apology, tuple([await cache.get(tts, text) for text in openers.texts]) if openers.enabled else ()
    except EngineError as error:
        if not pipeline.tts.remote:
            raise
        _log.warning("%s A tone stands for the apology until the next start, and there are no openers.", error)
        return tone(_NO_APOLOGY_HZ, pipeline.earcons.level_dbfs), ()


@asynccontextmanager
async def open_slm(
    pipeline: PipelineSettings, running: Mapping[str, Supervisor], clock: Clock
) -> AsyncGenerator[WorkerSlm | RoutedSlm, None]:
    """Give the language model that the workers serve; one that routes where the pipeline has further tiers.

    Raises UsageError for a tier's key that can't be read.
    """
    small = WorkerSlm(running["slm"], pipeline.budget.slm_ms / 1000)
    if not pipeline.tiers:
        yield small
        return
    async with AsyncExitStack() as opened:
        models = {
            tier.name: await opened.enter_async_context(open_tier(pipeline, tier, running)) for tier in pipeline.tiers
        }
        yield _routed(small, models, pipeline, clock, Thermometer(clock).read_c)


@asynccontextmanager
async def open_tier(
    pipeline: PipelineSettings, tier: TierSettings | None, running: Mapping[str, Supervisor]
) -> AsyncGenerator[TierModel, None]:
    """Give one tier's language model, the first one's for None: of a worker, or an endpoint, which then needs none."""
    if tier is None or not tier.remote:
        stage = "slm" if tier is None else f"slm-{tier.name}"
        yield WorkerSlm(running[stage], pipeline.budget.slm_ms / 1000)
        return
    from voicebot.workers.openai import connect  # noqa: PLC0415 - an HTTP client is loaded only by who wants one

    async with connect(tier, pipeline.slm_of(tier)) as model:
        yield model


def all_scripted(pipeline: PipelineSettings) -> bool:
    """Return whether no stage needs a model, so that the conversation may run in virtual time."""
    remote = bool(pipeline.remote_stages) or any(tier.remote for tier in pipeline.tiers)
    return not remote and all(section.engine == "scripted" for section in pipeline.worker_stages.values())


def scripted_stages(
    clock: Clock,
    asr: ScriptedRecognizer | None = None,
    slm: ScriptedModel | None = None,
    tts: ScriptedSynthesizer | None = None,
    turn: ScriptedTurn | None = None,
) -> Stages:
    """Return stages that are scripted engines in this process."""
    return Stages(
        InlineAsr(asr or ScriptedRecognizer(), clock),
        InlineSlm(slm or ScriptedModel(), clock),
        InlineTts(tts or ScriptedSynthesizer(), clock),
        LoudnessDetector,
        LoudnessDetector,
        hum(samples_from_ms(800)),
        InlineTurn(turn or ScriptedTurn(), clock),
    )


def _routed(
    small: SmallModel,
    models: Mapping[str, TierModel],
    pipeline: PipelineSettings,
    clock: Clock,
    temperature_c: Callable[[], Awaitable[float | None]] = unknown_temperature,
) -> RoutedSlm:
    rules = pipeline.router
    tiers = Tiers(small, pipeline.tiers, models, clock, rest_ms=rules.rest_ms, temperature_c=temperature_c)
    return RoutedSlm(tiers, rules, clock)


async def _open_governor(settings: Settings, clock: Clock, observer: Observer) -> Governor | None:
    """Return what sets the cores and frequencies of this box, where that is wanted."""
    usable = os.sched_getaffinity(0)
    return await open_governor(settings.box.power, settings.pipeline, clock, observer, usable=usable)


@asynccontextmanager
async def _kept_costs(settings: Settings, clock: Clock, governor: Governor | None) -> AsyncGenerator[Costs, None]:
    """Give what the stages cost, as it was learnt before; at the end what was learnt is kept.

    Costs in cycles, which the governor makes possible, and costs in seconds are kept apart.
    """
    file, ghz, in_cycles = costs_file(settings), unknown_ghz, False
    if governor is not None and governor.sets_frequency:
        ghz, in_cycles = governor.ghz, True
    threads = _threads(settings.box.cores, None if governor is None else governor.seating)
    keys = await asyncio.to_thread(cost_keys, settings.pipeline, threads, in_cycles=in_cycles)
    costs = Costs(clock, keys, await asyncio.to_thread(read_fits, file), ghz)
    try:
        yield costs
    finally:
        await asyncio.to_thread(write_fits, file, costs.learnt)


def costs_file(settings: Settings) -> Path:
    """Return where it is kept what the stages' work costs."""
    return _cache(settings) / "costs.json"


def cost_keys(pipeline: PipelineSettings, threads: Threads, *, in_cycles: bool) -> dict[str, FitKey]:
    """Return what each stage's cost is kept under: apart in cycles, where the frequency is known, and in seconds."""
    core = f"{cpu_name()}, in cycles" if in_cycles else cpu_name()
    return {
        "asr": FitKey("asr", pipeline.asr.done_by, core, threads.asr),
        "slm_read": FitKey("slm_read", pipeline.slm.model, core, threads.slm_prefill),
        "slm": FitKey("slm", pipeline.slm.model, core, threads.slm),
        "tts_first": FitKey("tts_first", pipeline.tts.done_by, core, threads.tts),
        "tts": FitKey("tts", pipeline.tts.done_by, core, threads.tts),
    }


def _sharing_cores(stages: Stages, settings: SchedulingSettings, clock: Clock) -> Stages:
    """Return the stages under one lease where that is wanted, which without a word is where the cores are few."""
    few = len(os.sched_getaffinity(0)) <= TOO_FEW
    if settings.lease == "off" or (settings.lease == "auto" and not few):
        return stages
    return with_lease(stages, SharedCores(Lease(), clock), clock)


def _phrase_cache(settings: Settings, store: Store) -> PhraseCache:
    """Return the cache of phrases for the pipeline's voice, which is known by its file and its settings."""
    directory = _cache(settings) / "phrases"
    tts = settings.pipeline.tts
    voice = tts.model_dump()
    if tts.engine == "piper":
        file = store.path(tts.model)
        voice |= {"file": str(file), "changed": file.stat().st_mtime_ns}
    return PhraseCache(directory, voice)


def _cache(settings: Settings) -> Path:
    named = settings.box.paths.cache
    return Path(named).expanduser() if named else default_cache()


def _threads(cores: CoreSettings, seating: Seating | None) -> Threads:
    """Return the threads that suit the workers' seats, or else the number of cores."""
    chosen = Threads.choose(cores, len(os.sched_getaffinity(0)))
    if seating is None:
        return chosen
    many, decoding = seating.seats["asr"].threads, seating.seats["slm"].threads
    return Threads(
        asr=cores.asr_threads or many,
        slm=cores.slm_threads or decoding,
        slm_prefill=cores.slm_prefill_threads or cores.slm_threads or many,
        tts=cores.tts_threads or many,
    )


def _order(stage: str, settings: Settings, store: Store, seating: Seating | None) -> WorkerOrder:
    section = settings.pipeline.worker_stages[stage]
    model = Path() if section.engine == "scripted" else store.path(section.model)
    threads = _threads(settings.box.cores, seating)
    companion = "" if section.engine == "scripted" else companion_of(section)
    return WorkerOrder(
        stage,
        model,
        section.model_dump(),
        threads.of(kind_of(stage)),
        threads.slm_prefill,
        _cache(settings) / stage,
        store.path(companion) if companion else None,
    )

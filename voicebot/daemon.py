"""Starts and stops what a conversation needs: the workers of the heavy stages, and the light engines beside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from voicebot.assistant.phrase_cache import PhraseCache
from voicebot.audio import samples_from_ms
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings, SlmSettings
from voicebot.config.tiers import TierSettings, kind_of
from voicebot.cpu.thermal import Thermometer
from voicebot.engines.protocols import VoiceDetector, VoiceGate
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
from voicebot.errors import VoicebotError, first_error
from voicebot.events import Observer
from voicebot.memory import check_memory
from voicebot.models.location import default_cache
from voicebot.models.store import Store
from voicebot.pipeline.routed import RoutedSlm
from voicebot.pipeline.stages import Stages
from voicebot.pipeline.tiers import SmallModel, TierModel, Tiers, unknown_temperature
from voicebot.workers.inline import InlineAsr, InlineSlm, InlineTts, InlineTurn
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor, WorkerOrder
from voicebot.workers.threads import Threads


@asynccontextmanager
async def workers(
    settings: Settings, store: Store, clock: Clock, observer: Observer, stages: Sequence[str] | None = None
) -> AsyncGenerator[dict[str, Supervisor], None]:
    """Keep the worker of each of those stages running inside the block, by default of all; they are ready on entering.

    A stage that the pipeline does without has none. Raises ModelError or EngineError when one can't be.
    """
    await asyncio.to_thread(check_memory, settings, store, stages)
    known = settings.pipeline.worker_stages
    used = [stage for stage in (known if stages is None else stages) if stage in known]
    orders = [await asyncio.to_thread(_order, stage, settings, store) for stage in used]  # a new file is hashed
    timeouts = settings.box.workers
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


@asynccontextmanager
async def open_stages(
    settings: Settings, store: Store, clock: Clock, observer: Observer
) -> AsyncGenerator[Stages, None]:
    """Give a session all its stages; scripted ones in this process when all are scripted.

    Raises ModelError or EngineError.
    """
    endpoint = settings.pipeline.endpoint
    if all_scripted(settings.pipeline):
        stages = scripted_stages(clock)
        if settings.pipeline.tiers:
            models = {tier.name: InlineSlm(ScriptedModel(), clock) for tier in settings.pipeline.tiers}
            stages = replace(stages, slm=_routed(InlineSlm(ScriptedModel(), clock), models, settings.pipeline, clock))
        yield stages if "turn" in settings.pipeline.heavy_stages else replace(stages, turn=None)
        return

    def make_gate() -> VoiceGate:
        return WebRtcGate(endpoint.gate_aggressiveness, endpoint.gate_floor_dbfs)

    def make_detector() -> VoiceDetector:
        return SileroDetector()

    async with workers(settings, store, clock, observer) as running:
        tts = WorkerTts(running["tts"])
        cache = await asyncio.to_thread(_phrase_cache, settings, store)
        apology = await cache.get(tts, settings.pipeline.phrases.apology)
        openers = settings.pipeline.openers
        covers = tuple([await cache.get(tts, text) for text in openers.texts]) if openers.enabled else ()
        turn = WorkerTurn(running["turn"]) if "turn" in running else None
        async with open_slm(settings.pipeline, running, clock) as slm:
            yield Stages(WorkerAsr(running["asr"]), slm, tts, make_gate, make_detector, apology, turn, covers)


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
    remote = any(tier.remote for tier in pipeline.tiers)
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


def _phrase_cache(settings: Settings, store: Store) -> PhraseCache:
    """Return the cache of phrases for the pipeline's voice, which is known by its file and its settings."""
    directory = _cache(settings) / "phrases"
    tts = settings.pipeline.tts
    voice = tts.model_dump()
    if tts.engine != "scripted":
        file = store.path(tts.model)
        voice |= {"file": str(file), "changed": file.stat().st_mtime_ns}
    return PhraseCache(directory, voice)


def _cache(settings: Settings) -> Path:
    named = settings.box.paths.cache
    return Path(named).expanduser() if named else default_cache()


def _order(stage: str, settings: Settings, store: Store) -> WorkerOrder:
    section = settings.pipeline.worker_stages[stage]
    model = Path() if section.engine == "scripted" else store.path(section.model)
    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    drafter = section.draft_model if isinstance(section, SlmSettings) else ""
    return WorkerOrder(
        stage,
        model,
        section.model_dump(),
        threads.of(kind_of(stage)),
        threads.slm_prefill,
        _cache(settings) / stage,
        store.path(drafter) if drafter else None,
    )

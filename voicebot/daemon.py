"""Starts and stops what a conversation needs: the workers of the heavy stages, and the light engines beside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from voicebot.assistant.phrase_cache import PhraseCache
from voicebot.audio import samples_from_ms
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
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
from voicebot.models.location import default_cache
from voicebot.models.plan import MemoryPlan, available_memory_mb, plan_memory
from voicebot.models.store import Store
from voicebot.pipeline.stages import Stages
from voicebot.workers.inline import InlineAsr, InlineSlm, InlineTts, InlineTurn
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor, WorkerOrder
from voicebot.workers.threads import Threads

HEAVY_STAGES: Final = ("asr", "slm", "tts", "turn")


@asynccontextmanager
async def workers(
    settings: Settings, store: Store, clock: Clock, observer: Observer, stages: Sequence[str] = HEAVY_STAGES
) -> AsyncGenerator[dict[str, Supervisor], None]:
    """Keep the worker of each of those stages running inside the block; all are ready when it is entered.

    A stage that the pipeline does without has none. Raises ModelError or EngineError when one can't be.
    """
    await asyncio.to_thread(check_memory, settings, store, stages)
    used = [stage for stage in stages if stage in settings.pipeline.heavy_stages]
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
        asr, slm = WorkerAsr(running["asr"]), WorkerSlm(running["slm"])
        yield Stages(asr, slm, tts, make_gate, make_detector, apology, turn, covers)


def memory_plan(
    settings: Settings,
    store: Store,
    *,
    context_tokens: int | None = None,
    sessions: int = 1,
    model_ids: Sequence[str] = (),
    stages: Sequence[str] = HEAVY_STAGES,
) -> MemoryPlan:
    """Plan the pipeline's models against what the box has; by default for one session of the pipeline's context.

    The models of `model_ids` take the place of the pipeline's own models of their stages. Scripted engines need
    none. Raises UsageError for an unknown model, ModelError when the kernel does not say what it has.
    """
    known = store.catalogue
    instead = [known.model(model_id) for model_id in dict.fromkeys(model_ids)]
    replaced = {model.stage for model in instead}
    models = [
        known.model(section.model)
        for stage, section in settings.pipeline.heavy_stages.items()
        if stage in stages and section.engine != "scripted" and stage not in replaced
    ]
    return plan_memory(
        models + instead,
        context_tokens or settings.pipeline.slm.context_tokens,
        sessions,
        memory_limit_mb(settings),
        alternatives=list(known.models.values()),
    )


def check_memory(settings: Settings, store: Store, stages: Sequence[str] = HEAVY_STAGES) -> None:
    """Refuse to start models that cannot fit. Raises ModelError with the numbers and a smaller model."""
    planned = memory_plan(settings, store, stages=stages)
    if planned.rows:
        planned.check()


def memory_limit_mb(settings: Settings) -> float:
    """Return what the box has for models: what it says, or less when the settings say so."""
    limit_mb = settings.box.memory.limit_mb
    available_mb = available_memory_mb()
    return min(limit_mb, available_mb) if limit_mb else available_mb


def all_scripted(pipeline: PipelineSettings) -> bool:
    """Return whether no stage needs a model, so that the conversation may run in virtual time."""
    return all(section.engine == "scripted" for section in pipeline.heavy_stages.values())


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


def _phrase_cache(settings: Settings, store: Store) -> PhraseCache:
    """Return the cache of phrases for the pipeline's voice, which is known by its file and its settings."""
    named = settings.box.paths.cache
    directory = (Path(named).expanduser() if named else default_cache()) / "phrases"
    tts = settings.pipeline.tts
    voice = tts.model_dump()
    if tts.engine != "scripted":
        file = store.path(tts.model)
        voice |= {"file": str(file), "changed": file.stat().st_mtime_ns}
    return PhraseCache(directory, voice)


def _order(stage: str, settings: Settings, store: Store) -> WorkerOrder:
    section = settings.pipeline.heavy_stages[stage]
    model = Path() if section.engine == "scripted" else store.path(section.model)
    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    return WorkerOrder(stage, model, section.model_dump(), threads.of(stage), threads.slm_prefill)

"""What the pipeline's models need in memory, against what the box has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from voicebot.config.load import Settings
from voicebot.config.pipeline import SlmSettings, companion_of
from voicebot.config.tiers import kind_of
from voicebot.models.plan import MemoryPlan, MemoryRow, available_memory_mb, plan_memory
from voicebot.models.store import Store

_BYTES_PER_ELEMENT: Final = {"f16": 2.0, "q8_0": 1.0625}


def memory_plan(
    settings: Settings,
    store: Store,
    *,
    context_tokens: int | None = None,
    sessions: int = 1,
    model_ids: Sequence[str] = (),
    stages: Sequence[str] | None = None,
) -> MemoryPlan:
    """Plan the pipeline's models against what the box has; by default for one session of the pipeline's context.

    A language model has as many contexts as the pipeline has slots, or sessions where these are more. The models of
    `model_ids` take the place of the pipeline's own models of their stages. Scripted engines need none. Raises
    UsageError for an unknown model, ModelError when the kernel does not say what it has.
    """
    known = store.as_used()
    instead = [known.model(model_id) for model_id in dict.fromkeys(model_ids)]
    replaced = {model.stage for model in instead}
    used = {
        stage: section
        for stage, section in settings.pipeline.worker_stages.items()
        if (stages is None or stage in stages) and section.engine != "scripted" and stage not in replaced
    }
    slm = settings.pipeline.slm
    limit_mb = memory_limit_mb(settings)

    def plan(model_ids: Sequence[str], section: SlmSettings) -> MemoryPlan:
        planned = plan_memory(
            [known.model(model_id) for model_id in model_ids] + (instead if section is slm else []),
            context_tokens or section.context_tokens,
            max(sessions, section.slots),
            limit_mb,
            _BYTES_PER_ELEMENT[section.kv_type],
            list(known.models.values()),
        )
        return replace(planned, audio_mb=planned.audio_mb * sessions / max(sessions, section.slots))

    sections = [section for stage, section in used.items() if stage == kind_of(stage)]
    own = [model for section in sections for model in (section.model, companion_of(section)) if model]
    planned = plan(own, slm)
    rows: list[MemoryRow] = list(planned.rows)
    for stage, section in used.items():
        if stage != kind_of(stage) and isinstance(section, SlmSettings):
            rows += plan([section.model], section).rows
    return replace(planned, rows=tuple(rows))


def check_memory(settings: Settings, store: Store, stages: Sequence[str] | None = None) -> None:
    """Refuse to start models that cannot fit. Raises ModelError with the numbers and a smaller model."""
    planned = memory_plan(settings, store, stages=stages)
    if planned.rows:
        planned.check()


def memory_limit_mb(settings: Settings) -> float:
    """Return what the box has for models: what it says, or less when the settings say so."""
    limit_mb = settings.box.memory.limit_mb
    available_mb = available_memory_mb()
    return min(limit_mb, available_mb) if limit_mb else available_mb

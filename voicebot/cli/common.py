"""What several commands share: options, settings, output."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from voicebot.config.load import Settings, load_settings
from voicebot.models.catalogue import load_catalogue
from voicebot.models.plan import MemoryPlan, available_memory_mb, plan_memory
from voicebot.models.store import Store

PipelineOption = Annotated[str, typer.Option("--pipeline", help="Name or file of the conversation's settings.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="Name or file of the box's settings.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]

log_console = Console(stderr=True, highlight=False, soft_wrap=True)


def load(pipeline: str, profile: str) -> Settings:
    """Load the settings and set up logging to standard error."""
    level = os.environ.get("VOICEBOT_LOG", "WARNING").upper()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "WARNING",
        format="%(message)s",
        handlers=[RichHandler(console=log_console, show_path=False)],
    )
    return load_settings(pipeline, profile)


def open_store(settings: Settings) -> Store:
    """Return the model store that the settings name."""
    configured = settings.box.paths.models
    root = Path(configured).expanduser() if configured else Store.default_root()
    return Store(root, load_catalogue(root))


def memory_plan(
    settings: Settings,
    store: Store,
    *,
    context_tokens: int | None = None,
    sessions: int = 1,
    model_ids: Sequence[str] = (),
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
        if section.engine != "scripted" and stage not in replaced
    ]
    return plan_memory(
        models + instead,
        context_tokens or settings.pipeline.slm.context_tokens,
        sessions,
        memory_limit_mb(settings),
        alternatives=list(known.models.values()),
    )


def check_memory(settings: Settings, store: Store) -> None:
    """Refuse to start models that cannot fit. Raises ModelError with the numbers and a smaller model."""
    planned = memory_plan(settings, store)
    if planned.rows:
        planned.check()


def memory_limit_mb(settings: Settings) -> float:
    """Return what the box has for models: what it says, or less when the settings say so."""
    limit_mb = settings.box.memory.limit_mb
    available_mb = available_memory_mb()
    return min(limit_mb, available_mb) if limit_mb else available_mb


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))

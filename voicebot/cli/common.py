"""What several commands share: options, settings, output."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.logging import RichHandler

from voicebot.config.load import Settings, load_settings
from voicebot.interfaces.journal import JournalHandler, is_journal
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

PipelineOption = Annotated[str, typer.Option("--pipeline", help="Name or file of the conversation's settings.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="Name or file of the box's settings.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]

_STANDARD_ERROR: Final = 2
log_console = Console(stderr=True, highlight=False, soft_wrap=True)


def load(pipeline: str, profile: str) -> Settings:
    """Load the settings and set up logging: to the journal where standard error leads there, else to standard error."""
    level = os.environ.get("VOICEBOT_LOG", "WARNING").upper()
    handler = JournalHandler() if is_journal(os.environ, _STANDARD_ERROR) else _terminal()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "WARNING",
        handlers=[handler],
    )
    return load_settings(pipeline, profile)


def _terminal() -> logging.Handler:
    handler = RichHandler(console=log_console, show_path=False)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def open_store(settings: Settings) -> Store:
    """Return the model store that the settings name."""
    configured = settings.box.paths.models
    root = Path(configured).expanduser() if configured else Store.default_root()
    return Store(root, load_catalogue(root))


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))

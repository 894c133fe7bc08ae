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
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

PipelineOption = Annotated[str, typer.Option("--pipeline", help="Name or file of the conversation's settings.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="Name or file of the box's settings.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]

_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
log_console = Console(stderr=True, highlight=False, soft_wrap=True)


def load(pipeline: str, profile: str) -> Settings:
    """Load the settings and set up logging to standard error."""
    level = os.environ.get("VOICEBOT_LOG", "WARNING").upper()
    handler: logging.Handler = RichHandler(console=log_console, show_path=False)
    if "JOURNAL_STREAM" in os.environ:
        handler = logging.StreamHandler()
        handler.setFormatter(_ForJournal())
    else:
        handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "WARNING",
        handlers=[handler],
    )
    return load_settings(pipeline, profile)


class _ForJournal(logging.Formatter):
    """One line a message, after its priority as sd-daemon(3) has it; the journal has the time and the process."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        priority = next(number for least, number in _PRIORITIES if record.levelno >= least)
        return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def open_store(settings: Settings) -> Store:
    """Return the model store that the settings name."""
    configured = settings.box.paths.models
    root = Path(configured).expanduser() if configured else Store.default_root()
    return Store(root, load_catalogue(root))


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))

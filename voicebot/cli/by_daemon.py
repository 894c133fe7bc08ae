"""What `voicebot say` and `voicebot ask` share: the daemon does it when one runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voicebot.errors import EngineError, UsageError
from voicebot.interfaces.control_client import ControlClient, NoDaemonError

AloneOption = Annotated[bool, typer.Option("--alone", help="Load the models here, even when a daemon runs.")]


def chosen(context: typer.Context, *options: str) -> bool:
    """Return whether one of the options was given on the command line."""
    sources = [context.get_parameter_source(option) for option in options]
    return any(source is not None and source.name == "COMMANDLINE" for source in sources)


def daemon_to_prompt() -> ControlClient | None:
    """Return the daemon that is to speak; None when none runs, or may be asked, which standard error is told."""
    try:
        return ControlClient.find()
    except NoDaemonError as error:
        typer.echo(f"voicebot: {error} This is done without it.", err=True)
        return None


def prompt(daemon: ControlClient, request: str, text: str, session: str | None) -> dict[str, Any]:
    """Have a text said or answered, and return its turn once it has ended. Raises EngineError when that failed."""
    with daemon:
        answer = daemon.request(request, patience_s=None, text=text, session=session)
    turn: dict[str, Any] = answer["turn"]
    if turn["error"] is not None:
        raise EngineError(str(turn["error"]))
    return turn


def refuse_session(session: str | None) -> None:
    """Raise UsageError when a session was named that nobody holds."""
    if session is not None:
        raise UsageError("--session is of the daemon's; without one, or with own options, there is no session.")

"""`voicebot recorder`: what is asked of the running daemon's flight recorder."""

from __future__ import annotations

import typer

from voicebot.cli.common import JsonOption, print_json
from voicebot.interfaces.control_client import ControlClient

app = typer.Typer(no_args_is_help=True, help="The daemon's flight recorder, which is off unless [recorder] enables it.")
_PATIENCE_S = 120.0
"""A slow card writes some tens of megabytes."""


@app.callback()
def _recorder() -> None:
    """Be a group, also with a single command."""


@app.command("save")
def save(*, as_json: JsonOption = False) -> None:
    """Have the latest minutes written to a file in the daemon's folder, and print its name."""
    with ControlClient.connect() as daemon:
        saved = daemon.request("save_recording", patience_s=_PATIENCE_S)
    if as_json:
        print_json(saved)
    else:
        typer.echo(saved["file"])

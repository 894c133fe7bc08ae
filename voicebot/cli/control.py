"""`voicebot stop|listen|mute|unmute|volume|sessions|reload|events`: what is asked of the running daemon."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from voicebot.cli.common import JsonOption, print_json
from voicebot.interfaces.control_client import ControlClient

SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="NAME", help="One conversation of the daemon's, by its name.")
]
_RELOAD_PATIENCE_S = 60.0


def stop(*, session: SessionOption = None, as_json: JsonOption = False) -> None:
    """End what the daemon is saying; by default in all its conversations."""
    stopped = _ask("stop", session=session)
    _tell(stopped, f"{stopped['stopped']} stopped" if stopped["stopped"] else "nothing was being said", as_json=as_json)


def listen(
    *,
    session: SessionOption = None,
    off: Annotated[bool, typer.Option("--off", help="No longer: the button is released.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Push to talk: let the daemon listen for a while without its wake word."""
    told = _ask("unlisten" if off else "listen", session=session)
    _tell(told, f"{told['session']} {'listens no longer' if off else 'listens'}", as_json=as_json)


def mute(*, as_json: JsonOption = False) -> None:
    """Switch the daemon's microphones off; they stay off over a restart."""
    _tell(_ask("mute"), "the microphone is off", as_json=as_json)


def unmute(*, as_json: JsonOption = False) -> None:
    """Switch the daemon's microphones on again."""
    _tell(_ask("unmute"), "the microphone is on", as_json=as_json)


def volume(
    percent: Annotated[int | None, typer.Argument(min=0, max=100, help="How loud; without it, print how loud.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Set how loud the daemon speaks, in percent."""
    told = {"volume": _ask("status")["volume"]} if percent is None else _ask("volume", percent=percent)
    _tell(told, f"{told['volume']} %", as_json=as_json)


def sessions(*, as_json: JsonOption = False) -> None:
    """List the daemon's conversations."""
    found = _ask("sessions")
    if as_json:
        print_json(found)
        return
    table = Table("session", "state", "exchanges", "frames lost", box=None, pad_edge=False)
    for name, one in found["sessions"].items():
        table.add_row(name, one["state"], str(one["exchanges"]), str(one["dropped_frames"]))
    Console(highlight=False, soft_wrap=True).print(table if found["sessions"] else "none is open", markup=False)


def reload(*, as_json: JsonOption = False) -> None:
    """Let the daemon read its settings again; prints what needs a restart."""
    told = _ask("reload", patience_s=_RELOAD_PATIENCE_S)
    _tell(told, "\n".join(["reloaded", *told["needs_restart"]]), as_json=as_json)


def events(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print each as one line of JSON, whole.")] = False
) -> None:
    """Print what happens in the daemon as it happens, until Ctrl-C or until the daemon ends."""
    with ControlClient.connect() as daemon:
        for event in daemon.events():
            typer.echo(json.dumps(event, ensure_ascii=False) if as_json else _line(event))


def _ask(request: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - each request has its own
    with ControlClient.connect() as daemon:
        return daemon.request(request, **fields)


def _tell(result: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        typer.echo(sentence)


def _line(event: dict[str, Any]) -> str:
    """Return the session, what happened, and what is short enough to be told in a line."""
    told = {key: value for key, value in event.items() if key not in {"event", "session"}}
    short = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in told.items()
        if value not in ("", None) and not isinstance(value, dict | list)
    ]
    return " ".join([event.get("session") or "-", event["event"], *short])

"""`voicebot status`: what the running daemon does, and what it does with the processor."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from voicebot.cli.common import JsonOption, print_json
from voicebot.config.runtime import folders_to_ask
from voicebot.cpu.status import STATUS_FILE, Status, read_status
from voicebot.interfaces.control_client import ControlClient

_KHZ_PER_GHZ: Final = 1_000_000
_SCHEMA: Final = 2
"""Of the object that holds both; each of them has its own."""


def status(*, as_json: JsonOption = False) -> None:
    """Show what the running daemon does, and with the processor. Exits with 1 when none runs.

    `voicebot talk` tells of the processor alone.
    """
    processor = _processor()
    daemon = _daemon(required=processor is None)
    if as_json:
        print_json({"schema": _SCHEMA, "daemon": daemon, "processor": processor})
        return
    console = Console(highlight=False, soft_wrap=True)
    if daemon is not None:
        _print_daemon(console, daemon)
    if processor is not None:
        _print_processor(console, processor)


def _daemon(*, required: bool) -> dict[str, Any] | None:
    client = ControlClient.connect() if required else ControlClient.find()
    if client is None:
        return None
    with client:
        return client.request("status")


def _processor() -> Status | None:
    return next(filter(None, (read_status(folder / STATUS_FILE) for folder in folders_to_ask())), None)


def _print_daemon(console: Console, daemon: dict[str, Any]) -> None:
    models = ", ".join(f"{stage} {model}" for stage, model in daemon["pipeline"].items() if model)
    heard = "the microphone is off" if daemon["muted"] else "listening"
    console.print(f"daemon        process {daemon['pid']}, {heard}, volume {daemon['volume']} %", markup=False)
    console.print(f"models        {models or 'none'}", markup=False)
    sessions = ", ".join(_session(name, one) for name, one in daemon["sessions"].items())
    console.print(f"sessions      {sessions or 'none is open'}", markup=False)
    workers = ", ".join(_worker(stage, worker) for stage, worker in daemon["workers"].items())
    console.print(f"workers       {workers or 'none'}", markup=False)
    last = daemon["last_turn"]
    console.print(f"turns         {daemon['turns']}", markup=False)
    if last is not None:
        waited_ms = last["voice_to_voice_ms"]
        after = "" if waited_ms is None else f" after {waited_ms:.0f} ms"
        failed = "" if last["error"] is None else f" (failed: {last['error']})"
        console.print(f"last turn     {last['user']!r}: {last['heard']!r}{after}{failed}", markup=False)


def _session(name: str, session: dict[str, Any]) -> str:
    attention = ""
    if not session["attentive"]:
        attention = " (waiting to be called)"
    elif session["attentive_s"]:
        attention = f" (listening for {session['attentive_s']:.0f} s more)"
    return f"{name} {session['state']}{attention}"


def _worker(stage: str, worker: dict[str, Any]) -> str:
    deaths = f" ({worker['deaths']} died before)" if worker["deaths"] else ""
    return f"{stage} {worker['state']}{deaths}"


def _print_processor(console: Console, found: Status) -> None:
    sessions = ", ".join(f"{name} {phase}" for name, phase in found["sessions"].items())
    console.print(f"processor     process {found['pid']}, {sessions or 'nobody speaks'}")
    console.print(_clusters(found["clusters"]))
    console.print(_seats(found["seats"]))
    temperatures = ", ".join(f"{zone} {celsius:.0f}" for zone, celsius in found["temperatures_c"].items())
    console.print(f"temperatures  {temperatures + ' degrees Celsius' if temperatures else 'not known'}")
    console.print(f"ladders       {_ladders(found['ladder'])}")
    console.print(f"energy        {_energy(found['energy'])}")


def _clusters(clusters: list[dict[str, Any]]) -> Table:
    table = Table("cluster", "cores", "GHz", "limits", "governor", box=None, pad_edge=False)
    for cluster in clusters:
        limits = f"{_ghz(cluster['floor_khz'])} to {_ghz(cluster['ceiling_khz'])}"
        cores = ",".join(map(str, cluster["cpus"]))
        table.add_row(cluster["name"], cores, _ghz(cluster["khz"]), limits, cluster["governor"] or "-")
    return table


def _seats(seats: dict[str, dict[str, Any]]) -> Table:
    table = Table("role", "cores", "threads", "clamps", box=None, pad_edge=False)
    for role, seat in seats.items():
        cores = ",".join(map(str, seat["cpus"]))
        table.add_row(role, cores, str(seat["threads"]), f"{seat['clamp_min']} to {seat['clamp_max']}")
    return table


def _ladders(ladder: dict[str, Any]) -> str:
    down = ", ".join(f"{name} {rung} down" for name, rung in ladder["rungs"].items() if rung)
    heat = f", heat asks for {ladder['pressure']:.0%} less work" if ladder["pressure"] else ""
    return f"{down or 'full quality'}{heat}"


def _energy(energy: dict[str, Any]) -> str:
    how = "measured" if energy["measured"] else "estimated"
    told = [f"{energy['joules']:.0f} J in all"]
    if energy["turns"]:
        told.append(f"{energy['turn_joules'] / energy['turns']:.1f} J in a turn ({energy['turns']} so far)")
    if energy["idle_w"] is not None:
        told.append(f"{energy['idle_w']:.1f} W while nobody speaks")
    return f"{', '.join(told)}; {how}"


def _ghz(khz: int | None) -> str:
    return "-" if khz is None else f"{khz / _KHZ_PER_GHZ:.2f}"

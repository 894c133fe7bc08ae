"""`voicebot status`: what the running daemon does with the processor."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from voicebot.cli.common import JsonOption, print_json
from voicebot.cpu.status import Status, read_status, status_path
from voicebot.errors import VoicebotError

_KHZ_PER_GHZ: Final = 1_000_000


class NotRunningError(VoicebotError):
    """No daemon runs that could be asked."""


def status(*, as_json: JsonOption = False) -> None:
    """Show what the running daemon does with the processor. Exits with 1 when none runs."""
    path = status_path()
    if path is None:
        raise NotRunningError("a daemon has no place to tell anything; set $XDG_RUNTIME_DIR, for it and here.")
    found = read_status(path)
    if found is None:
        raise NotRunningError(f"no daemon runs that could be asked; {path} tells of none.")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Status) -> None:
    console = Console(highlight=False, soft_wrap=True)
    sessions = ", ".join(f"{name} {phase}" for name, phase in found["sessions"].items())
    console.print(f"process {found['pid']}, {sessions or 'nobody speaks'}")
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

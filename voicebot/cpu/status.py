"""What the governor has done, for who asks: a snapshot in a file of the running daemon."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from voicebot.config.runtime import runtime_folder
from voicebot.cpu.account import Balance
from voicebot.cpu.actuators import Controls
from voicebot.cpu.box import Box
from voicebot.cpu.limits import POLICIES
from voicebot.cpu.placement import Placement
from voicebot.cpu.sysfs import Folder

_log = logging.getLogger(__name__)
SCHEMA: Final = 1
STATUS_FILE: Final = "status.json"
_WRITE_EVERY_S: Final = 1.0
Status = dict[str, Any]


def status_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where the snapshot is, in the folder of a daemon that runs; None where there is none."""
    folder = runtime_folder(environ)
    return None if folder is None else folder / STATUS_FILE


def status_of(
    box: Box,
    root: Path,
    *,
    placement: Placement,
    temperatures_c: Mapping[str, float],
    rungs: Mapping[str, int],
    pressure: float,
    phases: Mapping[str, str],
    balance: Balance,
    controls: Controls,
) -> Status:
    """Return the snapshot. Reads the present frequencies. `rungs`: how far down each ladder stands, by its name."""
    clusters = []
    for cluster in box.clusters:
        folder, speed = Folder(root / POLICIES / cluster.name), placement.speeds.get(cluster.name)
        clusters.append(
            {
                "name": cluster.name,
                "cpus": list(cluster.cpus),
                "capacity": cluster.capacity,
                "governor": folder.word("scaling_governor"),
                "khz": folder.number("scaling_cur_freq"),
                "floor_khz": folder.number("scaling_min_freq"),
                "ceiling_khz": folder.number("scaling_max_freq"),
                "wanted": None if speed is None else asdict(speed),
            }
        )
    return {
        "schema": SCHEMA,
        "pid": os.getpid(),
        "sessions": dict(phases),
        "clusters": clusters,
        "temperatures_c": dict(temperatures_c),
        "seats": {role: asdict(seat) for role, seat in placement.seats.items()},
        "wake_up_us": placement.wake_up_us,
        "ladder": {"pressure": round(pressure, 3), "rungs": dict(rungs)},
        "energy": asdict(balance),
        "controls": asdict(controls),
    }


class StatusFile:
    """Written when something has changed, and once a second at most; a reader sees an old one or a new one."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None where there is no place for it. The file of another process that lives is left alone."""
        self._path = path
        self.latest: Status | None = None
        """The last one, written or not."""
        self._written_s = -_WRITE_EVERY_S
        if path is not None and (other := read_status(path)) is not None and other["pid"] != os.getpid():
            self._path = None

    def is_due(self, now_s: float) -> bool:
        """Return whether it may be written again. A clock that went back ends the wait."""
        return not 0 <= now_s - self._written_s < _WRITE_EVERY_S

    def write(self, status: Status, now_s: float) -> None:
        """Write it, if it is new. Where it can't be written, that is logged and not tried again."""
        if status == self.latest:
            return
        self.latest, self._written_s = status, now_s
        if self._path is None:
            return
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(status), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            _log.warning("%s can't be written (%s): `voicebot status` will know nothing", self._path, error.strerror)
            self._path = None

    def remove(self) -> None:
        """Take it away, if it is ours."""
        if self._path is not None and self.latest is not None:
            self._path.unlink(missing_ok=True)


def read_status(path: Path) -> Status | None:
    """Return the snapshot of the daemon that runs; None when none does, whatever the file holds."""
    try:
        status: Status = json.loads(path.read_text("utf-8"))
        runs = Path(f"/proc/{int(status['pid'])}").exists()
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return status if runs and status.get("schema") == SCHEMA else None

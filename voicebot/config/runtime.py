"""Where a daemon that runs is found: the folder of its socket and of what it tells of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SYSTEM_FOLDER: Final = Path("/run/voicebot")
"""What systemd gives the service of the whole box."""
_MODE: Final = 0o750


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return a daemon's own folder: systemd's $RUNTIME_DIRECTORY, or the user's own one; None without either."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if own := environ.get("XDG_RUNTIME_DIR"):
        return Path(own) / "voicebot"
    return None


def folders_to_ask(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return where a daemon may be found by others, the user's own before the box's."""
    own = runtime_folder(environ)
    return (SYSTEM_FOLDER,) if own is None or own == SYSTEM_FOLDER else (own, SYSTEM_FOLDER)


def control_path(folder: Path) -> Path:
    """Return where the control socket is."""
    return folder / "control.sock"


def make_runtime_folder(folder: Path) -> None:
    """Make it, for its owner and group alone. One that is there is left as it is. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_MODE)

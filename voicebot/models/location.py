"""Where the model store is, the cache, and what was switched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SYSTEM_ROOT: Final = Path("/var/lib/voicebot/models")


def default_root(environ: Mapping[str, str] = os.environ, system_root: Path = _SYSTEM_ROOT) -> Path:
    """Return $VOICEBOT_MODELS, else the user's own store, else the system's when only that one exists."""
    if named := environ.get("VOICEBOT_MODELS"):
        return Path(named).expanduser()
    data_home = environ.get("XDG_DATA_HOME")
    own = (Path(data_home) if data_home else Path.home() / ".local/share") / "voicebot/models"
    if not own.exists() and system_root.is_dir() and os.access(system_root, os.R_OK | os.X_OK):
        return system_root
    return own


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where what can be made again is kept: systemd's $CACHE_DIRECTORY, else the user's own cache."""
    if given := environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])
    cache_home = environ.get("XDG_CACHE_HOME")
    return (Path(cache_home) if cache_home else Path.home() / ".cache") / "voicebot"


def default_state(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where what was switched is kept: systemd's $STATE_DIRECTORY, else the user's own place for it."""
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    state_home = environ.get("XDG_STATE_HOME")
    return (Path(state_home) if state_home else Path.home() / ".local/state") / "voicebot"

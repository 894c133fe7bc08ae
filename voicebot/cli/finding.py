"""What `voicebot doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is the command, or the change, that puts it right."""

    name: str
    state: State
    detail: str
    mend: str = ""

"""The base of every settings section: frozen, and closed to keys that it does not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings that one part of the program is handed."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

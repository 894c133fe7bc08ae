"""The base of every settings section: frozen, closed to keys it does not know, and strict about types as TOML is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict

Texts = Annotated[tuple[str, ...], Strict(strict=False)]
"""A list of TOML's becomes a tuple."""


class Section(BaseModel):
    """A group of settings that one part of the program is handed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_strip_whitespace=True)

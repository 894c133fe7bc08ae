"""What differs between two readings of the settings, and which of it takes effect without a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from voicebot.config.load import Settings

_AT_ONCE: Final = frozenset(
    {"box.audio", "box.sessions", "box.web", "box.mqtt", "box.lights", "box.recorder", "box.traces", "box.wyoming"}
)
"""Sections whose part of the daemon is begun anew, or that are looked up each time."""
_MODELS: Final = frozenset({"turn_model", "asr", "slm", "tts", "tiers", "router", "ladder", "openers", "phrases"})
"""Sections of a pipeline that stages are made of; the others are a conversation's, and hold for the next one."""


def changes(old: Settings, new: Settings) -> frozenset[str]:
    """Return the sections that differ, as "box.web" or "pipeline.endpoint"."""
    pairs = {"box": (old.box, new.box), "pipeline": (old.pipeline, new.pipeline)}
    return frozenset(
        f"{kind}.{section}"
        for kind, (before, after) in pairs.items()
        for section in type(before).model_fields
        if getattr(before, section) != getattr(after, section)
    )


def adoptable(old: Settings, new: Settings) -> Settings:
    """Return the new settings, with the old sections where those of the running daemon stay until it is restarted."""
    late = [name.split(".") for name in _late(changes(old, new))]
    box = new.box.model_copy(update={name: getattr(old.box, name) for kind, name in late if kind == "box"})
    kept = {name: getattr(old.pipeline, name) for kind, name in late if kind == "pipeline"}
    return replace(new, box=box, pipeline=new.pipeline.model_copy(update=kept))


def needing_restart(changed: frozenset[str]) -> list[str]:
    """Return a sentence for each changed section that takes effect only when the daemon is started again."""
    return [f"[{name.partition('.')[2]}] has changed; restart the daemon for it." for name in _late(changed)]


def _late(changed: frozenset[str]) -> list[str]:
    conversations = {name for name in changed if name.startswith("pipeline.") and name.partition(".")[2] not in _MODELS}
    return sorted(changed - _AT_ONCE - conversations)

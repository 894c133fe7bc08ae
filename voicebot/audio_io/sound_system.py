"""What the system says of its sound devices, without opening one: cheap enough to be asked every second.

PortAudio hears of nothing: not of a device that comes or goes, nor of a stream that the sound server has moved to
another device. Linux lists its cards in /proc; a PulseAudio or PipeWire server is asked by its own protocol.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CARDS: Final = (Path("/proc/asound/cards"), Path("/proc/asound/pcm"))
_NO_INDEX: Final = 0xFFFFFFFF
"""PA_INVALID_INDEX of libpulse."""

Node = tuple[str, int, str]
"""A device of the sound server: "source" or "sink", its number, its name. A number is not used again."""


@dataclass(frozen=True, slots=True)
class SoundSystem:
    """What there was at one moment."""

    cards: tuple[str, ...] = ()
    nodes: frozenset[Node] = frozenset()
    """The devices of the sound server; none where there is no server."""
    ours: frozenset[Node] = frozenset()
    """Those that streams of this process are on."""
    monitors: frozenset[Node] = frozenset()
    """The sources that hear what a sink plays; a server without a microphone offers one of them."""

    @property
    def devices(self) -> tuple[object, ...]:
        """What differs when a device has come or gone."""
        return self.cards, self.nodes

    def lost_since(self, before: SoundSystem) -> Node | None:
        """Return a device that our streams were on before and that is gone, though the server is there."""
        return min(before.ours - self.nodes, default=None) if self.nodes else None


def look_at_sound() -> SoundSystem:
    """Return what there is. Takes 2 ms of processor time; blocks while a sound server hangs. Raises nothing."""
    cards = tuple(path.read_text("utf-8", "replace") if path.exists() else "" for path in _CARDS)
    try:
        import pulsectl  # noqa: PLC0415 - fails where libpulse is not installed
    except (ImportError, OSError):
        return SoundSystem(cards)
    try:
        with pulsectl.Pulse("voicebot") as server:
            return _asked(server, cards)
    except pulsectl.PulseError:
        return SoundSystem(cards)


def _asked(server: Any, cards: tuple[str, ...]) -> SoundSystem:  # noqa: ANN401
    sources, sinks = server.source_list(), server.sink_list()
    nodes = {("source", each.index): each.name for each in sources}
    nodes |= {("sink", each.index): each.name for each in sinks}
    places = [("source", each.source, each) for each in server.source_output_list()]
    places += [("sink", each.sink, each) for each in server.sink_input_list()]
    ours = {
        (kind, index, nodes[kind, index])
        for kind, index, stream in places
        if stream.proplist.get("application.process.id") == str(os.getpid()) and (kind, index) in nodes
    }
    return SoundSystem(
        cards,
        frozenset((kind, index, name) for (kind, index), name in nodes.items()),
        frozenset(ours),
        frozenset(("source", each.index, each.name) for each in sources if each.monitor_of_sink != _NO_INDEX),
    )

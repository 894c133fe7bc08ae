"""What turns took of energy, which is told after their ends and beside their sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicebot.events import Event, Observer, TurnEnergy


class Energies:
    """An observer that keeps it, and tells another one everything."""

    def __init__(self, observer: Observer) -> None:
        self.told: list[TurnEnergy] = []
        self._observer = observer

    def __call__(self, event: Event) -> None:
        """Observe."""
        if isinstance(event, TurnEnergy):
            self.told.append(event)
        self._observer(event)


def add_energies(turns: Sequence[dict[str, Any]], energies: Sequence[TurnEnergy]) -> None:
    """Say of each reported turn what the whole box took while it lasted, in joules; None where it is not known."""
    known = {(energy.session, energy.turn): energy for energy in energies}
    for turn in turns:
        energy = known.get((turn["session"], turn["turn"]))
        turn["energy_j"] = None if energy is None else round(energy.joules, 2)
        turn["energy_measured"] = energy is not None and energy.measured

"""How much slower heat makes the box, before the firmware does it more coarsely. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.cpu.box import Box
from voicebot.cpu.held import Held, settled
from voicebot.cpu.settings import PolicySettings


@dataclass(frozen=True, slots=True)
class Derating:
    """What is remembered of the heat."""

    zones_c: Mapping[str, float] = field(default_factory=dict)
    """The zones' temperatures without their noise."""
    lost: Held = field(default_factory=Held)

    @property
    def allowed(self) -> float:
        """What share of the top frequency is allowed: f = f_max * (1 - alpha * (T - T_threshold))."""
        return 1.0 - self.lost.value

    def then(self, box: Box, readings_c: Mapping[str, float], settings: PolicySettings, now_s: float) -> Derating:
        """Return what follows from readings. The zone that is nearest to its trip counts for all clusters."""
        zones_c = {
            name: settled(self.zones_c.get(name), celsius, settings.heat_band_c) for name, celsius in readings_c.items()
        }
        excess_c = [celsius - _threshold_c(box, name, settings) for name, celsius in zones_c.items()]
        lost = min(1.0, settings.heat_alpha_per_c * max([0.0, *excess_c]))
        return Derating(zones_c, self.lost.then(lost, now_s, settings.heat_hold_s))


def _threshold_c(box: Box, zone: str, settings: PolicySettings) -> float:
    trips = (trip for each in box.zones if each.name == zone for trip in each.trips)
    passive_c = [trip.celsius for trip in trips if trip.kind == "passive"]
    return min(passive_c, default=settings.assumed_trip_c) - settings.heat_margin_c

"""How warm the die becomes: two RC stages, solved exactly while the power stays the same.

Die and sink obey  Cd Td' = P - (Td - Ts)/Rd  and  Cs Ts' = (Td - Ts)/Rd - (Ts - Ta)/Rs, whose matrix has two negative
real eigenvalues. Each step moves the two eigenmodes towards where the power would bring them.
"""

from __future__ import annotations

import math

from voicebot.sim.chip import Cooling


class Heat:
    """The temperatures of die and sink, in degrees Celsius. It begins at that of the room."""

    def __init__(self, cooling: Cooling) -> None:
        self._cooling = cooling
        self.die_c = cooling.ambient_c
        self.sink_c = cooling.ambient_c
        die_die = -1 / (cooling.die_k_per_w * cooling.die_j_per_k)
        self._sink_die = 1 / (cooling.die_k_per_w * cooling.sink_j_per_k)
        sink_sink = -(1 / cooling.die_k_per_w + 1 / cooling.sink_k_per_w) / cooling.sink_j_per_k
        mean = (die_die + sink_sink) / 2
        root = math.sqrt(((die_die - sink_sink) / 2) ** 2 - die_die * self._sink_die)
        self._slow, self._fast = mean + root, mean - root
        # An eigenvector is (l - sink_sink, sink_die) for its eigenvalue l.
        self._slow_die = self._slow - sink_sink
        self._fast_die = self._fast - sink_sink

    def settled_c(self, watts: float) -> tuple[float, float]:
        """Return the temperatures of die and sink after a long time at a power."""
        sink_c = self._cooling.ambient_c + watts * self._cooling.sink_k_per_w
        return sink_c + watts * self._cooling.die_k_per_w, sink_c

    def pass_time(self, seconds: float, watts: float) -> None:
        """Let the power heat for a while."""
        die_end_c, sink_end_c = self.settled_c(watts)
        die, sink = self.die_c - die_end_c, self.sink_c - sink_end_c
        both = sink / self._sink_die
        slow = (die - both * self._fast_die) / (self._slow_die - self._fast_die)
        fast = both - slow
        slow *= math.exp(self._slow * seconds)
        fast *= math.exp(self._fast * seconds)
        self.die_c = die_end_c + slow * self._slow_die + fast * self._fast_die
        self.sink_c = sink_end_c + (slow + fast) * self._sink_die


class Throttle:
    """The kernel's step-wise thermal governor: a cooling state more each time it is too hot, one less when it is not.

    A state is the number of operating points that every cluster gives up (Linux, drivers/thermal/gov_step_wise.c).
    """

    def __init__(self, cooling: Cooling) -> None:
        self._cooling = cooling
        self._was_c = -math.inf
        self.state = 0
        self.events = 0
        """How often it began."""

    def look(self, die_c: float, most: int) -> None:
        """Look at the temperature; `most` is the highest state there is."""
        rising = die_c >= self._was_c
        self._was_c = die_c
        if die_c >= self._cooling.trip_c:
            if rising and self.state < most:
                self.events += self.state == 0
                self.state += 1
        elif self.state and die_c < self._cooling.trip_c - self._cooling.hysteresis_k:
            self.state -= 1

"""How the policy decides. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The constants of the policy. Each gain can be switched off by itself, to see what it is worth."""

    pre_boost: bool = True
    """Speed goes up when somebody begins to speak, before there is work, and no further while only partials come."""
    core_choice: bool = True
    """Stages change cores: several sessions leave decoding its own, who is not waited for goes where it is frugal."""
    decode_knee: bool = True
    """Decoding, which memory bounds, runs where more speed would save it next to no time."""
    paced_synthesis: bool = True
    """While speaking, the lowest speed that stays ahead of playback."""
    clamp_idle: bool = True
    """While nobody is in a turn, nothing may speed up."""

    race: bool = True
    """While the user waits, as fast as can be; else just as fast as the deadline needs."""
    total_budget_s: float = 0.7
    """When an answer is due that does not say so itself, from the moment that its work is known."""
    patience_s: float = 5.0
    """Work is never put behind what came so much later, whatever is due sooner."""
    listening_share: float = 0.5
    """What share of the top frequency is there when somebody begins to speak."""
    knee_loss: float = 0.05
    """How much slower than at the top decoding may be."""
    slack: float = 0.2
    """What share of the time to a deadline stays unplanned while speaking: a clause late is a gap in the speech."""
    static_share: float = 0.1
    """Leakage over dynamic power, at the top frequency."""
    audio_capacity: int = 128
    """What audio, gate and VAD need of a core, on the scale on which the fastest has 1024."""
    wake_up_us: int = 250
    """How long a core may take to wake up while anybody is in a turn: 220 is the deepest sleep of an RK3588's cores."""

    hold_s: float = 0.1
    """How long a limit stays up that nothing asks for: stages follow each other in tens of milliseconds."""
    idle_hold_s: float = 1.0
    """How long after the last turn the box counts as idle, and how long a stage stays on a kind of core."""

    heat_margin_c: float = 6.0
    """How far below the firmware's own trip slowing down begins."""
    heat_alpha_per_c: float = 0.05
    """What share of the top frequency each degree above that takes away."""
    heat_band_c: float = 2.0
    """By how much it has to cool down before that counts."""
    heat_hold_s: float = 5.0
    """How long a slowdown lasts at least: a box cools in tens of seconds."""
    assumed_trip_c: float = 85.0
    """The trip of a zone that names none."""

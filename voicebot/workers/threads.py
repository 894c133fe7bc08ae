"""How many threads each heavy stage gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from voicebot.config.box import CoreSettings

TURN_THREADS: Final = 1
"""Of the end-of-turn model: it runs while recognition has the other cores."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of the heavy stages whose number depends on the box."""

    asr: int
    slm: int
    slm_prefill: int
    tts: int

    @classmethod
    def choose(cls, settings: CoreSettings, cores: int) -> Self:
        """Return what the settings say, and where they say 0 what suits the number of cores.

        Half of a large box is for inference, four cores at most: the rest is for audio and for everything else. On
        two cores all stages share both, but decoding takes one: measured on such a box, two decoding threads fall
        from 120 to 23 tokens/s as soon as synthesis or another program runs beside them, one stays above 80.
        """
        heavy = max(1, min(4, cores if cores <= 2 else cores // 2))
        decode = 1 if cores <= 2 else heavy
        return cls(
            asr=settings.asr_threads or heavy,
            slm=settings.slm_threads or decode,
            slm_prefill=settings.slm_prefill_threads or settings.slm_threads or heavy,
            tts=settings.tts_threads or heavy,
        )

    def of(self, stage: str) -> int:
        """Return the threads of the stage with that name."""
        return {"asr": self.asr, "slm": self.slm, "tts": self.tts, "turn": TURN_THREADS}[stage]

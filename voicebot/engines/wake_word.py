"""The wake word: microWakeWord's streaming models, with the weights that ship inside pymicro-wakeword."""

from __future__ import annotations

from typing import Final

from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

from voicebot.audio import Pcm, samples_from_ms
from voicebot.config.wake import WakeSettings
from voicebot.errors import EngineError

_LATE_MS: Final = 160
"""How long after its end the word is noticed.

In synthesised requests of one breath it was 44 ms before to 192 ms after. Cut 160 ms earlier, Whisper understood each
of 62 from its first word on; cut 120 ms earlier, two of 39 had lost a part of it, and where it was noticed six of 16.
"""


class MicroWakeWordDetector:
    """One stream's detector; it carries state from chunk to chunk. 20 ms take 40 us, a reset 0.14 ms."""

    late_samples: int = samples_from_ms(_LATE_MS)

    def __init__(self, settings: WakeSettings) -> None:
        """Load the word's model. Raises EngineError."""
        try:
            self._word = MicroWakeWord.from_builtin(Model(settings.word))
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(
                f"the wake word {settings.word!r} can't be loaded: {error}; install pymicro-wakeword anew."
            ) from error
        self._word.probability_cutoff = 1 - (1 - self._word.probability_cutoff) * 2 * settings.sensitivity
        self._features = MicroWakeWordFeatures()

    def hears(self, pcm: Pcm) -> bool:
        """Take the next audio, 16 kHz mono int16; return whether the word was noticed in it. Then it begins anew."""
        for features in self._features.process_streaming(pcm.tobytes()):
            if self._word.process_streaming(features):
                self.reset()
                return True
        return False

    def reset(self) -> None:
        """Forget the stream."""
        self._word.reset()
        self._features.reset()

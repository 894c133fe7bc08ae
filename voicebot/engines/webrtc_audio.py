"""WebRTC's audio processing: echo cancellation (AEC3), noise suppression and gain control (AGC2)."""

from __future__ import annotations

from typing import Final

from pywebrtc_audio import AudioProcessor
from pywebrtc_audio import EchoCanceller as Aec3

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.config.pipeline import HearingSettings

_NOISE_LEVELS: Final = {"low": 0, "moderate": 1, "high": 2}


class EchoCanceller:
    """Takes out of one microphone what one speaker plays. It goes on learning with every frame.

    It finds echo that comes 2 to 500 ms after the reference, none that comes before it. After a reset, and for the
    first second of its life, it suppresses all that might be echo, and with it much of a voice; when the delay
    changes under way, it needs 1 to 3 s to find the new one, and the echo is loud meanwhile.
    """

    def __init__(self) -> None:
        self._aec3 = Aec3(SAMPLE_RATE_HZ)

    def cancel(self, microphone: Pcm, reference: Pcm) -> Pcm:
        """Return the microphone without the echo, 8 ms late.

        `reference`: what was played at the same time, of the same length, which is a multiple of 160 samples.
        """
        return self._aec3.process(microphone, reference)

    def reset(self) -> None:
        """Forget the room."""
        self._aec3.reset()


class Enhancer:
    """Makes a voice clearer and evenly loud. Both adapt with every frame, so that it should hear them all."""

    def __init__(self, settings: HearingSettings) -> None:
        self._processor = AudioProcessor(
            SAMPLE_RATE_HZ,
            noise_suppression=settings.noise_suppression in _NOISE_LEVELS,
            ns_level=_NOISE_LEVELS.get(settings.noise_suppression, 0),
            auto_gain_control=settings.gain_control,
        )

    def enhance(self, pcm: Pcm) -> Pcm:
        """Return the next stretch of the stream, whose length is a multiple of 160 samples."""
        return self._processor.process(pcm)

    def reset(self) -> None:
        """Forget the noise and the level of the voice."""
        self._processor.reset()

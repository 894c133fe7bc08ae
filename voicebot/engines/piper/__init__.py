"""Speech with Piper: text to phonemes, phonemes to frames, frames to samples window by window, and when words end."""

from voicebot.engines.piper.engine import PiperEngine

__all__ = ["PiperEngine"]

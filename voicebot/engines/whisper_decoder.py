"""One loaded Whisper model: audio to an encoding on a window of any length, and that to text.

CTranslate2's decoder has no step callback, so it runs in slices of a few tokens over the kept encoding: between slices
the request may be cancelled, and a loop is stopped as it begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voicebot.config.pipeline import AsrSettings
from voicebot.engines.protocols import Cancel
from voicebot.engines.whisper_loops import stutters, without_loop
from voicebot.errors import EngineError

FULL_WINDOW_S: Final = 30.0
_HOP_SAMPLES: Final = 160
_SPARE_TOKENS: Final = 12
"""Beyond the tokens that the audio's length allows: for numbers and names that are spelled in many tokens."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder made of some audio."""

    states: Any
    audio_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """The words that the decoder found, and how sure it is of them."""

    text: str
    mean_logprob: float
    no_speech_probability: float


class WhisperDecoder:
    """A loaded Whisper model. Raises EngineError when the model's files don't load."""

    def __init__(self, model: Path, settings: AsrSettings, threads: int) -> None:
        self._settings = settings
        if not (model / "tokenizer.json").is_file():
            # faster-whisper would look for one on the internet.
            raise EngineError(f"faster-whisper can't load {model} (it has no tokenizer.json).")
        try:
            self._whisper = WhisperModel(
                str(model), device="cpu", compute_type=settings.compute_type, cpu_threads=threads, local_files_only=True
            )
            multilingual = bool(self._whisper.model.is_multilingual)
            self._tokenizer = Tokenizer(
                self._whisper.hf_tokenizer, multilingual, task="transcribe", language=settings.language
            )
        except Exception as error:  # a damaged tokenizer.json raises no less than that
            raise EngineError(f"faster-whisper can't load {model} ({error}).") from error
        self._prompt = [*self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]

    def encode(self, pcm: Pcm, window_s: float, cancel: Cancel) -> Encoded:
        """Encode 16 kHz mono audio, cut or padded with silence to the window. Raises EngineError."""
        features = self._features(pcm, window_s)
        cancel.raise_if_requested()
        try:
            states = self._whisper.model.encode(ctranslate2.StorageView.from_array(features))
        except RuntimeError as error:
            raise _failed(error) from error
        cancel.raise_if_requested()
        return Encoded(states, len(pcm) / SAMPLE_RATE_HZ, window_s)

    def decode(self, encoded: Encoded, beam_size: int, cancel: Cancel) -> Decoded:
        """Find the words, following that many transcripts at the same time. Raises EngineError."""
        try:
            return self._decode_in_slices(encoded, beam_size, cancel)
        except RuntimeError as error:
            raise _failed(error) from error

    def _features(self, pcm: Pcm, window_s: float) -> NDArray[np.float32]:
        """Return the log-mel spectrogram, (1, mels, frames), of the audio padded with silence to the window."""
        samples = np.zeros(round(window_s * SAMPLE_RATE_HZ / _HOP_SAMPLES) * _HOP_SAMPLES, np.float32)
        kept = pcm[: len(samples)]
        samples[: len(kept)] = kept.astype(np.float32) / FULL_SCALE
        mel = self._whisper.feature_extractor(samples, padding=0)
        return np.ascontiguousarray(mel[np.newaxis], dtype=np.float32)

    def _decode_in_slices(self, encoded: Encoded, beam_size: int, cancel: Cancel) -> Decoded:
        most = round(encoded.audio_s * self._settings.tokens_per_s) + _SPARE_TOKENS
        stop_at_loop = encoded.window_s < FULL_WINDOW_S
        tokens: list[int] = []
        logprob_sum = 0.0
        no_speech = 0.0
        ended = False
        while not ended and len(tokens) < most:
            wanted = min(self._settings.slice_tokens, most - len(tokens))
            result = self._generate(encoded.states, tokens, wanted, beam_size)
            if not tokens:
                no_speech = float(result.no_speech_prob)
            # The result repeats the tokens that it was told to begin with; they count in its mean with a
            # log-probability of 0.
            known, tokens = len(tokens), list(result.sequences_ids[0])
            ended = len(tokens) < known + wanted or (stop_at_loop and self._loops(tokens))
            logprob_sum += float(result.scores[0]) * (len(tokens) + ended)
            cancel.raise_if_requested()
        return Decoded(self._text(tokens), logprob_sum / max(1, len(tokens) + ended), no_speech)

    def _loops(self, tokens: Sequence[int]) -> bool:
        text = self._text(tokens)
        return stutters(text) or without_loop(text) is not None

    def _generate(self, states: Any, tokens: Sequence[int], wanted: int, beam_size: int) -> Any:  # noqa: ANN401
        return self._whisper.model.generate(
            states,
            [[*self._prompt, *tokens]],
            beam_size=beam_size,
            max_length=2 * (len(tokens) + wanted),  # CTranslate2 generates half of it, known tokens included
            suppress_blank=not tokens,
            return_scores=True,
            return_no_speech_prob=not tokens,
        )[0]

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens))).strip()


def _failed(error: RuntimeError) -> EngineError:
    return EngineError(f"speech recognition failed ({error}).")

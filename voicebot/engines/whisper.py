"""Speech to text with faster-whisper, on a window as short as the utterance.

faster-whisper pads every utterance to 30 s. CTranslate2 takes a shorter spectrogram, which is several times faster;
`whisper_loops` mends what goes wrong there, and a doubtful transcript is made again on a wider window.
The decoder has no step callback, so it runs in slices of a few tokens over the kept encoder output: between slices
the request may be cancelled, and a loop is stopped as it begins.
"""

from __future__ import annotations

import time
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
from voicebot.engines.protocols import Cancel, Transcript
from voicebot.engines.whisper_loops import stutters, too_many_words, without_loop
from voicebot.errors import EngineError

_FULL_WINDOW_S: Final = 30.0
_HOP_SAMPLES: Final = 160
_CUT_OFF: Final = ("-", "\u2014")
_SPARE_TOKENS: Final = 12
"""Beyond the tokens that the audio's length allows: for numbers and names that are spelled in many tokens."""
_SURELY_NO_SPEECH: Final = 0.9
"""On 124 recordings tiny.en put the seven without speech above 0.93 and all others below 0.33; for digital silence it
is sure enough of the word "you" to pass for speech by its log-probability."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    text: str
    mean_logprob: float
    no_speech_probability: float


class FasterWhisper:
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

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        """Return what was said; text is empty when the model finds no speech in it."""
        began_s = time.monotonic()
        audio_s = len(pcm) / SAMPLE_RATE_HZ
        window_s = short_s = self._window_s(audio_s, self._settings.window_floor_s)
        decoded = self._decode(pcm, window_s, cancel)
        if thorough and self._is_doubtful(decoded, audio_s):
            wider_s = self._window_s(audio_s, self._settings.second_window_s)
            if wider_s > window_s:
                window_s, decoded = wider_s, self._decode(pcm, wider_s, cancel, doubtful=True)
        hurried = False
        if thorough and window_s < _FULL_WINDOW_S and _repeats(decoded.text, audio_s):
            so_far_s = time.monotonic() - began_s
            hurried = within_s is not None and so_far_s * (1 + _FULL_WINDOW_S / (short_s + window_s)) > within_s
            if not hurried:
                window_s, decoded = _FULL_WINDOW_S, self._decode(pcm, _FULL_WINDOW_S, cancel)
        text = decoded.text
        if hurried or too_many_words(text, audio_s):
            text = without_loop(text) or text
        return Transcript(
            text="" if self._is_silence(decoded) else text,
            mean_logprob=decoded.mean_logprob,
            no_speech_probability=decoded.no_speech_probability,
            window_s=round(window_s, 2),
            fallback=window_s > short_s,
            hurried=hurried,
        )

    def _window_s(self, audio_s: float, floor_s: float) -> float:
        return min(max(floor_s, audio_s + self._settings.window_margin_s), _FULL_WINDOW_S)

    def _is_doubtful(self, decoded: _Decoded, audio_s: float) -> bool:
        """Return whether a wider window should decide.

        The words are unlikely, a repetition may be real, or a word is marked as cut off: of some voices it was whole.
        """
        cut_off = decoded.text.endswith(_CUT_OFF)
        unlikely = decoded.mean_logprob < self._settings.second_look_logprob
        return cut_off or unlikely or _repeats(decoded.text, audio_s)

    def _is_silence(self, decoded: _Decoded) -> bool:
        """Whisper's own rule (transcribe.py of openai/whisper): no speech is likely, and the words are not.

        Or no speech is all but certain.
        """
        no_speech = decoded.no_speech_probability
        unlikely = decoded.mean_logprob < self._settings.silence_logprob
        return no_speech > _SURELY_NO_SPEECH or (unlikely and no_speech > self._settings.no_speech_probability)

    def _decode(self, pcm: Pcm, window_s: float, cancel: Cancel, *, doubtful: bool = False) -> _Decoded:
        features = self._features(pcm, window_s)
        cancel.raise_if_requested()
        try:
            encoded = self._whisper.model.encode(ctranslate2.StorageView.from_array(features))
            cancel.raise_if_requested()
            audio_s, stop_at_loop = len(pcm) / SAMPLE_RATE_HZ, window_s < _FULL_WINDOW_S
            if doubtful:
                beams = self._settings.second_beam_size
                return self._decode_in_slices(encoded, audio_s, cancel, beams, stop_at_loop=stop_at_loop)
            return self._search(encoded, audio_s, cancel, stop_at_loop=stop_at_loop)
        except RuntimeError as error:
            raise EngineError(f"speech recognition failed ({error}).") from error

    def _search(self, encoded: Any, audio_s: float, cancel: Cancel, *, stop_at_loop: bool) -> _Decoded:  # noqa: ANN401
        """Decode, and once more with a wider beam where the words are doubtful: the audio is encoded already."""
        settings = self._settings
        found = self._decode_in_slices(encoded, audio_s, cancel, settings.beam_size, stop_at_loop=stop_at_loop)
        wider = settings.wider_beam_size
        if found.mean_logprob >= settings.wider_beam_logprob or wider <= settings.beam_size:
            return found
        other = self._decode_in_slices(encoded, audio_s, cancel, wider, stop_at_loop=stop_at_loop)
        return max(found, other, key=lambda decoded: decoded.mean_logprob)

    def _features(self, pcm: Pcm, window_s: float) -> NDArray[np.float32]:
        """Return the log-mel spectrogram, (1, mels, frames), of the audio padded with silence to the window."""
        samples = np.zeros(round(window_s * SAMPLE_RATE_HZ / _HOP_SAMPLES) * _HOP_SAMPLES, np.float32)
        kept = pcm[: len(samples)]
        samples[: len(kept)] = kept.astype(np.float32) / FULL_SCALE
        mel = self._whisper.feature_extractor(samples, padding=0)
        return np.ascontiguousarray(mel[np.newaxis], dtype=np.float32)

    def _decode_in_slices(
        self,
        encoded: Any,  # noqa: ANN401
        audio_s: float,
        cancel: Cancel,
        beam_size: int,
        *,
        stop_at_loop: bool,
    ) -> _Decoded:
        most = round(audio_s * self._settings.tokens_per_s) + _SPARE_TOKENS
        tokens: list[int] = []
        logprob_sum = 0.0
        no_speech = 0.0
        ended = False
        while not ended and len(tokens) < most:
            wanted = min(self._settings.slice_tokens, most - len(tokens))
            result = self._generate(encoded, tokens, wanted, beam_size)
            if not tokens:
                no_speech = float(result.no_speech_prob)
            # The result repeats the tokens that it was told to begin with; they count in its mean with a
            # log-probability of 0.
            known, tokens = len(tokens), list(result.sequences_ids[0])
            ended = len(tokens) < known + wanted or (stop_at_loop and self._loops(tokens))
            logprob_sum += float(result.scores[0]) * (len(tokens) + ended)
            cancel.raise_if_requested()
        return _Decoded(self._text(tokens), logprob_sum / max(1, len(tokens) + ended), no_speech)

    def _loops(self, tokens: Sequence[int]) -> bool:
        text = self._text(tokens)
        return stutters(text) or without_loop(text) is not None

    def _generate(self, encoded: Any, tokens: Sequence[int], wanted: int, beam_size: int) -> Any:  # noqa: ANN401
        return self._whisper.model.generate(
            encoded,
            [[*self._prompt, *tokens]],
            beam_size=beam_size,
            max_length=2 * (len(tokens) + wanted),  # CTranslate2 generates half of it, known tokens included
            suppress_blank=not tokens,
            return_scores=True,
            return_no_speech_prob=not tokens,
        )[0]

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens))).strip()


def _repeats(text: str, audio_s: float) -> bool:
    """Return whether a repetition may be real, or is one that no copy can be taken of."""
    if stutters(text):
        return True
    once = without_loop(text)
    if once is None:
        return too_many_words(text, audio_s)
    return too_many_words(once, audio_s) or not too_many_words(text, audio_s)

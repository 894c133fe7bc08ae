"""Speech to text with faster-whisper, on a window as short as the utterance.

faster-whisper pads every utterance to 30 s. CTranslate2 takes a shorter spectrogram, which is several times faster;
`whisper_loops` mends what goes wrong there, and a doubtful transcript is made again: by a larger model, where there is
one and the time for it, or else on a wider window.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.config.pipeline import AsrSettings
from voicebot.engines.protocols import Cancel, Transcript
from voicebot.engines.second_model import SecondModelPace
from voicebot.engines.whisper_decoder import FULL_WINDOW_S, Decoded, Encoded, WhisperDecoder
from voicebot.engines.whisper_loops import stutters, too_many_words, without_loop

_CUT_OFF: Final = ("-", "\u2014")
_SURELY_NO_SPEECH: Final = 0.9
"""On 124 recordings tiny.en put the seven without speech above 0.93 and all others below 0.33; for digital silence it
is sure enough of the word "you" to pass for speech by its log-probability."""


class FasterWhisper:
    """A loaded Whisper model, and a larger one for doubtful words. Raises EngineError when a model doesn't load."""

    def __init__(self, model: Path, settings: AsrSettings, threads: int, second_model: Path | None = None) -> None:
        self._settings = settings
        self._first = WhisperDecoder(model, settings, threads)
        self._second = None if second_model is None else WhisperDecoder(second_model, settings, threads)
        self._pace = SecondModelPace()

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        """Return what was said; text is empty when the model finds no speech in it."""
        settings = self._settings
        began_s = time.monotonic()
        audio_s = len(pcm) / SAMPLE_RATE_HZ
        window_s = short_s = self._window_s(audio_s, settings.window_floor_s)
        wider_s = max(short_s, self._window_s(audio_s, settings.second_window_s))
        model = self._first
        encoded = model.encode(pcm, short_s, cancel)
        decoded = model.decode(encoded, settings.beam_size, cancel)
        by_second = None
        if thorough and self._second is not None and _is_doubtful(decoded, audio_s, settings.second_model_logprob):
            first_s = time.monotonic() - began_s
            by_second = self._pace.fits(first_s, None if within_s is None else within_s - first_s)
            if by_second:
                model, window_s = self._second, wider_s
                decoded = model.decode(model.encode(pcm, wider_s, cancel), settings.second_beam_size, cancel)
                self._pace.took(first_s, time.monotonic() - began_s - first_s)
        if not by_second:
            decoded = self._with_wider_beam(model, encoded, decoded, cancel)
            if thorough and wider_s > short_s and _is_doubtful(decoded, audio_s, settings.second_look_logprob):
                window_s = wider_s
                decoded = model.decode(model.encode(pcm, wider_s, cancel), settings.second_beam_size, cancel)
        hurried = False
        if thorough and window_s < FULL_WINDOW_S and _repeats(decoded.text, audio_s):
            so_far_s = time.monotonic() - began_s
            hurried = within_s is not None and so_far_s * (1 + FULL_WINDOW_S / (short_s + window_s)) > within_s
            if not hurried:
                window_s = FULL_WINDOW_S
                encoded = model.encode(pcm, FULL_WINDOW_S, cancel)
                decoded = model.decode(encoded, settings.beam_size, cancel)
                decoded = self._with_wider_beam(model, encoded, decoded, cancel)
        text = decoded.text
        if hurried or too_many_words(text, audio_s):
            text = without_loop(text) or text
        return Transcript(
            text="" if self._is_silence(decoded) else text,
            mean_logprob=decoded.mean_logprob,
            no_speech_probability=decoded.no_speech_probability,
            window_s=round(window_s, 2),
            fallback=window_s > short_s or bool(by_second),
            hurried=hurried,
            second_model=by_second,
        )

    def _window_s(self, audio_s: float, floor_s: float) -> float:
        return min(max(floor_s, audio_s + self._settings.window_margin_s), FULL_WINDOW_S)

    def _with_wider_beam(self, model: WhisperDecoder, encoded: Encoded, found: Decoded, cancel: Cancel) -> Decoded:
        """Decode once more with a wider beam where the words are doubtful: the audio is encoded already."""
        settings = self._settings
        if found.mean_logprob >= settings.wider_beam_logprob or settings.wider_beam_size <= settings.beam_size:
            return found
        other = model.decode(encoded, settings.wider_beam_size, cancel)
        return max(found, other, key=lambda decoded: decoded.mean_logprob)

    def _is_silence(self, decoded: Decoded) -> bool:
        """Whisper's own rule (transcribe.py of openai/whisper): no speech is likely, and the words are not.

        Or no speech is all but certain.
        """
        no_speech = decoded.no_speech_probability
        unlikely = decoded.mean_logprob < self._settings.silence_logprob
        return no_speech > _SURELY_NO_SPEECH or (unlikely and no_speech > self._settings.no_speech_probability)


def _is_doubtful(decoded: Decoded, audio_s: float, least_logprob: float) -> bool:
    """Return whether another look should decide.

    The words are unlikely, a repetition may be real, or a word is marked as cut off: of some voices it was whole.
    """
    unlikely = decoded.mean_logprob < least_logprob
    return decoded.text.endswith(_CUT_OFF) or unlikely or _repeats(decoded.text, audio_s)


def _repeats(text: str, audio_s: float) -> bool:
    """Return whether a repetition may be real, or is one that no copy can be taken of."""
    if stutters(text):
        return True
    once = without_loop(text)
    if once is None:
        return too_many_words(text, audio_s)
    return too_many_words(once, audio_s) or not too_many_words(text, audio_s)

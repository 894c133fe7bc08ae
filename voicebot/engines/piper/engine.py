"""Clauses to speech with Piper: at a fixed gain, and heard before the sentence is made."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from piper.config import PiperConfig
from piper.voice import PiperVoice

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.config.pipeline import TtsSettings
from voicebot.engines.piper.graphs import load_graph
from voicebot.engines.piper.output import Trimmer, at_16_khz, silent_samples
from voicebot.engines.piper.words import phoneme_ends, word_ends
from voicebot.engines.protocols import Cancel, Speech
from voicebot.errors import EngineError

_WORDS_KNOWN: Final = 4096


class PiperEngine:
    """A loaded Piper voice. Raises EngineError when its files don't load."""

    def __init__(self, model: Path, settings: TtsSettings, threads: int) -> None:
        self._settings = settings
        self._config = _load_config(Path(f"{model}.json"))
        if settings.speaker >= self._config.num_speakers:
            raise EngineError(f"{model.name} has {self._config.num_speakers} speakers; tts.speaker must be below that.")
        self._rate_hz = int(self._config.sample_rate)
        self._graph = load_graph(model, threads)
        self._voice = PiperVoice(session=None, config=self._config)
        self._alone = functools.lru_cache(_WORDS_KNOWN)(self._phonemes_of_word)

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        """Yield the clause window by window; 16 kHz mono int16."""
        cancel.raise_if_requested()
        sentences = self._phonemes(text)
        places = word_ends(sentences, text.split(), self._alone)
        trimmer = Trimmer(self._settings.lead_silence_ms if first else None)
        ends: list[int] = []
        for number, phonemes in enumerate(sentences):
            sentence = self._graph.speak(self._inputs(phonemes), cancel)
            passed = self._phoneme_ends(phonemes, sentence.durations)
            spoken = [passed[place.phonemes] for place in places if passed and place.sentence == number]
            ends += [trimmer.taken_samples + self._at_16_khz(end) for end in spoken]
            start = silent_samples(passed[0], self._rate_hz) if passed and trimmer.leading else 0
            trimmer.skip(self._at_16_khz(start))
            audio = at_16_khz(sentence.audio_from(start), self._rate_hz, self._settings.gain)
            for pcm in trimmer.trim(audio):
                yield Speech(pcm, tuple(max(0, end - trimmer.cut_samples) for end in ends))
                ends.clear()

    def _phonemes(self, text: str) -> list[list[str]]:
        """Return the phonemes of each sentence that has any."""
        try:
            return [phonemes for phonemes in self._voice.phonemize(text) if phonemes]
        except (RuntimeError, ValueError, OSError, ImportError) as error:
            raise EngineError(f"Piper can't turn {text!r} into phonemes ({error}).") from error

    def _phonemes_of_word(self, word: str) -> tuple[str, ...]:
        return tuple(phoneme for sentence in self._phonemes(word) for phoneme in sentence)

    def _inputs(self, phonemes: list[str]) -> dict[str, NDArray[Any]]:
        config, settings = self._config, self._settings
        ids = self._voice.phonemes_to_ids(phonemes)
        scales = [settings.noise, config.length_scale / settings.speed, settings.rhythm_noise]
        speaker = {"sid": np.array([settings.speaker], np.int64)} if config.num_speakers > 1 else {}
        return {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
            **speaker,
        }

    def _phoneme_ends(self, phonemes: Sequence[str], durations: NDArray[np.int64] | None) -> list[int]:
        """Return where a sentence's phonemes end in the voice's samples; empty when that is not known."""
        return [] if durations is None else phoneme_ends(phonemes, self._config.phoneme_id_map, durations)

    def _at_16_khz(self, samples: int) -> int:
        return round(samples * SAMPLE_RATE_HZ / self._rate_hz)


def _load_config(path: Path) -> PiperConfig:
    try:
        return PiperConfig.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{path} is no Piper voice configuration ({error}).") from error

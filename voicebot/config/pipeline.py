"""What a conversation does: the sections of a file in pipelines/.

The shipped pipelines/assistant.toml names every setting with its reason; the defaults here are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.config.section import Section


class EndpointSettings(Section):
    """When the user begins, pauses and has finished."""

    speech_probability: float = Field(0.5, gt=0, lt=1)
    silence_probability: float = Field(0.35, gt=0, lt=1)
    onset_ms: int = Field(64, ge=32, le=500)
    confirm_ms: int = Field(256, ge=64, le=2000)
    soft_end_ms: int = Field(96, ge=32, le=1000)
    end_of_turn_ms: int = Field(480, ge=96, le=5000)
    longest_turn_ms: int = Field(28_000, ge=2000, le=29_000)
    pre_roll_ms: int = Field(320, ge=0, le=1000)
    gate_aggressiveness: int = Field(2, ge=0, le=3)
    gate_floor_dbfs: float = Field(-60.0, ge=-90, le=-20)
    gate_hangover_ms: int = Field(640, ge=100, le=5000)

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if self.silence_probability > self.speech_probability:
            raise ValueError("silence_probability must not be above speech_probability")
        if self.soft_end_ms > self.end_of_turn_ms:
            raise ValueError("soft_end_ms must not be above end_of_turn_ms")
        return self


class BargeInSettings(Section):
    """What happens while the user speaks over the reply."""

    duck_gain: float = Field(0.35, ge=0, le=1)


class AsrSettings(Section):
    """Speech to text."""

    engine: Literal["faster-whisper", "scripted"] = "faster-whisper"
    model: str = "whisper-tiny.en"
    language: str = Field("en", min_length=2, max_length=3)
    compute_type: Literal["int8", "float32", "int8_float32", "bfloat16"] = "int8"
    beam_size: int = Field(1, ge=1, le=5)
    window_floor_s: float = Field(5.0, ge=2, le=30)
    window_margin_s: float = Field(1.2, ge=0.2, le=10)
    tokens_per_s: float = Field(8.0, ge=2, le=20)
    slice_tokens: int = Field(16, ge=4, le=64)
    second_look_logprob: float = Field(-0.7, le=0)
    silence_logprob: float = Field(-1.0, le=0)
    no_speech_probability: float = Field(0.6, gt=0, le=1)


class SlmSettings(Section):
    """Text to reply."""

    engine: Literal["llama", "scripted"] = "llama"
    model: str = "smollm2-135m-instruct-q4_1"
    context_tokens: int = Field(1024, ge=256, le=131_072)
    max_tokens: int = Field(60, ge=1, le=4096)
    temperature: float = Field(0.0, ge=0, le=2)
    top_k: int = Field(40, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    min_p: float = Field(0.05, ge=0, le=1)
    repeat_penalty: float = Field(1.1, ge=1, le=2)
    repeat_last_tokens: int = Field(64, ge=0)
    seed: int = Field(1, ge=0)
    system_prompt: str = "You are a helpful voice assistant. Answer in one short sentence."


class TtsSettings(Section):
    """Clauses to speech."""

    engine: Literal["piper", "scripted"] = "piper"
    model: str = "piper-en_US-joe-medium"
    speaker: int = Field(0, ge=0)
    speed: float = Field(1.0, ge=0.5, le=2)
    gain: float = Field(1.0, gt=0, le=4)
    noise: float = Field(0.667, ge=0, le=2)
    rhythm_noise: float = Field(0.8, ge=0, le=2)
    lead_silence_ms: int = Field(10, ge=0, le=500)


class ClauseSettings(Section):
    """How the reply is cut."""

    first_letters: int = Field(8, ge=1, le=200)
    first_words: int = Field(10, ge=2, le=60)
    later_words: int = Field(26, ge=4, le=100)


class PlaybackSettings(Section):
    """How far synthesis may run ahead of what is played."""

    ahead_ms: int = Field(2500, ge=100, le=20_000)
    clauses_waiting: int = Field(2, ge=1, le=16)


class BudgetSettings(Section):
    """Milliseconds that each stage may take, and the whole, counted from the last voiced sample."""

    endpoint_ms: int = Field(200, ge=1)
    asr_ms: int = Field(200, ge=1)
    slm_ms: int = Field(300, ge=1)
    tts_ms: int = Field(200, ge=1)
    total_ms: int = Field(700, ge=1)


class PhraseSettings(Section):
    """What is said when something went wrong; rendered at start, so that it needs no engine."""

    apology: str = Field("Sorry, something went wrong. Please say that again.", min_length=2, max_length=200)


class PipelineSettings(Section):
    """One kind of conversation."""

    endpoint: EndpointSettings = EndpointSettings()
    barge_in: BargeInSettings = BargeInSettings()
    asr: AsrSettings = AsrSettings()
    slm: SlmSettings = SlmSettings()
    tts: TtsSettings = TtsSettings()
    clauses: ClauseSettings = ClauseSettings()
    playback: PlaybackSettings = PlaybackSettings()
    budget: BudgetSettings = BudgetSettings()
    phrases: PhraseSettings = PhraseSettings()

    @property
    def heavy_stages(self) -> Mapping[str, AsrSettings | SlmSettings | TtsSettings]:
        """The sections of the stages that run a model in a worker, by the stage's name."""
        return {"asr": self.asr, "slm": self.slm, "tts": self.tts}

"""What a scenario file may say: who speaks when, in which room, and what should come of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.config.pipeline import PipelineSettings
from voicebot.config.section import Section
from voicebot.replay.conversation import Role

Moment = Literal["previous clip ends", "turn committed", "reply starts", "reply ends"]
"""What a clip can follow: the last voiced sample of the clip before it, or what first happens after that clip began."""

_OF_THE_MODELS = frozenset({"asr", "tts", "turn_model", "phrases"})
_OF_THE_SESSION = frozenset({"system_prompt", "max_tokens"})


class ClipSection(Section):
    """Something that is said, and when: at a time from the start, or after something."""

    file: str = Field(min_length=1)
    says: str = ""
    role: Role = "request"
    at_s: float | None = Field(None, ge=0)
    after: Moment | None = None
    delay_s: float = Field(0, ge=0)
    gain_db: float | None = Field(None, ge=-60, le=40)
    level_dbfs: float | None = Field(None, ge=-90, le=-3)
    """Of the clip's speech, its pauses left out."""
    repeat: int = Field(1, ge=0)
    """How often it is said, each time when its moment comes again; 0 is until duration_s is over."""
    every_s: float | None = Field(None, gt=0)
    """When it is said again, from one beginning to the next, instead of at its moment."""

    @model_validator(mode="after")
    def _one_moment_and_one_level(self) -> Self:
        if (self.at_s is None) == (self.after is None):
            raise ValueError("needs either at_s or after")
        if self.at_s is not None and self.delay_s:
            raise ValueError("delay_s belongs to after; add it to at_s")
        if self.at_s is not None and self.repeat != 1 and self.every_s is None:
            raise ValueError("what is repeated from at_s on needs every_s")
        if self.gain_db is not None and self.level_dbfs is not None:
            raise ValueError("has both gain_db and level_dbfs; keep one")
        return self


class EchoSection(Section):
    """The way from the loudspeaker to the microphone; audio_io/acoustics.py says what the figures mean."""

    delay_ms: float = Field(ge=0, le=1000)
    gain_db: float = Field(ge=-60, le=20)
    room_ms: float = Field(250, ge=0, le=2000)
    seed: int = Field(1, ge=0)


class NoiseSection(Section):
    """What the microphone hears all the time."""

    kind: Literal["white", "babble"]
    snr_db: float | None = Field(None, ge=-20, le=60)
    """Below the level of the clips' speech."""
    level_dbfs: float | None = Field(None, ge=-90, le=-3)
    clips: list[str] = Field([])
    """Who babbles: a file or folder is a talker for each clip."""
    seed: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _one_level(self) -> Self:
        if (self.snr_db is None) == (self.level_dbfs is None):
            raise ValueError("needs either snr_db or level_dbfs")
        if (self.kind == "babble") != bool(self.clips):
            raise ValueError("clips are who babbles; babble needs them, and white noise has none")
        return self


class ScriptedSection(Section):
    """What scripted engines do; real ones never see it."""

    reply: str = ""
    """The reply to everything; without it what was heard is repeated."""


class ExpectedTurn(Section):
    """What should become of one turn. What is left out may be anything."""

    user: str | None = None
    """The user's words, in case, punctuation and spelling of numbers as you like."""
    words: list[str] = Field([])
    """Words among them, in this order."""
    answered: bool | None = None
    """Whether anything of the reply was heard."""
    interrupted: bool | None = None
    resumed: bool | None = None


class MostSection(Section):
    """Limits that only a real conversation in real time is held against."""

    voice_to_voice_ms: float | None = Field(None, gt=0)
    duck_ms: float | None = Field(None, gt=0)
    pause_ms: float | None = Field(None, gt=0)
    confirm_ms: float | None = Field(None, gt=0)
    stop_ms: float | None = Field(None, gt=0)


class ExpectSection(Section):
    """What should come of it. What is left out may be anything, but for cut-ins and failures: there should be none."""

    turns: int | None = Field(None, ge=0)
    """Turns that were committed."""
    replies: int | None = Field(None, ge=0)
    """Turns of whose reply something was heard."""
    interruptions: int | None = Field(None, ge=0)
    resumes: int | None = Field(None, ge=0)
    """Turns whose reply went on after somebody had spoken over it."""
    false_cut_ins: int = Field(0, ge=0)
    """Replies that began before their clip had been said."""
    history_is_heard: bool = True
    """The conversation remembers of each turn what was heard of it, and nothing else."""
    most: MostSection = MostSection()
    each_turn: ExpectedTurn = ExpectedTurn()
    """What all of the turns have in common."""
    turn: list[ExpectedTurn] = Field([])
    """The turns in their order, or as many of them as are of interest."""


class ScenarioSection(Section):
    """A whole file."""

    about: str = Field(min_length=1)
    duration_s: float | None = Field(None, gt=0)
    """How long it lasts at least; nothing new is said after it."""
    clip: list[ClipSection] = Field([])
    echo: EchoSection | None = None
    noise: NoiseSection | None = None
    pipeline: PipelineSettings = PipelineSettings()
    """What differs from the pipeline that is used, as in a pipeline's file."""
    scripted: ScriptedSection = ScriptedSection()
    expect: ExpectSection = ExpectSection()

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong between sections, each with its key."""
        if not self.clip and self.duration_s is None:
            yield "duration_s: a scenario without clips needs it"
        if self.clip and self.clip[0].after is not None:
            yield "clip.0.after: nothing comes before the first clip; give it at_s"
        for number, clip in enumerate(self.clip):
            if clip.repeat == 0 and self.duration_s is None:
                yield f"clip.{number}.repeat: 0 needs duration_s"
        if self.noise is not None and self.noise.snr_db is not None and not self.clip:
            yield "noise.snr_db: there are no clips to measure it by; give level_dbfs"
        for name in sorted(self.pipeline.model_fields_set & _OF_THE_MODELS):
            yield f"pipeline.{name}: all scenarios share the models; choose them with --pipeline"
        for name in sorted(self.pipeline.slm.model_fields_set - _OF_THE_SESSION):
            yield f"pipeline.slm.{name}: all scenarios share the models; only system_prompt and max_tokens may differ"

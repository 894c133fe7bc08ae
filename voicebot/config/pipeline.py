"""What a conversation does: the sections of a file in pipelines/.

The shipped pipelines/assistant.toml names every setting with its reason; the defaults here are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from voicebot.config.history import HistorySettings
from voicebot.config.section import Section, Texts
from voicebot.config.tiers import FIRST_TIER, RouterSettings, TierSettings
from voicebot.config.wake import EarconSettings, WakeSettings
from voicebot.config.wyoming import RemotableSettings
from voicebot.errors import UsageError


class HearingSettings(Section):
    """What is done to the microphone's audio before anybody listens to it."""

    echo_cancellation: bool = True
    noise_suppression: Literal["off", "low", "moderate", "high"] = "off"
    gain_control: bool = False


class EndpointSettings(Section):
    """When the user begins, pauses and has finished."""

    speech_probability: float = Field(0.5, gt=0, lt=1)
    silence_probability: float = Field(0.35, gt=0, lt=1)
    sign_probability: float = Field(0.3, gt=0, lt=1)
    echo_probability: float = Field(0.8, gt=0, lt=1)
    silence_drop_db: float = Field(35.0, ge=10, le=120)
    onset_ms: int = Field(64, ge=32, le=500)
    confirm_ms: int = Field(96, ge=32, le=2000)
    floor_ms: int = Field(200, ge=32, le=5000)
    doubt_ms: int = Field(640, ge=96, le=5000)
    answer_ms: int = Field(600, ge=96, le=5000)
    answer_logprob: float = Field(-0.8, ge=-10, le=0)
    unknown_ms: int = Field(700, ge=96, le=5000)
    weigh_again_ms: int = Field(240, ge=96, le=5000)
    dictation_ms: int = Field(1400, ge=96, le=10_000)
    ceiling_ms: int = Field(1700, ge=96, le=10_000)
    sure_odds: float = 2.0
    doubt_odds: float = 0.42
    open_odds: float = -0.25
    bias: float = 0.2
    text_weight: float = Field(1.37, ge=0)
    certainty_weight: float = Field(1.29, ge=0)
    length_weight: float = Field(1.87, ge=0)
    sign_weight: float = Field(0.34, ge=0)
    voice_weight: float = Field(0.2, ge=0)
    pitch_weight: float = Field(-0.28, le=0)
    level_weight: float = Field(-0.114, le=0)
    change_weight: float = Field(-0.61, le=0)
    voice_unheard: float = 1.1
    open_words: Texts = (
        *("a", "an", "the", "of", "to", "for", "from", "with", "at", "by", "and", "or", "but", "because", "if", "than"),
        *("my", "your", "our", "their", "about", "into", "between", "very", "i", "um", "uh"),
    )
    stranded_end: float = Field(0.3, ge=0, le=1)
    digits: Texts = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    answers: Texts = (
        *("yes", "yeah", "yep", "no", "nope", "ok", "okay", "sure", "maybe", "correct", "right", "exactly", "stop"),
        *("thanks", "hello", "hi", "goodbye", "bye", "today", "tomorrow", "tonight"),
    )
    longest_turn_ms: int = Field(28_000, ge=2000, le=29_000)
    pre_roll_ms: int = Field(320, ge=0, le=1000)
    gate_aggressiveness: int = Field(2, ge=0, le=3)
    gate_floor_dbfs: float = Field(-60.0, ge=-90, le=-20)
    gate_hangover_ms: int = Field(640, ge=100, le=5000)

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if self.silence_probability > self.speech_probability:
            raise ValueError("silence_probability must not be above speech_probability")
        if not self.floor_ms <= self.doubt_ms <= self.ceiling_ms:
            raise ValueError("floor_ms, doubt_ms and ceiling_ms must not decrease in this order")
        if not self.open_odds < self.doubt_odds < self.sure_odds:
            raise ValueError("open_odds, doubt_odds and sure_odds must increase in this order")
        return self


class SpeculationSettings(Section):
    """How soon work on a reply begins that may turn out to be for nothing."""

    soft_end_ms: int = Field(32, ge=32, le=1000)
    latest_soft_end_ms: int = Field(224, ge=32, le=2000)
    partial_every_ms: int = Field(700, ge=0, le=10_000)
    wasted_share: float = Field(0.35, gt=0, le=1)

    @model_validator(mode="after")
    def _soonest_first(self) -> Self:
        if self.soft_end_ms > self.latest_soft_end_ms:
            raise ValueError("soft_end_ms must not be above latest_soft_end_ms")
        return self


class BargeInSettings(Section):
    """What happens while the user speaks over the reply."""

    duck_gain: float = Field(0.35, ge=0, le=1)
    soft_end_ms: int = Field(128, ge=32, le=1000)
    first_look_ms: int = Field(320, ge=100, le=3000)
    look_every_ms: int = Field(120, ge=20, le=3000)
    sure_ms: int = Field(1000, ge=100, le=5000)
    doubtful_logprob: float = Field(-0.8, le=0)
    certain_logprob: float = Field(-0.3, le=0)
    sensible_text_end: float = Field(0.05, ge=0, le=1)
    wordless_ms: int = Field(1500, ge=200, le=10_000)
    echo_share: float = Field(0.7, gt=0, le=1)
    commands: Texts = (
        *("stop", "stop it", "please stop", "wait", "wait a minute", "wait a second", "cancel", "cancel that"),
        *("hold on", "hang on", "quiet", "be quiet", "shut up", "enough", "that's enough", "never mind", "pause"),
    )
    openings: Texts = (
        *("no", "nope", "hey", "actually", "excuse me", "sorry", "but", "not that", "what about", "how about"),
        *("louder", "slower", "again", "repeat", "skip", "next"),
    )
    backchannels: Texts = (
        *("mm-hm", "mm-hmm", "mm", "mmm", "mhm", "hm", "hmm", "uh-huh", "uh", "um", "ah", "oh", "aha", "huh"),
        *("yeah", "yes", "yep", "yup", "ok", "okay", "right", "sure", "i see", "got it", "all right", "alright"),
        *("wow", "cool", "nice", "great", "good", "really", "exactly", "true", "of course", "go on", "interesting"),
    )


class TurnModelSettings(Section):
    """How the user's voice is judged at a pause."""

    engine: Literal["smart-turn", "scripted", "none"] = "smart-turn"
    model: str = "smart-turn-v3.2"


class AsrSettings(RemotableSettings):
    """Speech to text."""

    engine: Literal["faster-whisper", "wyoming", "scripted"] = "faster-whisper"
    model: str = "whisper-tiny.en"
    language: str = Field("en", min_length=2, max_length=3)
    compute_type: Literal["int8", "float32", "int8_float32", "bfloat16"] = "int8"
    beam_size: int = Field(1, ge=1, le=5)
    wider_beam_size: int = Field(3, ge=1, le=5)
    wider_beam_logprob: float = Field(-0.45, le=0)
    window_floor_s: float = Field(5.0, ge=2, le=30)
    window_margin_s: float = Field(1.2, ge=0.2, le=10)
    tokens_per_s: float = Field(8.0, ge=2, le=20)
    slice_tokens: int = Field(16, ge=4, le=64)
    second_look_logprob: float = Field(-0.5, le=0)
    second_window_s: float = Field(10.0, ge=2, le=30)
    second_beam_size: int = Field(3, ge=1, le=5)
    second_model: str = ""
    second_model_logprob: float = Field(-0.2, le=0)
    silence_logprob: float = Field(-1.0, le=0)
    no_speech_probability: float = Field(0.6, gt=0, le=1)


class SlmSettings(Section):
    """Text to reply."""

    engine: Literal["llama", "scripted"] = "llama"
    model: str = "smollm2-135m-instruct-q4_1"
    context_tokens: int = Field(1024, ge=256, le=131_072)
    slots: int = Field(2, ge=1, le=64)
    kv_type: Literal["f16", "q8_0"] = "f16"
    step_ms: int = Field(100, ge=10, le=5000)
    speculation: bool = True
    phrase_book: bool = True
    draft_model: str = ""
    max_tokens: int = Field(60, ge=1, le=4096)
    temperature: float = Field(0.0, ge=0, le=2)
    top_k: int = Field(40, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    min_p: float = Field(0.05, ge=0, le=1)
    repeat_penalty: float = Field(1.1, ge=1, le=2)
    repeat_last_tokens: int = Field(64, ge=0)
    seed: int = Field(1, ge=0)
    system_prompt: str = "You are a helpful voice assistant. Answer in one short sentence."


class TtsSettings(RemotableSettings):
    """Clauses to speech."""

    engine: Literal["piper", "wyoming", "scripted"] = "piper"
    model: str = "piper-en_US-joe-medium"
    speaker: int = Field(0, ge=0)
    speed: float = Field(1.0, ge=0.5, le=2)
    gain: float = Field(1.0, gt=0, le=4)
    noise: float = Field(0.667, ge=0, le=2)
    rhythm_noise: float = Field(0.8, ge=0, le=2)
    lead_silence_ms: int = Field(10, ge=0, le=500)


StageSettings = AsrSettings | SlmSettings | TtsSettings | TurnModelSettings


def companion_of(section: StageSettings) -> str:
    """Return the model that a stage's worker loads beside its own; empty when there is none.

    It guesses for the language model, or looks again at the recogniser's doubtful words.
    """
    if isinstance(section, SlmSettings):
        return section.draft_model
    return section.second_model if isinstance(section, AsrSettings) else ""


class ClauseSettings(Section):
    """How the reply is cut."""

    first_letters: int = Field(8, ge=1, le=200)
    first_words: int = Field(8, ge=2, le=60)
    later_words: int = Field(26, ge=4, le=100)


class PlaybackSettings(Section):
    """How far synthesis may run ahead of what is played."""

    ahead_ms: int = Field(2500, ge=100, le=20_000)
    clauses_waiting: int = Field(2, ge=1, le=16)


class OpenerSettings(Section):
    """Short phrases that cover a wait."""

    enabled: bool = True
    after_ms: int = Field(650, ge=100, le=10_000)
    texts: Texts = ("Let me see.", "Well.", "Let me think.", "One moment.")


class BudgetSettings(Section):
    """Milliseconds that each stage may take, and the whole, counted from the last voiced sample."""

    endpoint_ms: int = Field(200, ge=1)
    asr_ms: int = Field(200, ge=1)
    slm_ms: int = Field(300, ge=1)
    tts_ms: int = Field(200, ge=1)
    total_ms: int = Field(700, ge=1)


class LadderSettings(Section):
    """What is done with less quality so that a reply is in time."""

    enabled: bool = True
    slack: float = Field(0.2, ge=0, lt=1)
    calm_turns: int = Field(3, ge=1, le=100)
    first_words: Annotated[tuple[Annotated[int, Field(ge=2, le=60)], ...], Strict(strict=False)] = (5, 3)
    short_reply: float = Field(0.5, gt=0, le=1)

    @field_validator("first_words")
    @classmethod
    def _fewer_and_fewer(cls, words: tuple[int, ...]) -> tuple[int, ...]:
        if any(before <= after for before, after in pairwise(words)):
            raise ValueError("each has to be less than the one before it")
        return words


class PhraseSettings(Section):
    """What is said when something went wrong; rendered at start, so that it needs no engine."""

    apology: str = Field("Sorry, something went wrong. Please say that again.", min_length=2, max_length=200)
    ask_back: str = Field("Sorry, did you say: {words}?", min_length=2, max_length=200)
    ask_back_logprob: float = Field(-1.0, le=0)
    affirmations: Texts = ("yes", "yeah", "yep", "yes I did", "that's right", "right", "correct", "exactly")


class PipelineSettings(Section):
    """One kind of conversation."""

    hearing: HearingSettings = HearingSettings()
    wake: WakeSettings = WakeSettings()
    endpoint: EndpointSettings = EndpointSettings()
    speculation: SpeculationSettings = SpeculationSettings()
    barge_in: BargeInSettings = BargeInSettings()
    turn_model: TurnModelSettings = TurnModelSettings()
    asr: AsrSettings = AsrSettings()
    slm: SlmSettings = SlmSettings()
    tiers: Annotated[tuple[TierSettings, ...], Strict(strict=False)] = ()
    router: RouterSettings = RouterSettings()
    history: HistorySettings = HistorySettings()
    tts: TtsSettings = TtsSettings()
    clauses: ClauseSettings = ClauseSettings()
    playback: PlaybackSettings = PlaybackSettings()
    budget: BudgetSettings = BudgetSettings()
    ladder: LadderSettings = LadderSettings()
    openers: OpenerSettings = OpenerSettings()
    phrases: PhraseSettings = PhraseSettings()
    earcons: EarconSettings = EarconSettings()

    @field_validator("tiers")
    @classmethod
    def _told_apart(cls, tiers: tuple[TierSettings, ...]) -> tuple[TierSettings, ...]:
        if len({tier.name for tier in tiers}) < len(tiers):
            raise ValueError("two tiers have the same name")
        return tiers

    @property
    def heavy_stages(self) -> Mapping[str, AsrSettings | SlmSettings | TtsSettings | TurnModelSettings]:
        """The sections of the stages whose work is a model's, by the stage's name."""
        turn = {} if self.turn_model.engine == "none" else {"turn": self.turn_model}
        return {"asr": self.asr, "slm": self.slm, "tts": self.tts, **turn}

    @property
    def worker_stages(self) -> Mapping[str, AsrSettings | SlmSettings | TtsSettings | TurnModelSettings]:
        """Those that run in a worker of this box, with a stage "slm-NAME" for each further tier that does."""
        own = {stage: section for stage, section in self.heavy_stages.items() if stage not in self.remote_stages}
        tiers = {f"slm-{tier.name}": self.slm_of(tier) for tier in self.tiers if not tier.remote}
        return {**own, **tiers}

    @property
    def remote_stages(self) -> Mapping[str, AsrSettings | TtsSettings]:
        """Those that are Wyoming services."""
        remotable: dict[str, AsrSettings | TtsSettings] = {"asr": self.asr, "tts": self.tts}
        return {stage: section for stage, section in remotable.items() if section.remote}

    def need_own_stages(self) -> None:
        """Raise UsageError where a stage is not done by this box, for what measures this box."""
        for stage, section in self.remote_stages.items():
            raise UsageError(f"[{stage}] is done by {section.uri}, and not by this box; name another pipeline.")

    def slm_of(self, tier: TierSettings) -> SlmSettings:
        """Return [slm] with what is the tier's own. A remote one's engine is not among them."""
        return self.slm.model_copy(
            update={
                "engine": self.slm.engine if tier.remote else tier.engine,
                "model": tier.model,
                "context_tokens": tier.context_tokens or self.slm.context_tokens,
                "max_tokens": tier.max_tokens or self.slm.max_tokens,
                "draft_model": "",  # it has the first one's vocabulary
            }
        )

    def tier(self, name: str) -> TierSettings | None:
        """Return the further tier of that name; None for the first one. Raises UsageError when there is none."""
        known = {FIRST_TIER: None, **{tier.name: tier for tier in self.tiers}}
        if name not in known:
            raise UsageError(f"there is no tier {name!r}; this pipeline has {', '.join(known)}.")
        return known[name]

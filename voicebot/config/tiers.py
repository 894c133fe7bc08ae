"""More than one language model: the tiers beside the first one, and what decides between them."""

from __future__ import annotations

from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from voicebot.config.nearby import refuse_public
from voicebot.config.section import Section, Texts

FIRST_TIER: Final = "small"
"""What the model of [slm] is called among the tiers."""
_LEAST_CONTEXT_TOKENS: Final = 256


def kind_of(stage: str) -> str:
    """Return the kind of a worker's stage: that of a further tier is called "slm-" and the tier's name."""
    return stage.partition("-")[0]


class TierSettings(Section):
    """One more language model: a file of this box, or an endpoint that speaks OpenAI's protocol."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=32)
    engine: Literal["llama", "openai", "scripted"]
    model: str = ""
    url: str = ""
    api_key_file: str = ""
    connect_timeout_ms: int = Field(300, ge=10, le=10_000)
    first_token_ms: int = Field(600, ge=50, le=30_000)
    next_token_ms: int = Field(1000, ge=50, le=30_000)
    most_requests: int = Field(1, ge=1, le=1000)
    max_tokens: int = Field(0, ge=0, le=4096)
    context_tokens: int = Field(0, ge=0, le=131_072)

    @property
    def remote(self) -> bool:
        """Whether another machine does the work."""
        return self.engine == "openai"

    @field_validator("name")
    @classmethod
    def _another_name(cls, name: str) -> str:
        if name == FIRST_TIER:
            raise ValueError(f"{name!r} is the model of [slm]; choose another name")
        return name

    @field_validator("context_tokens")
    @classmethod
    def _enough_context(cls, tokens: int) -> int:
        if 0 < tokens < _LEAST_CONTEXT_TOKENS:
            raise ValueError(f"should be 0, for that of [slm], or at least {_LEAST_CONTEXT_TOKENS}")
        return tokens

    @field_validator("url")
    @classmethod
    def _an_endpoint_nearby(cls, url: str) -> str:
        return url and _checked(url).rstrip("/")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.engine != "scripted" and not self.model:
            raise ValueError("model has to be named")
        if self.remote and not self.url:
            raise ValueError("url has to be given, as in http://192.168.1.20:8080/v1")
        if not self.remote and (self.url or self.api_key_file):
            raise ValueError('url and api_key_file are for engine = "openai"')
        return self


class RouterSettings(Section):
    """Which tier answers, and when a small one's answer is not good enough."""

    complex_points: int = Field(2, ge=0, le=20)
    hard_points: int = Field(4, ge=0, le=20)
    long_words: int = Field(16, ge=4, le=200)
    many_clauses: int = Field(4, ge=2, le=20)
    joiners: Texts = ("and", "but", "or", "because", "if", "when", "while", "which", "although", "so", "unless")
    reasoning: Texts = (
        *("why", "how come", "how do", "how does", "how did", "how can", "how could", "how would", "how is it"),
        *("explain", "compare", "describe", "summarize", "translate", "difference between", "what if", "suggest"),
        *("recommend", "pros and cons", "step by step", "tell me a story", "write", "plan"),
    )
    operators: Texts = (
        *("plus", "minus", "times", "divided by", "multiplied by", "percent", "%", "square root", "squared", "+", "*"),
        *("/", "-", "x"),
    )
    numbers: Texts = (
        *(
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
        ),
        *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty"),
        *("sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million", "half"),
    )
    more_parts: Texts = ("and also", "and then", "and what", "and who", "and how", "and where", "after that", "as well")
    tools: Texts = (
        "timer",
        "alarm",
        "reminder",
        "remind me",
        "shopping list",
        "to do list",
        "calendar",
        "light",
        "lights",
    )
    unsure_logprob: float = Field(-0.9, ge=-20, le=0)
    sample_tokens: int = Field(6, ge=1, le=32)
    deadline_ms: int = Field(900, ge=100, le=30_000)
    small_requests: int = Field(4, ge=1, le=1000)
    hot_celsius: float = Field(80.0, ge=30, le=120)
    rest_ms: int = Field(30_000, ge=0, le=3_600_000)

    @model_validator(mode="after")
    def _harder_is_more(self) -> Self:
        if self.hard_points < self.complex_points:
            raise ValueError("hard_points must not be below complex_points")
        return self


def _checked(url: str) -> str:
    """Return the URL of an endpoint's root. An address outside of private networks is none."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"this is no URL ({error})") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("should be like http://192.168.1.20:8080/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("should hold no user, password or query; a key goes into api_key_file")
    refuse_public(host)
    return url

"""The section of a pipeline file about conversations that outgrow the model's context."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from voicebot.config.section import Section, Texts


class HistorySettings(Section):
    """What becomes of the oldest exchanges when the conversation outgrows the model's context."""

    enabled: bool = True
    start_share: float = Field(0.7, gt=0, le=1)
    target_share: float = Field(0.4, gt=0, le=1)
    full_share: float = Field(0.95, gt=0, le=1)
    idle_ms: int = Field(2000, ge=200, le=60_000)
    summary_tokens: int = Field(60, ge=10, le=1000)
    chars_per_token: float = Field(4.0, ge=0.25, le=10)
    fact_letters: int = Field(400, ge=0, le=10_000)
    facts: Texts = (
        *("remember", "can you remember", "could you remember", "don't forget", "keep in mind", "note that"),
        *("i'm allergic to", "i am allergic to", "i can't eat", "i don't eat", "my favorite", "my favourite"),
    )
    single_facts: Texts = (
        *("my name is", "my name's", "call me", "you can call me", "i live in", "i'm from", "i am from", "i work as"),
        *("i work at", "my birthday is", "my address is", "my phone number is"),
    )
    not_facts: Texts = (
        *("call me a", "call me an", "call me at", "call me back", "call me later", "call me when", "call me in"),
        *("call me tomorrow", "remember when", "remember to", "don't forget to"),
    )
    fact_leads: Texts = (
        *("and", "but", "so", "because", "that", "also", "now", "please", "hi", "hello", "hey", "well", "yes", "no"),
        *("okay", "oh", "by the way"),
    )

    @model_validator(mode="after")
    def _shares_in_order(self) -> Self:
        if not self.target_share < self.start_share < self.full_share:
            raise ValueError("target_share, start_share and full_share must increase in this order")
        return self

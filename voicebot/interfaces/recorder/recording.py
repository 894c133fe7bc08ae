"""A recording as others get it: a header, and a line of JSON for each thing that happened. docs/recorder.md has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from voicebot.config.section import Section
from voicebot.errors import VoicebotError

FORMAT: Final = "voicebot-recording"
SCHEMA: Final = 1
LONGEST_LINE: Final = 1 << 20
LONGEST_TEXT: Final = 256 << 20
"""Of all lines, in bytes."""
_LONGEST_SENTENCE: Final = 300
_Word = Annotated[str, Field(max_length=100)]
_Label = Annotated[str, Field(max_length=200)]
_Sample = Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
_Line = TypeVar("_Line", bound=Section)
Stereo = NDArray[np.int16]
"""Of shape (samples, 2): the microphone, and what the speaker played."""


class RecordingError(VoicebotError):
    """A recording can't be written, or what is read is none."""


class Span(Section):
    """A stretch of a session's timeline."""

    start_sample: _Sample
    samples: int = Field(ge=1, le=1 << 40)


class Header(Section):
    """The first line."""

    format: Literal["voicebot-recording"] = FORMAT
    schema_: Literal[1] = Field(SCHEMA, alias="schema")
    voicebot: _Word
    saved_at: _Word
    """In UTC, as ISO 8601 has it."""
    reason: str = Field(max_length=1000)
    minutes: float = Field(ge=0)
    """How far it reaches back, at most."""
    pipeline: Mapping[_Word, Annotated[str, Field(max_length=1000)]]
    """The models, by stage."""
    audio: Mapping[_Label, Span]
    """Of each session whose sound is there, which part of its timeline that is."""


class Decision(Section):
    """What came to the turn table, and what it said; `actions` is null where it allows no such event."""

    at_sample: _Sample
    state: _Word
    event: _Word
    next: _Word
    actions: tuple[_Word, ...] | None


class Record(Section):
    """Any other line: an event, as all interfaces tell it, or a decision."""

    ago_s: float = Field(ge=0)
    """How long before it was saved."""
    session: _Label
    event: Mapping[str, Any] | None = None
    decision: Decision | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.event is None) == (self.decision is None):
            raise ValueError("a line has either an event or a decision")
        return self


@dataclass(frozen=True, slots=True)
class Recording:
    """All of a file."""

    file: Path
    header: Header
    records: tuple[Record, ...]
    sounds: Mapping[str, Stereo] = field(default_factory=dict)
    """By session."""

    def speech_ends(self, session: str) -> list[int]:
        """Return where the user's turns ended, in samples of the session's sound, each later than the one before.

        Texts that were sent to be said or answered are none.
        """
        span = self.header.audio[session]
        found = [
            turn["speech_end_sample"] - span.start_sample
            for record in self.records
            if (turn := record.event) is not None
            and (record.session, turn.get("event")) == (session, "turn_ended")
            and isinstance(turn.get("speech_end_sample"), int)
            and isinstance(marks := turn.get("marks"), Mapping)
            and "soft_end" in marks
        ]
        return sorted({end for end in found if 0 < end < span.samples})


def parse_lines(file: Path, text: bytes) -> tuple[Header, tuple[Record, ...]]:
    """Return what the lines of a file say. Raises RecordingError for whatever else they are."""
    lines = text.split(b"\n")
    header = _parsed(file, 1, lines[0], Header)
    records = [_parsed(file, number, line, Record) for number, line in enumerate(lines[1:], 2) if line]
    return header, tuple(records)


def _parsed(file: Path, number: int, line: bytes, kind: type[_Line]) -> _Line:
    if len(line) > LONGEST_LINE:
        raise RecordingError(f"{file}: line {number} is longer than {LONGEST_LINE} bytes; this is no recording.")
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, detail["loc"]))
        wrong = f"{where}: {detail['msg']}" if where else detail["msg"]
        raise RecordingError(
            f"{file}: line {number} is not one of a recording's ({wrong[:_LONGEST_SENTENCE]}); save it again."
        ) from error

"""What may be asked over the control socket."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from voicebot.config.section import Section
from voicebot.errors import UsageError

SCHEMA: Final = 1
"""The version of the requests and their answers."""
LONGEST_LINE: Final = 131_072
"""Of a request, in bytes: the longest text that may be configured, with every character escaped as twelve."""
_LONGEST_SENTENCE: Final = 300
_SessionName = Annotated[str, Field(max_length=100)]


class _Request(Section):
    changes: ClassVar[bool] = True
    """It changes something, so who asked for it is logged."""
    schema_: Literal[1] = Field(1, alias="schema")


class StatusRequest(_Request):
    """All there is to tell; or the sessions alone."""

    changes: ClassVar[bool] = False
    request: Literal["status", "sessions"]


class EventsRequest(_Request):
    """Every event from here on."""

    changes: ClassVar[bool] = False
    request: Literal["events"]


class StopRequest(_Request):
    """End the replies that are on their way, in one session or in all."""

    request: Literal["stop"]
    session: _SessionName | None = None


class ListenRequest(_Request):
    """Push to talk: listen for a while without a wake word, or no longer."""

    request: Literal["listen", "unlisten"]
    session: _SessionName | None = None


class MuteRequest(_Request):
    """Switch every microphone off or on."""

    request: Literal["mute", "unmute"]


class VolumeRequest(_Request):
    """Set how loud everything is played."""

    request: Literal["volume"]
    percent: int = Field(ge=0, le=100)


class PromptRequest(_Request):
    """Say a text, or answer it aloud; `wait` for the end of its turn or only for its place in the queue."""

    request: Literal["say", "ask"]
    text: str
    session: _SessionName | None = None
    wait: bool = True


class ReloadRequest(_Request):
    """Read the settings again."""

    request: Literal["reload"]


class RecordingRequest(_Request):
    """Write what the flight recorder holds."""

    request: Literal["save_recording"]


Request = (
    StatusRequest
    | EventsRequest
    | StopRequest
    | ListenRequest
    | MuteRequest
    | VolumeRequest
    | PromptRequest
    | ReloadRequest
    | RecordingRequest
)
_REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="request")])


def parse_request(line: bytes) -> Request:
    """Return what a line asks for. Raises UsageError, with one sentence, for whatever else it is."""
    try:
        return _REQUEST.validate_json(line)
    except ValidationError as error:
        wrong = "; ".join(
            ".".join(map(str, detail["loc"][1:])) + ": " * (len(detail["loc"]) > 1) + detail["msg"]
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise UsageError(f"this is no request: {wrong[:_LONGEST_SENTENCE]}.") from error

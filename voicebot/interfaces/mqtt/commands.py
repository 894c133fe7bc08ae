"""Commands from the broker: JSON, or the plain text that a person or Home Assistant would send. Pure."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from voicebot.errors import UsageError
from voicebot.interfaces.mqtt.payloads import ListenCommand, MuteCommand, StopCommand, TextCommand, VolumeCommand

Command = TextCommand | StopCommand | ListenCommand | MuteCommand | VolumeCommand

COMMANDS: Final[dict[str, type[Command]]] = {
    "say": TextCommand,
    "ask": TextCommand,
    "stop": StopCommand,
    "listen": ListenCommand,
    "mute": MuteCommand,
    "volume": VolumeCommand,
}
LARGEST_PAYLOAD: Final = 131_072
"""In bytes: the longest text that may be configured, with every character escaped as twelve."""
_LONGEST_SENTENCE: Final = 300
_PRESSED: Final = {"": True, "press": True, "on": True, "off": False}
_SWITCHED: Final = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def parse_command(name: str, payload: bytes) -> Command:
    """Return what a payload asks of that command. Raises UsageError, with one sentence, for whatever else it is."""
    kind = COMMANDS.get(name)
    if kind is None:
        raise UsageError(f"there is no command {name[:20]!r}; known: {', '.join(COMMANDS)}.")
    if len(payload) > LARGEST_PAYLOAD:
        raise UsageError(f"a payload of {len(payload)} bytes is too large; {LARGEST_PAYLOAD} are the most.")
    try:
        text = payload.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"the payload of {name} is not UTF-8.") from error
    if not text.startswith("{"):
        return _plain(name, text)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            ".".join(map(str, detail["loc"])) + ": " * bool(detail["loc"]) + detail["msg"]
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise UsageError(f"the payload of {name} is wrong: {wrong[:_LONGEST_SENTENCE]}.") from error


def _plain(name: str, text: str) -> Command:
    match name, text.lower():
        case (("say" | "ask"), _):
            return TextCommand(text=text)
        case "stop", ("" | "press" | "stop"):
            return StopCommand()
        case "listen", pressed if pressed in _PRESSED:
            return ListenCommand(pressed=_PRESSED[pressed])
        case "mute", switched if switched in _SWITCHED:
            return MuteCommand(muted=_SWITCHED[switched])
        case "volume", percent if percent.isascii() and percent.isdigit() and len(percent) <= 3 and int(percent) <= 100:
            return VolumeCommand(volume=int(percent))
        case _:
            expected = {
                "stop": "PRESS or nothing",
                "listen": "PRESS, or OFF",
                "mute": "ON or OFF",
                "volume": "a whole number from 0 to 100",
            }
            raise UsageError(f"the payload of {name} is {expected[name]}, or JSON; not {text[:20]!r}.")

"""Payloads from the broker: people's, Home Assistant's, programs', and anybody's rubbish."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import UsageError
from voicebot.interfaces.mqtt.commands import COMMANDS, LARGEST_PAYLOAD, Command, parse_command
from voicebot.interfaces.mqtt.payloads import ListenCommand, MuteCommand, StopCommand, TextCommand, VolumeCommand


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("say", "Dinner is ready.", TextCommand(text="Dinner is ready.")),
        ("say", '{"text": "{dinner}"}', TextCommand(text="{dinner}")),
        ("ask", '{"text": "hi", "session": "kitchen", "id": "7"}', TextCommand(text="hi", session="kitchen", id="7")),
        ("say", "", TextCommand(text="")),
        ("stop", "", StopCommand()),
        ("stop", "PRESS", StopCommand()),
        ("stop", '{"session": "kitchen"}', StopCommand(session="kitchen")),
        ("listen", "", ListenCommand()),
        ("listen", "PRESS", ListenCommand()),
        ("listen", "off", ListenCommand(pressed=False)),
        ("listen", '{"session": "kitchen", "pressed": false}', ListenCommand(session="kitchen", pressed=False)),
        ("mute", "ON", MuteCommand(muted=True)),
        ("mute", " off\n", MuteCommand(muted=False)),
        ("mute", '{"muted": false}', MuteCommand(muted=False)),
        ("volume", "40", VolumeCommand(volume=40)),
        ("volume", "100", VolumeCommand(volume=100)),
        ("volume", '{"volume": 0, "id": "x"}', VolumeCommand(volume=0, id="x")),
    ],
)
def test_a_command_is_plain_text_or_json(name: str, payload: str, command: Command) -> None:
    assert parse_command(name, payload.encode()) == command


@pytest.mark.parametrize(
    ("name", "payload", "why"),
    [
        ("sing", b"", "no command 'sing'; known: say, ask, stop, listen, mute, volume"),
        ("say", b"\xff", "not UTF-8"),
        ("say", b'{"text": 1}', "text: Input should be a valid string"),
        ("say", b'{"words": "hi"}', "text: Field required; words: Extra inputs"),
        ("say", b'{"text": "hi"', "Invalid JSON"),
        ("ask", b'{"text": "hi", "session": "' + b"x" * 101 + b'"}', "session: String should have at most 100"),
        ("ask", b"x" * (LARGEST_PAYLOAD + 1), "too large"),
        ("ask", b"{" * 100_000, "Invalid JSON"),
        ("stop", b"please", "PRESS or nothing"),
        ("listen", b"to me", "PRESS, or OFF"),
        ("listen", b'{"pressed": "yes"}', "valid boolean"),
        ("mute", b"", "ON or OFF"),
        ("mute", b'{"muted": "ON"}', "valid boolean"),
        ("volume", b"101", "0 to 100"),
        ("volume", b"-1", "0 to 100"),
        ("volume", b"4e1", "0 to 100"),
        ("volume", "٤".encode(), "0 to 100"),
        ("volume", b"9" * 100_000, "0 to 100"),
        ("volume", b'{"volume": 40.5}', "valid integer"),
        ("volume", b'{"volume": 1e400}', "volume"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(name: str, payload: bytes, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_command(name, payload)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 400


fields = st.sampled_from(["text", "session", "id", "muted", "pressed", "x"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(fields, inner),
)


@given(
    st.sampled_from([*COMMANDS, "", "say/more", "+"]),
    st.binary(max_size=200) | st.text().map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_anything_is_a_command_or_a_usage_error(name: str, payload: bytes) -> None:
    try:
        command = parse_command(name, payload)
    except UsageError:
        return
    assert type(command) is COMMANDS[name]

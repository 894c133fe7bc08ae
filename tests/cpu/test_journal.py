"""Where the journal is."""

from __future__ import annotations

from pathlib import Path

from voicebot.cpu.journal import default_path


def test_the_services_directory_comes_first() -> None:
    service = {"RUNTIME_DIRECTORY": "/run/voicebot:/run/other", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert default_path(service) == Path("/run/voicebot/cpu.json")
    assert default_path({"XDG_RUNTIME_DIR": "/run/user/1000"}) == Path("/run/user/1000/voicebot/cpu.json")
    assert default_path({}) == Path.home() / ".cache/voicebot/cpu.json"

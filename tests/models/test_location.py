from __future__ import annotations

from pathlib import Path

from voicebot.models.location import default_root


def test_the_named_store_wins(tmp_path: Path) -> None:
    environ = {"VOICEBOT_MODELS": str(tmp_path / "here"), "XDG_DATA_HOME": str(tmp_path)}
    assert default_root(environ, tmp_path) == tmp_path / "here"


def test_the_users_own_before_the_systems(tmp_path: Path) -> None:
    own = tmp_path / "data/voicebot/models"
    system = tmp_path / "system"
    environ = {"XDG_DATA_HOME": str(tmp_path / "data")}
    assert default_root(environ, system) == own
    system.mkdir()
    assert default_root(environ, system) == system
    own.mkdir(parents=True)
    assert default_root(environ, system) == own


def test_home_without_settings(tmp_path: Path) -> None:
    assert default_root({}, tmp_path / "no") == Path.home() / ".local/share/voicebot/models"

"""What is put where, and what is left when it is taken away; the program itself is left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from voicebot.config.box import BoxSettings
from voicebot.config.load import load_file

ROOT: Final = Path(__file__).parents[1]
SETTINGS: Final = "etc/voicebot/config/voicebot.toml"


def install(goal: str, tree: Path, prefix: str = "/usr", **environ: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts/install"), goal]
    environ = {**os.environ, "DESTDIR": str(tree), "PREFIX": prefix, **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def files(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir()}


PLACES: Final = {
    "bin/voicebot",
    "lib/systemd/system/voicebot.service",
    "lib/systemd/user/voicebot.service",
    "lib/sysusers.d/voicebot.conf",
    "lib/tmpfiles.d/voicebot-cpu.conf",
    "lib/udev/rules.d/99-voicebot-cpu.rules",
}


@pytest.mark.parametrize("prefix", ["usr", "usr/local"])
def test_every_file_has_its_place_and_names_the_program_where_it_is(prefix: str, tmp_path: Path) -> None:
    assert install("files", tmp_path, f"/{prefix}").returncode == 0
    assert files(tmp_path) == {f"{prefix}/{place}" for place in PLACES} | {SETTINGS}
    for place in ("bin/voicebot", "lib/systemd/system/voicebot.service", "lib/systemd/user/voicebot.service"):
        text = (tmp_path / prefix / place).read_text("utf-8")
        assert f"/{prefix}/lib/voicebot/bin/python" in text
        assert text.count("/lib/voicebot/") == text.count(f"/{prefix}/lib/voicebot/")
    assert os.access(tmp_path / prefix / "bin/voicebot", os.X_OK)
    assert load_file(tmp_path / SETTINGS, BoxSettings) == BoxSettings()


def test_a_second_time_leaves_the_settings_as_they_were_changed(tmp_path: Path) -> None:
    install("files", tmp_path)
    (tmp_path / SETTINGS).write_text("[audio]\nblock_ms = 10\n")
    assert install("files", tmp_path).returncode == 0
    assert (tmp_path / SETTINGS).read_text() == "[audio]\nblock_ms = 10\n"


def test_what_is_taken_away_leaves_settings_and_models_unless_they_are_to_go(tmp_path: Path) -> None:
    install("files", tmp_path)
    model = tmp_path / "var/lib/voicebot/models/some/model.bin"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"model")
    program = tmp_path / "usr/lib/voicebot/bin/python"
    program.parent.mkdir(parents=True)
    program.touch()
    assert install("uninstall", tmp_path).returncode == 0
    assert files(tmp_path) == {SETTINGS, "var/lib/voicebot/models/some/model.bin"}
    assert install("uninstall", tmp_path, PURGE="1").returncode == 0
    assert files(tmp_path) == set()


def test_an_unknown_goal_is_refused(tmp_path: Path) -> None:
    refused = install("everything", tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "install: unknown goal 'everything': all, files or uninstall.\n"
    assert files(tmp_path) == set()


def test_a_package_has_the_files_its_settings_as_conffiles_and_scripts_that_can_run(tmp_path: Path) -> None:
    install("files", tmp_path / "tree")
    command = [str(ROOT / "scripts/deb"), str(tmp_path / "tree")]
    environ = {**os.environ, "DIST": str(tmp_path)}
    built = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    package = built.stdout.strip()

    subprocess.run(["dpkg-deb", "--raw-extract", package, str(tmp_path / "raw")], check=True, timeout=120)
    inside = {name for name in files(tmp_path / "raw") if not name.startswith("DEBIAN/")}
    assert inside == {f"usr/{place}" for place in PLACES} | {SETTINGS, "usr/share/doc/voicebot/copyright"}
    about = tmp_path / "raw/DEBIAN"
    assert (about / "conffiles").read_text() == f"/{SETTINGS}\n"
    control = (about / "control").read_text("utf-8")
    assert "@" not in control.replace("root@localhost", "")
    assert "libportaudio2" in control
    assert "python3" in control
    for script in ("postinst", "prerm", "postrm"):
        assert os.access(about / script, os.X_OK)
        assert subprocess.run(["sh", "-n", str(about / script)], check=False, timeout=60).returncode == 0
    assert files(tmp_path / "tree") == inside - {"usr/share/doc/voicebot/copyright"}  # which was not touched

"""One daemon in one place; and the socket's file, which outlives who made it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from voicebot.config import runtime
from voicebot.interfaces.single import AlreadyRunningError, NoRuntimeFolderError, only_one
from voicebot.interfaces.unix_socket import listen

_DAEMON = """
import pathlib, sys
from voicebot.interfaces.single import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with only_one(tmp_path / "run"):
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750
        with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}") as refused, only_one(tmp_path / "run"):
            pass
        assert refused.value.exit_code == 1
        assert "\n" not in str(refused.value)
    with only_one(tmp_path / "run"):
        pass


def test_one_that_was_killed_is_no_hindrance(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"up\n"
        with pytest.raises(AlreadyRunningError, match=f"process {first.pid}"), only_one(tmp_path):
            pass
        first.kill()
    with only_one(tmp_path):
        assert (tmp_path / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_without_a_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRuntimeFolderError, match="set \\$XDG_RUNTIME_DIR"), only_one(tmp_path / "file"):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "daemon.lock").symlink_to(tmp_path / "mine")
    with pytest.raises(NoRuntimeFolderError), only_one(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "precious"


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    listener = listen(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    assert not path.exists()


@pytest.mark.parametrize("waiting", [0, 1])
def test_that_of_a_living_one_never_is(waiting: int, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as client:
        living.bind(str(path))
        living.listen(0)  # it is too busy to take more than one
        if waiting:
            client.connect(str(path))
        inode = path.stat().st_ino
        with pytest.raises(AlreadyRunningError, match="listens at"):
            listen(path)
        assert path.stat().st_ino == inode


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        listen(path)
    assert path.read_text() == "precious"


def test_who_has_taken_the_name_meanwhile_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    first = listen(path)
    path.unlink()
    second = listen(path)
    first.close()
    assert path.exists()
    second.close()


def test_where_a_daemon_is_found() -> None:
    own, system = Path("/run/user/1/voicebot"), Path("/run/voicebot")
    assert runtime.runtime_folder({}) is None
    assert runtime.runtime_folder({"XDG_RUNTIME_DIR": "/run/user/1"}) == own
    assert runtime.runtime_folder({"XDG_RUNTIME_DIR": "/run/user/1", "RUNTIME_DIRECTORY": "/run/voicebot:/b"}) == system
    assert runtime.folders_to_ask({}) == (system,)
    assert runtime.folders_to_ask({"XDG_RUNTIME_DIR": "/run/user/1"}) == (own, system)
    assert runtime.folders_to_ask({"RUNTIME_DIRECTORY": "/run/voicebot"}) == (system,)


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    runtime.make_runtime_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700

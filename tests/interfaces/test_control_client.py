"""The command line's side of the control socket, with a daemon in another thread."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.interfaces.control_scene import Elsewhere
from voicebot.config import runtime
from voicebot.errors import ConfigError, UsageError, VoicebotError
from voicebot.events import Transcribed
from voicebot.interfaces.control_client import ControlClient, NoDaemonError
from voicebot.interfaces.event_json import event_json


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(runtime, "SYSTEM_FOLDER", tmp_path / "system")
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_it_asks_and_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "voicebot") as elsewhere, ControlClient.connect(environ) as client:
        assert client.request("mute") == {"muted": True}
        assert client.request("say", patience_s=None, text="Grüße.")["turn"]["heard"] == "Grüße."
        with pytest.raises(UsageError, match="no session 'attic'"):
            client.request("stop", session="attic")
        assert elsewhere.daemon is not None
        elsewhere.daemon.needs_restart = ConfigError("wrong")
        with pytest.raises(VoicebotError, match="wrong") as error:
            client.request("reload")
        assert error.value.exit_code == 2


def test_the_users_own_daemon_goes_before_the_boxs(environ: dict[str, str], tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "system", ("box",)):
        with ControlClient.connect(environ) as client:
            assert set(client.request("sessions")["sessions"]) == {"box"}
        with Elsewhere(tmp_path / "voicebot", ("own",)), ControlClient.connect(environ) as client:
            assert set(client.request("sessions")["sessions"]) == {"own"}


def test_events_until_the_daemon_ends(environ: dict[str, str], tmp_path: Path) -> None:
    event = Transcribed("local", 1, 1, "hello")
    with Elsewhere(tmp_path / "voicebot", ()) as elsewhere, ControlClient.connect(environ) as client:
        elsewhere.tell_watchers(event)
        stream = client.events()
        assert next(stream) == event_json(event)
        elsewhere.end()
        with pytest.raises(NoDaemonError, match="has ended"):
            next(stream)


def test_without_a_daemon(environ: dict[str, str], tmp_path: Path) -> None:
    assert ControlClient.find(environ) is None
    (tmp_path / "voicebot").mkdir()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "voicebot/control.sock"))
    dead.close()
    with pytest.raises(NoDaemonError, match="start one with `voicebot run`") as error:
        ControlClient.connect(environ)
    assert error.value.exit_code == 1


@pytest.mark.usefixtures("environ")
def test_a_place_with_too_long_a_name(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError, match="can't be reached"):
        ControlClient.find({"XDG_RUNTIME_DIR": str(tmp_path / ("x" * 200))})


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]\n", b"\xff\n", b"null\n", b'{"ok": true}\n', b'{"ok": true, "result": 3}\n']
)
def test_an_answer_that_is_none(answer: bytes, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "voicebot").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "voicebot/control.sock"))
        other.listen()

        def reply() -> None:
            connected, _ = other.accept()
            with connected:
                connected.recv(1000)
                connected.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with ControlClient.connect(environ) as client, pytest.raises(NoDaemonError):
            client.request("status")
        thread.join()


def test_one_that_does_not_answer(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "voicebot").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "voicebot/control.sock"))
        other.listen()
        with ControlClient.connect(environ) as client, pytest.raises(NoDaemonError, match="does not answer"):
            client.request("status", patience_s=0.05)


def test_one_that_may_not_be_asked(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(NoDaemonError, match="be in the group of that folder"):
        ControlClient.find(environ)

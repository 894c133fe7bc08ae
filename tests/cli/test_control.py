"""The commands that the running daemon is asked with, and `say` and `ask` where one runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interfaces.control_scene import Daemon, Elsewhere
from tests.virtual_conversation import FailingModel
from voicebot.cli import ask as ask_command
from voicebot.config import runtime
from voicebot.errors import ConfigError, EngineError
from voicebot.events import StateChanged

if TYPE_CHECKING:
    from tests.cli.conftest import Run

NONE_RUNS = "no daemon runs that could be asked; start one with `voicebot run`."


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with Elsewhere(tmp_path / "run/voicebot") as elsewhere:
        yield elsewhere


@pytest.fixture
def daemon(elsewhere: Elsewhere) -> Daemon:
    assert elsewhere.daemon is not None
    return elsewhere.daemon


@pytest.mark.parametrize(
    "command", ["stop", "listen", "mute", "unmute", "volume", "sessions", "reload", "events", "status"]
)
def test_without_a_daemon_it_is_a_sentence(command: str, run: Run) -> None:
    run(command).failed(1, NONE_RUNS)


def test_mute_and_unmute(run: Run, daemon: Daemon) -> None:
    assert run("mute").out == "the microphone is off\n"
    assert daemon.service.muted
    assert run("unmute", "--json").json() == {"muted": False}
    assert not daemon.service.muted


def test_volume(run: Run, daemon: Daemon) -> None:
    assert run("volume", 40).out == "40 %\n"
    assert daemon.service.volume == 40
    assert run("volume", "--json").json() == {"volume": 40}
    assert run("volume", 101).code == 2


@pytest.mark.usefixtures("daemon")
def test_stop(run: Run) -> None:
    assert run("stop").out == "nothing was being said\n"
    assert run("stop", "--session", "local", "--json").json() == {"stopped": 0}
    run("stop", "--session", "attic").failed(2, "there is no session 'attic'; known: local.")


@pytest.mark.usefixtures("daemon")
def test_listen(run: Run) -> None:
    assert run("listen").out == "local listens\n"
    assert run("listen", "--off", "--json").json() == {"session": "local"}
    run("listen", "--session", "attic").failed(2, "there is no session 'attic'; known: local.")


@pytest.mark.usefixtures("daemon")
def test_sessions(run: Run) -> None:
    shown = run("sessions").out.splitlines()
    assert shown[0].split() == ["session", "state", "exchanges", "frames", "lost"]
    assert shown[1].split() == ["local", "idle", "0", "0"]
    assert run("sessions", "--json").json()["sessions"]["local"]["state"] == "idle"


def test_reload(run: Run, daemon: Daemon) -> None:
    daemon.needs_restart = ["asr.model needs a restart."]
    assert run("reload").out == "reloaded\nasr.model needs a restart.\n"
    assert run("reload", "--json").json() == {"needs_restart": ["asr.model needs a restart."]}
    daemon.needs_restart = ConfigError("x.toml: wrong")
    run("reload").failed(2, "x.toml: wrong")
    daemon.needs_restart = EngineError("broken.")
    run("reload").failed(1, "broken.")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), 'local state_changed at_sample=320 state="listening"\n'),
        (("--json",), '{"event": "state_changed", "session": "local", "at_sample": 320, "state": "listening"}\n'),
    ],
)
def test_events(options: tuple[str, ...], line: str, run: Run, elsewhere: Elsewhere) -> None:
    elsewhere.tell_watchers(StateChanged("local", 320, "listening"), then_end=True)
    done = run("events", *options)
    assert done.code == 1
    assert done.out.startswith(line)
    assert done.err == "voicebot: the daemon has ended, or hung up.\n"


def turns_of_the_daemon(run: Run) -> int:
    turns: int = run("status", "--json").json()["daemon"]["turns"]
    return turns


@pytest.mark.usefixtures("daemon")
def test_ask_is_answered_by_the_daemon(run: Run) -> None:
    assert run("ask", "Who?").out == "You said: Who?.\n"
    assert run("ask", "Who?", "--session", "local", "--json").json() == {"reply": "You said: Who?.", "source": "slm"}
    assert turns_of_the_daemon(run) == 2
    run("ask", " ").failed(2, "the text is empty; give some words.")


@pytest.mark.usefixtures("daemon")
def test_say_is_done_by_the_daemon(run: Run) -> None:
    assert run("say", "Hm.").out == ""
    assert run("say", "Hm.", "--json").json() == {"text": "Hm.", "heard": "Hm.", "interrupted": False}
    assert turns_of_the_daemon(run) == 2


@pytest.mark.usefixtures("daemon")
def test_who_asks_for_something_of_his_own_gets_it(run: Run) -> None:
    reply = {"reply": "You said: Who?.", "source": "slm"}
    assert run("ask", "Who?", "--pipeline", "scripted", "--json").json() == reply
    assert run("say", "Hm.", "--pipeline", "scripted", "--out", "said.wav").code == 0
    assert "--session is of the daemon's" in run("ask", "Who?", "--alone", "--session", "local").err
    assert turns_of_the_daemon(run) == 0


def test_a_reply_that_failed_is_an_error(run: Run, tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "run/voicebot", slm=FailingModel()):
        run("ask", "Who?").failed(1, "the language model failed.")


def test_a_daemon_that_may_not_be_asked_is_done_without(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(ask_command, "chosen", lambda *_: False)
    done = run("ask", "Who?", "--pipeline", "scripted")
    assert (done.code, done.out) == (0, "You said: Who?.\n")
    assert "you may not ask it" in done.err

"""The `voicebot` command as a program: what it offers, how it ends, what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import typer

from voicebot import __version__
from voicebot.audio_io.wav import write_wav
from voicebot.cli import app, main
from voicebot.engines.scripted import hum
from voicebot.errors import EngineError, UsageError

if TYPE_CHECKING:
    from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
COMMANDS = {"replay", "talk", "ask", "say", "transcribe", "models", "doctor", "plan", "bench"}
PROGRAM = [sys.executable, "-m", "voicebot"]
HEEDS_SIGINT = ["env", "--default-signal=INT"]
"""What a script starts in the background ignores SIGINT, and so do its children: the tests too, and what they start."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def program(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_version(run: Run) -> None:
    assert run("--version").out == f"{__version__}\n"


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    shown = {line.split()[1] for line in done.out.splitlines() if line.startswith("│ ") and len(line.split()) > 1}
    assert shown >= COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.code == 0
    assert f"voicebot {command} [OPTIONS]" in done.out


def command_that_raises(error: BaseException) -> typer.Typer:
    raising = typer.Typer(pretty_exceptions_enable=False)

    @raising.command()
    def fail() -> None:
        raise error

    return raising


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("it failed."), 1),
        (UsageError("it failed."), 2),
        (ExceptionGroup("", [ExceptionGroup("", [UsageError("it failed.")])]), 2),
        (ExceptionGroup("", [EngineError("it failed."), EngineError("so did this.")]), 1),
    ],
)
def test_errors_end_as_a_sentence_however_deep_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    monkeypatch.setattr("voicebot.cli.app", command_that_raises(error))
    run().failed(code, "it failed.")


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ExceptionGroup("", [EngineError("it failed."), ValueError("a bug")])]
)
def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("voicebot.cli.app", command_that_raises(error))
    monkeypatch.setattr(sys, "argv", ["voicebot"])
    with pytest.raises(type(error)):
        main()


def test_the_program_says_one_sentence_and_exits(tmp_path: Path) -> None:
    done = program("replay", "none.wav", "--json", cwd=tmp_path)
    sentence = "voicebot: none.wav: there is no such file; name an existing sound file.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
    done = program("ask", "hi", "--pipeline", "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("voicebot: there is no pipeline 'nothing'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_is_interrupted_ends_quickly_and_leaves_no_worker(tmp_path: Path, number: int) -> None:
    write_wav(tmp_path / "clip.wav", hum(16_000 * 20))
    (tmp_path / "mixed.toml").write_text('[asr]\nengine = "scripted"\n[slm]\nengine = "scripted"\n')
    words = ("replay", "--pipeline", "mixed.toml", "clip.wav")
    with subprocess.Popen(
        [*HEEDS_SIGINT, *PROGRAM, *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        workers = wait_for_workers(running.pid, 4)
        running.send_signal(number)
        _, err = running.communicate(timeout=20)
    assert running.returncode == (130 if number == signal.SIGINT else -signal.SIGTERM)
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


def wait_for_workers(pid: int, count: int) -> list[psutil.Process]:
    """Return the program's workers when there are as many."""
    give_up_s = time.monotonic() + 30
    while time.monotonic() < give_up_s:
        found = psutil.Process(pid).children(recursive=True)
        if len(found) == count:
            time.sleep(1)  # lets it come to speaking the clip
            return found
        time.sleep(0.05)
    pytest.fail("the workers did not start")


def test_commands_are_what_the_design_names() -> None:
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert names >= COMMANDS

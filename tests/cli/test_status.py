from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.cpu.boxes import tree
from tests.interfaces.control_scene import Elsewhere
from tests.replayed import SCRIPTED
from voicebot.cli import status
from voicebot.config import runtime
from voicebot.config.pipeline import PipelineSettings
from voicebot.cpu.account import Balance
from voicebot.cpu.actuators import Controls
from voicebot.cpu.box import Box
from voicebot.cpu.placement import Placement, Seat, Speed
from voicebot.cpu.status import StatusFile, read_status, status_of, status_path
from voicebot.cpu.topology import read_box
from voicebot.events import WorkerChanged
from voicebot.interfaces.control_client import ControlClient, NoDaemonError

CONTROLS = Controls(
    frequency=True, preference=False, clamps=True, affinity=True, realtime=False, nice=-10, wake_up=False
)

app = typer.Typer()
app.command()(status.status)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(runtime, "SYSTEM_FOLDER", tmp_path / "system")
    return tmp_path / "run/voicebot/status.json"


def write(
    place: Path, root: Path, box: Box, more: Mapping[str, object] | None = None, now_s: float = 0.0
) -> StatusFile:
    found = status_of(
        box,
        root,
        placement=Placement({"slm": Seat((4, 5), 2)}, {"policy4": Speed(1_200_000, 2_400_000)}, 200),
        temperatures_c={"soc": 61.2},
        rungs={"recognition": 1, "reply": 0},
        pressure=0.25,
        phases={"kitchen": "answering"},
        balance=Balance(120.0, measured=False, turns=4, turn_joules=40.0, idle_w=1.5),
        controls=CONTROLS,
    )
    file = StatusFile(place)
    file.write(found | dict(more or {}), now_s)
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_it_shows_what_the_daemon_does(place: Path, tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    write(place, root, read_box(root))
    shown = run().stdout
    assert f"process {os.getpid()}, kitchen answering" in shown
    assert "1.20 to 2.40" in shown
    assert "soc 61 degrees Celsius" in shown
    assert "recognition 1 down, heat asks for 25% less work" in shown
    assert "120 J in all, 10.0 J in a turn (4 so far), 1.5 W while nobody speaks; estimated" in shown
    told = json.loads(run("--json").stdout)
    assert (told["schema"], told["daemon"]) == (2, None)
    told = told["processor"]
    assert told["seats"]["slm"]["cpus"] == [4, 5]
    assert told["controls"] == asdict(CONTROLS)
    assert [cluster["name"] for cluster in told["clusters"]] == ["policy0", "policy4", "policy6"]


def test_a_box_that_tells_nothing(place: Path, tmp_path: Path) -> None:
    root = tree("nothing", tmp_path)
    nothing = {"temperatures_c": {}, "sessions": {}, "ladder": {"pressure": 0.0, "rungs": {}}}
    write(place, root, read_box(root), nothing)
    done = run()
    assert done.exit_code == 0
    assert "nobody speaks" in done.stdout
    assert "temperatures  not known" in done.stdout
    assert "ladders       full quality" in done.stdout


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"pid": "x"}', '{"pid": null}', '{"pid": 0}'])
def test_without_a_daemon_it_is_a_sentence(content: str | None, place: Path) -> None:
    if content is not None:
        place.parent.mkdir(parents=True)
        place.write_text(content)
    done = run()
    assert done.exit_code == 1
    assert isinstance(done.exception, NoDaemonError)
    assert str(done.exception).count("\n") == 0


def test_the_status_of_one_that_has_died_counts_for_nothing(place: Path, tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write(place, root, read_box(root), {"pid": dead.pid})
    assert read_status(place) is None
    assert run().exit_code == 1


def test_the_daemon_tells_of_itself_as_well(place: Path, tmp_path: Path) -> None:
    with Elsewhere(place.parent) as elsewhere, ControlClient.connect() as client:
        client.request("ask", text="Who?")
        client.request("mute")
        shown = run().stdout
        assert f"process {os.getpid()}, the microphone is off, volume 100 %" in shown
        assert "sessions      local idle" in shown
        assert "turns         1" in shown
        assert "last turn     'Who?': 'You said: Who?.' after" in shown
        assert "clusters" not in shown
        root = tree("rk3588", tmp_path)
        write(place, root, read_box(root))
        assert "soc 61 degrees Celsius" in run().stdout
        told = json.loads(run("--json").stdout)
        assert told["daemon"]["last_turn"]["reply"] == "You said: Who?."
        assert told["processor"]["pid"] == told["daemon"]["pid"]
        assert elsewhere.daemon is not None
        elsewhere.daemon.watchers(WorkerChanged("asr", "died", None, "killed"))
        assert "workers       asr died (1 died before)" in run().stdout


def test_it_shows_who_waits_to_be_called(place: Path) -> None:
    push = PipelineSettings.model_validate({**SCRIPTED.model_dump(), "wake": {"mode": "push"}})
    with Elsewhere(place.parent, pipeline=push), ControlClient.connect() as client:
        assert "sessions      local idle (waiting to be called)" in run().stdout
        client.request("listen")
        assert re.search(r"local idle \(listening for \d s more\)", run().stdout)


@pytest.mark.usefixtures("place")
def test_the_boxs_own_daemon_is_found(tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "system"):
        assert "sessions      local idle" in run().stdout


def test_where_it_is() -> None:
    assert status_path({}) is None
    assert status_path({"XDG_RUNTIME_DIR": "/run/user/1"}) == Path("/run/user/1/voicebot/status.json")
    both = {"XDG_RUNTIME_DIR": "/run/user/1", "RUNTIME_DIRECTORY": "/run/voicebot:/run/other"}
    assert status_path(both) == Path("/run/voicebot/status.json")


def test_another_daemons_status_is_left_alone(place: Path, tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    write(place, root, read_box(root), {"pid": os.getppid()})
    before = place.read_bytes()
    second = write(place, root, read_box(root))
    second.remove()
    assert place.read_bytes() == before


def test_where_it_can_not_be_written_that_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run").write_text("no folder")
    root = tree("rk3588", tmp_path)
    file = write(tmp_path / "run/status.json", root, read_box(root))
    assert file.latest is not None
    file.write(file.latest | {"pid": 1}, 100.0)
    assert file.latest["pid"] == 1, "who asks the daemon itself is told nevertheless"
    file.remove()
    assert len(caplog.records) == 1


def test_once_a_second_at_most(place: Path, tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    file = write(place, root, read_box(root), now_s=10.0)
    assert [file.is_due(now_s) for now_s in (10.0, 10.9, 11.0, 3.0)] == [False, False, True, True]
    file.remove()
    assert not place.exists()

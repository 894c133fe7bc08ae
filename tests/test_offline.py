"""Nothing calls home: no connection is made, and no port opened, beyond those that are configured."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import onnx
import psutil
import pytest

_RUN: Final = """
import importlib, sys, time
importlib.import_module(sys.argv[2])
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
time.sleep(1)
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    nodes = [onnx.helper.make_node("Identity", ["x"], ["y"])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "same", [value], [out]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "same.onnx"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("module", ["voicebot", "voicebot.engines.onnx", "voicebot.workers.host"])
def test_onnxruntime_leaves_no_identifier_and_no_report(module: str, graph: Path, tmp_path: Path) -> None:
    """It keeps quiet in tests and CI by itself, so these signs of them are taken away."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _RUN, str(graph), module], env=environment, check=True, timeout=120)
    assert [path for path in home.rglob("*") if "onnxruntime" in path.name] == []


_PATIENCE_S: Final = 120.0
_ROOT: Final = Path(__file__).parents[1]
_DEFAULT: Final = ("socket.bind", "127.0.0.1", 8321)
"""The web page. All else is off, or a Unix socket."""
_IS_THERE_IPV6: Final = ("socket.bind", "::1", 0)
"""What urllib3 finds out when it is loaded, for the traces: nobody listens there."""


class Audited:
    """A daemon, from where it is ready, with all interfaces as `box` has them."""

    def __init__(self, folder: Path, box: str, ready: socket.socket, pipeline: str) -> None:
        self._folder = folder
        self._notes = folder / "notes"
        self._notes.touch()
        (folder / "box.toml").write_text(box)
        nowhere = {"PULSE_SERVER": f"unix:{folder}/none"}
        places = {name: str(folder) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
        env = dict(os.environ) | nowhere | places | {"NOTIFY_SOCKET": str(folder / "notify")}
        arguments = ["run", "--pipeline", pipeline, "--profile", str(folder / "box.toml")]
        command = [sys.executable, "-m", "tests.audited_daemon", str(self._notes), *arguments]
        self.process = subprocess.Popen(command, env=env, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
        while b"READY=1" not in ready.recv(4096):
            pass

    @property
    def touched(self) -> set[tuple[str, str, int]]:
        """What a socket was given the address of, and names that were looked up."""
        return {tuple(json.loads(line)) for line in self._notes.read_text().splitlines()}

    def touches(self, wanted: set[tuple[str, str, int]]) -> bool:
        """Wait until it has."""
        until_s = time.monotonic() + _PATIENCE_S
        while not wanted <= self.touched and time.monotonic() < until_s:
            time.sleep(0.05)
        return wanted <= self.touched

    def open_ports(self) -> set[tuple[str, int]]:
        """Where it, and all that it has started, can be reached, as the kernel has it."""
        process = psutil.Process(self.process.pid)
        family = [process, *process.children(recursive=True)]
        found = [one.laddr for each in family for one in each.net_connections("inet")]
        return {(address.ip, address.port) for address in found}

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask over the control socket."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_PATIENCE_S)
            asking.connect(str(self._folder / "voicebot/control.sock"))
            asking.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(asking.makefile().readline())
            return answer

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=_PATIENCE_S)
        assert self.process.returncode == 0, errors


@contextmanager
def audited(folder: Path, box: str = "", pipeline: str = "scripted") -> Iterator[Audited]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(folder / "notify"))
        ready.settimeout(_PATIENCE_S)
        daemon = Audited(folder, box, ready, pipeline)
        try:
            yield daemon
        finally:
            daemon.process.kill()
            daemon.process.communicate()


@pytest.fixture
def ports() -> list[int]:
    """Ports of loopback at which nobody is."""
    with ExitStack() as opened:
        taken = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        return [each.getsockname()[1] for each in taken]


def test_by_default_nothing_but_loopback_is_touched(tmp_path: Path) -> None:
    with audited(tmp_path) as daemon:
        assert daemon.ask(request="status")["ok"]
        assert daemon.ask(request="say", text="Dinner is ready.", wait=False)["ok"]
        assert daemon.touches({_DEFAULT})
        assert daemon.open_ports() <= {_DEFAULT[1:]}, "another program may have the port"
        daemon.end()
        assert daemon.touched == {_DEFAULT}


def test_with_all_interfaces_nothing_but_what_was_configured_is_touched(tmp_path: Path, ports: list[int]) -> None:
    web, wyoming, satellite, broker, collector = ports
    box = f"""
        web.port = {web}
        wyoming = {{enabled = true, port = {wyoming}, satellites = ["127.0.0.1:{satellite}"]}}
        mqtt = {{enabled = true, host = "127.0.0.1", port = {broker}}}
        traces = {{enabled = true, endpoint = "http://127.0.0.1:{collector}/v1/traces"}}
    """
    listens = {("socket.bind", "127.0.0.1", port) for port in (web, wyoming)}
    calls = {("socket.connect", "127.0.0.1", port) for port in (satellite, broker, collector)}
    calls |= {("socket.getaddrinfo", "127.0.0.1", collector)}
    with audited(tmp_path, box) as daemon:
        assert daemon.ask(request="say", text="Dinner is ready.")["ok"], "and there is a trace to be sent"
        assert daemon.touches(listens | calls)
        assert daemon.open_ports() >= {("127.0.0.1", web), ("127.0.0.1", wyoming)}
        daemon.end()
        assert daemon.touched - {_IS_THERE_IPV6} == listens | calls


def test_of_stages_elsewhere_nothing_but_what_was_configured_is_touched(tmp_path: Path, ports: list[int]) -> None:
    web, hears, speaks, *_ = ports
    far = tmp_path / "far.toml"
    far.write_text(f"""
        asr = {{engine = "wyoming", uri = "tcp://127.0.0.1:{hears}"}}
        tts = {{engine = "wyoming", uri = "tcp://127.0.0.1:{speaks}"}}
        slm.engine = "scripted"
        turn_model.engine = "none"
    """)
    box = f"web.port = {web}\npaths.cache = '{tmp_path}'"
    touched = {("socket.bind", "127.0.0.1", web), ("socket.connect", "127.0.0.1", speaks)}
    with audited(tmp_path, box, str(far)) as daemon:
        assert daemon.ask(request="say", text="Dinner is ready.", wait=False)["ok"]
        assert daemon.touches(touched)
        daemon.end()
        assert daemon.touched == touched, "nobody has spoken"


def test_the_engines_make_no_internet_socket() -> None:
    """onnxruntime, CTranslate2, llama.cpp and Piper, at work: the kernel would kill whoever does."""
    command = [sys.executable, "-m", "tests.confined_conversation"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "capital of france" in said["heard"].lower()
    assert "paris" in said["answer"].lower()


def test_whoever_makes_one_is_killed() -> None:
    script = (
        "from tests.no_internet import forbid_internet_sockets as forbid; import socket, subprocess, sys; forbid()\n"
    )
    inner = "import socket; socket.socket(socket.AF_UNIX); print('unix', flush=True); socket.socket(socket.{})"
    for family in ("AF_INET", "AF_INET6"):
        code = script + f"print(subprocess.run([sys.executable, '-c', {inner.format(family)!r}]).returncode)"
        done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["unix", str(-signal.SIGSYS)]

"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from voicebot.interfaces.notify import Notifier

Receive = Callable[[], str]


@contextmanager
def systemd(address: str) -> Iterator[Receive]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(60)
        yield lambda: listening.recv(4096).decode()


@pytest.fixture(params=["a path", "an abstract name"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Notifier, Receive]]:
    name = str(tmp_path / "notify") if request.param == "a path" else f"@voicebot-test-{os.getpid()}"
    with systemd(name.replace("@", "\0")) as receive:
        notifier = Notifier({"NOTIFY_SOCKET": name})
        yield notifier, receive
        notifier.close()


def test_each_message_is_one_datagram(heard: tuple[Notifier, Receive]) -> None:
    notifier, receive = heard
    notifier.ready()
    notifier.status("local speaking")
    notifier.alive()
    notifier.stopping()
    assert [receive() for _ in range(4)] == ["READY=1", "STATUS=local speaking", "WATCHDOG=1", "STOPPING=1"]


def test_a_reload_says_when_it_began(heard: tuple[Notifier, Receive]) -> None:
    notifier, receive = heard
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    notifier.reloading()
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    first, second = receive().split("\n")
    assert first == "RELOADING=1"
    assert before_ns // 1000 <= int(second.removeprefix("MONOTONIC_USEC=")) <= after_ns // 1000


def test_a_status_can_not_be_another_message(heard: tuple[Notifier, Receive]) -> None:
    notifier, receive = heard
    notifier.status("a\nSTOPPING=1\n" + 5000 * "b")
    message = receive()
    assert message.startswith("STATUS=a STOPPING=1 bbb")
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    notifier.ready()
    notifier.status("nobody hears it")
    notifier.close()
    notifier.alive()


def test_a_systemd_that_is_gone_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    notifier.alive()
    notifier.close()
    assert caplog.messages == ["systemd does not hear how the service is: No such file or directory"]


async def test_a_systemd_that_does_not_read_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with systemd(str(tmp_path / "notify")):
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(10_000):  # far more than the kernel keeps for a reader
            notifier.alive()
        notifier.close()
    assert caplog.messages == ["systemd does not hear how the service is: Resource temporarily unavailable"]

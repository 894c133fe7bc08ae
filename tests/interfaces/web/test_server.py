"""What is served to whom: the page, the questions, and everybody who has to stay outside."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientWebSocketResponse, WSServerHandshakeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interfaces.web.scene import (
    PATIENCE_S,
    REPLY,
    SECRET,
    HurriedClock,
    Scene,
    StoppedClock,
    serving,
    token_file,
    until,
)
from voicebot.config.web import WebSettings
from voicebot.errors import ConfigError
from voicebot.events import WorkerChanged
from voicebot.interfaces.web.access import COOKIE, Token
from voicebot.interfaces.web.server import Web

HERE: Final = Path(__file__).parent
PAGE: Final = Path(__file__).parents[3] / "voicebot/interfaces/web/page"
NEVER: Final = 4_000_000_000
OPEN: Final = [("GET", "/"), ("GET", "/page.js"), ("GET", "/page.css"), ("GET", "/healthz")]
CLOSED: Final = [
    *(("GET", "/api/status"), ("GET", "/metrics"), ("GET", "/api/live"), ("GET", "/api/microphone")),
    *(
        ("POST", "/api/mute"),
        ("POST", "/api/stop"),
        ("POST", "/api/say"),
        ("POST", "/api/ask"),
        ("POST", "/api/volume"),
    ),
    *(("POST", "/api/logout"), ("GET", "/nowhere"), ("DELETE", "/api/status")),
]
BEARER: Final = {"Authorization": f"Bearer {SECRET}"}
WITH_TOKEN: Final[dict[str, dict[str, str]]] = {
    "bearer": BEARER,
    "cookie": {"Cookie": f"{COOKIE}={Token(SECRET).cookie(NEVER)}"},
}
WITHOUT: Final[dict[str, dict[str, str]]] = {
    "nothing": {},
    "another scheme": {"Authorization": f"Basic {SECRET}"},
    "an old cookie": {"Cookie": f"{COOKIE}={Token(SECRET).cookie(1)}"},
    "a cookie of another token": {"Cookie": f"{COOKIE}={Token('x' * 20).cookie(NEVER)}"},
    "the token as cookie": {"Cookie": f"{COOKIE}={SECRET}"},
}


async def status_of(scene: Scene, method: str, path: str, **headers: str) -> int:
    body: dict[str, Any] | None = {} if method == "POST" else None
    async with scene.browser.request(method, scene.url + path, headers=headers, json=body) as answer:
        return answer.status


async def test_the_page_is_served_hardened(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        for path, kind in [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")]:
            answer = await scene.get(path)
            assert (answer.status, answer.content_type) == (200, kind)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        refused = await scene.get("/api/nowhere")
        assert "frame-ancestors 'none'" in refused.headers["Content-Security-Policy"]


def test_the_page_needs_nothing_from_elsewhere_and_makes_no_markup_of_texts() -> None:
    sources = {file.name: file.read_text() for file in PAGE.iterdir()}
    assert {"index.html", "page.js", "page.css", "worklet.js"} <= set(sources)
    text = "".join(sources.values()).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//cdn|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", sources["index.html"])


@pytest.mark.parametrize(
    "path",
    [
        *("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/page/../../server.py", "//etc/passwd"),
        *("/page.js/", "/page.js%00", "/index.html", "/.", "/page.js/../page.css%5c..", "/%c0%ae%c0%ae/server.py"),
    ],
)
async def test_no_path_leads_anywhere_else(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as scene:
        assert await raw(scene, f"GET {path} HTTP/1.1") in {400, 404}


async def raw(scene: Scene, request: str, host: str | None = None, *headers: str) -> int:
    """Send a request as it stands, and return the status of the answer; 0 where there is none."""
    assert scene.web.address is not None
    reader, writer = await asyncio.open_connection(*scene.web.address)
    lines = [request, f"Host: {host or scene.url.partition('://')[2]}", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        first = (await reader.readline()).split()
    except ConnectionResetError:
        return 0
    finally:
        writer.close()
    return int(first[1]) if first else 0


@pytest.mark.parametrize("name", [*WITH_TOKEN, *WITHOUT])
async def test_the_token_opens_what_is_closed_and_nothing_else_does(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path, WebSettings(port=0, token_file=str(token_file(tmp_path)))) as scene:
        headers = {**WITH_TOKEN, **WITHOUT}[name]
        for method, path in OPEN:
            assert await status_of(scene, method, path, **headers) == 200, path
        for method, path in CLOSED:
            status = await status_of(scene, method, path, **headers)
            assert (status != 401) == (name in WITH_TOKEN), path


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_without_a_token_nobody_is_asked_for_one(tmp_path: Path, method: str, path: str) -> None:
    async with serving(tmp_path) as scene:
        assert await status_of(scene, method, path) != 401


async def test_a_browser_logs_in_and_out(tmp_path: Path) -> None:
    async with serving(tmp_path, WebSettings(port=0, token_file=str(token_file(tmp_path)))) as scene:
        assert (await scene.get("/api/status")).status == 401
        assert (await scene.post("/api/login", {"token": "wrong"})).status == 401
        login = await scene.post("/api/login", {"token": SECRET})
        assert login.status == 200
        assert re.search("HttpOnly.*SameSite=Strict", login.headers["Set-Cookie"])
        assert SECRET not in login.headers["Set-Cookie"]
        assert (await scene.get("/api/status")).status == 200
        assert (await scene.post("/api/logout", {})).status == 200
        assert (await scene.get("/api/status")).status == 401


async def test_who_guesses_is_not_heard_any_more(tmp_path: Path) -> None:
    settings = WebSettings(port=0, token_file=str(token_file(tmp_path)))
    async with serving(tmp_path, settings, clock=StoppedClock()) as scene:
        guesses = [await status_of(scene, "GET", "/api/status", Authorization=f"Bearer {n}") for n in range(6)]
        assert guesses == [401] * 5 + [429]
        assert await status_of(scene, "GET", "/api/status", **BEARER) == 429
        assert await status_of(scene, "GET", "/api/status", **WITH_TOKEN["cookie"]) == 200


async def test_who_asks_too_often_has_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=StoppedClock()) as scene:
        answers = [await status_of(scene, "GET", "/healthz") for _ in range(100)]
        assert answers == [200] * 80 + [429] * 20


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 200),
        (("Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: same-origin"), 200),
        (("Origin: http://evil.example", "Sec-Fetch-Site: cross-site"), 403),
        (("Origin: http://evil.example",), 403),
        (("Origin: null",), 403),
        (("Origin: http://127.0.0.1:1",), 403),
        (("Sec-Fetch-Site: cross-site",), 403),
    ],
)
async def test_the_page_of_another_site_can_not_act(tmp_path: Path, headers: tuple[str, ...], status: int) -> None:
    async with serving(tmp_path) as scene:
        port = scene.url.rpartition(":")[2]
        sent = [line.format(port=port) for line in headers]
        body = ("Content-Type: application/json", "Content-Length: 2", "", "{}")
        assert await raw(scene, "POST /api/stop HTTP/1.1", None, *sent, *body) == status
        upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
        for path in ("/api/live", "/api/microphone"):
            answer = await raw(scene, f"GET {path} HTTP/1.1", None, *sent, *upgrade)
            assert (answer == 403) == (status == 403), path


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_what_a_form_can_send_is_refused(tmp_path: Path, kind: str) -> None:
    async with serving(tmp_path) as scene:
        body = (f"Content-Type: {kind}", "Content-Length: 2", "", "{}")
        assert await raw(scene, "POST /api/stop HTTP/1.1", None, *body) == 415


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 421), ("127.0.0.1.evil.example", 421), ("box.local", 200)]
)
async def test_a_name_that_was_made_to_lead_here_is_refused(tmp_path: Path, host: str, status: int) -> None:
    async with serving(tmp_path, WebSettings(port=0, names=("box.local",))) as scene:
        assert await raw(scene, "GET /api/status HTTP/1.1", host) == status
        assert await raw(scene, "GET / HTTP/1.1", host) == status


async def test_the_switches_switch(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        assert await (await scene.post("/api/mute", {"muted": True})).json() == {"muted": True}
        assert scene.service.muted
        assert await (await scene.post("/api/volume", {"percent": 40})).json() == {"volume": 40}
        assert await (await scene.post("/api/stop", {})).json() == {"stopped": 0}
        told = await (await scene.get("/api/status")).json()
        assert (told["muted"], told["volume"], told["web"]["pages"]) == (True, 40, 0)


async def test_a_question_is_answered_and_a_text_is_said(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        asked = await (await scene.post("/api/ask", {"text": "What is it?", "session": "local"})).json()
        assert (asked["user"], asked["reply"], asked["heard"], asked["error"]) == ("What is it?", REPLY, REPLY, None)
        said = await (await scene.post("/api/say", {"text": "Dinner."})).json()
        assert (said["heard"], said["source"]) == ("Dinner.", "say")


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("say", {"text": ""}, 400, "empty"),
        ("say", {"text": "x" * 1001}, 400, "1000 are the most"),
        ("ask", {"text": "x", "session": "nobody"}, 404, "known: local"),
        ("stop", {"session": "nobody"}, 400, "known: local"),
        ("volume", {"percent": 101}, 400, "0 to 100"),
        ("volume", {"percent": True}, 400, "percent"),
        ("mute", {"muted": 1}, 400, "muted"),
        ("mute", {}, 400, "muted"),
        ("mute", {"muted": True, "more": 1}, 400, "more"),
        ("mute", [1], 400, "body"),
        ("say", {"text": "x" * 70_000}, 413, ""),
    ],
)
async def test_what_can_not_be_done_is_said_in_a_sentence(
    tmp_path: Path, path: str, body: Any, status: int, why: str
) -> None:
    async with serving(tmp_path) as scene:
        answer = await scene.post(f"/api/{path}", body)
        assert answer.status == status
        assert why in (await answer.json())["error"]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=200) | st.sampled_from([b"[" * 60_000, b'{"text":"\\ud800"}']), max_size=12))
def test_no_body_harms_it(tmp_path: Path, bodies: list[bytes]) -> None:
    async def main() -> None:
        async with serving(tmp_path) as scene:
            for body in bodies:
                kind = {"Content-Type": "application/json"}
                for path in ("mute", "say", "login"):
                    async with scene.browser.post(f"{scene.url}/api/{path}", data=body, headers=kind) as answer:
                        assert answer.status in {400, 429}

    asyncio.run(main())


@pytest.mark.parametrize(
    "line", ["\x16\x03\x01\x02", "GET", "\x00", "GET / HTTP/1.1\r\nContent-Length: -5", "A" * 20_000, "GET / HTTP/9.9"]
)
async def test_what_is_no_http_is_refused_quietly(tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as scene:
        assert await raw(scene, line) == 400
    assert "Traceback" not in caplog.text


async def test_it_is_healthy_while_all_workers_are(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        assert await (await scene.get("/healthz")).json() == {"status": "ok"}
        scene.watchers(WorkerChanged("asr", "died", 1, "killed"))
        answer = await scene.get("/healthz")
        assert answer.status == 503
        assert "killed" not in await answer.text()
        scene.watchers(WorkerChanged("asr", "ready", 2, ""))
        assert (await scene.get("/healthz")).status == 200


async def test_metrics_are_there_if_wanted(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        await scene.post("/api/ask", {"text": "What is it?"})
        answer = await scene.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
        assert 'voicebot_turns_total{outcome="finished",source="slm"} 1.0' in text
        assert "voicebot_process_resident_memory_bytes" in text
    async with serving(tmp_path, WebSettings(port=0, metrics=False)) as scene:
        assert (await scene.get("/metrics")).status == 404


async def test_a_port_that_is_taken_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voicebot")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(tmp_path) as scene:
            web = Web(WebSettings(port=port), scene.service, HurriedClock())
            running = asyncio.create_task(web.run())
            await until(lambda: "waits for 127.0.0.1" in caplog.text)
            await asyncio.sleep(0.05)
            taken.close()
            await until(lambda: web.address)
            async with ClientSession() as browser, browser.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
            running.cancel()
            await asyncio.wait([running])
            assert web.address is None
    assert caplog.text.count("waits for") == 1


async def test_there_are_only_so_many_connections(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        assert scene.web.address is not None
        idle = [await asyncio.open_connection(*scene.web.address) for _ in range(128)]
        async with asyncio.timeout(PATIENCE_S):
            while await raw(scene, "GET /healthz HTTP/1.1"):
                pass
            for _, writer in idle:
                writer.close()
            while not await raw(scene, "GET /healthz HTTP/1.1"):
                pass


async def test_with_a_certificate_it_speaks_tls_alone(tmp_path: Path) -> None:
    certificate, key, token = str(HERE / "certificate.pem"), str(HERE / "key.pem"), str(token_file(tmp_path))
    async with serving(tmp_path, WebSettings(port=0, token_file=token, certificate=certificate, key=key)) as scene:
        assert scene.url.startswith("https")
        login = await scene.post("/api/login", {"token": SECRET})
        assert "Secure" in login.headers["Set-Cookie"]
        with pytest.raises(ClientConnectionError):
            await scene.browser.get(scene.url.replace("https", "http"))


@pytest.mark.parametrize("broken", [{"token_file": "missing"}, {"certificate": "missing", "key": "missing"}])
async def test_files_that_can_not_be_used_end_it(tmp_path: Path, broken: dict[str, str]) -> None:
    async with serving(tmp_path) as scene:
        with pytest.raises(ConfigError):
            await Web(WebSettings.model_validate({"port": 0} | broken), scene.service).run()


async def test_it_stops_at_once_whoever_is_connected(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        live = await scene.browser.ws_connect(f"{scene.url}/api/live")
        running = next(task for task in asyncio.all_tasks() if task.get_name() == "web")
        listening = asyncio.create_task(_until_closed(live))
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        await listening
        assert live.close_code == 1001
        with pytest.raises((ClientConnectionError, WSServerHandshakeError)):
            await scene.browser.ws_connect(f"{scene.url}/api/live")


async def _until_closed(live: ClientWebSocketResponse) -> None:
    async for _ in live:
        pass

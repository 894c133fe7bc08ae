"""Tiers on the command line: `ask --tier`, and what the doctor and the plan say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import PIPELINES
from voicebot.cli.doctor import check_models, check_tiers
from voicebot.config.load import load_settings
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

if TYPE_CHECKING:
    from tests.cli.conftest import Box, Run

TERSE = """
    [[tiers]]
    name = "terse"
    engine = "scripted"
    max_tokens = 2
"""


class Models(BaseHTTPRequestHandler):
    """Offers one model."""

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "qwen3-8b"}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        del format, args


@contextmanager
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        serving = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        serving.join()


def office(url: str, model: str = "qwen3-8b", more: str = "") -> str:
    patient = "connect_timeout_ms = 10000\nfirst_token_ms = 30000"
    return f'[[tiers]]\nname = "office"\nengine = "openai"\nmodel = "{model}"\nurl = "{url}"\n{patient}\n{more}\n'


@pytest.fixture
def terse(box: Box) -> str:
    return box.pipeline("terse", PIPELINES["scripted"] + TERSE)


def test_a_tier_can_be_asked_for(run: Run, terse: str) -> None:
    asked = ("ask", "Why are you here?", "--pipeline", terse)
    assert run(*asked).out == "You said:\n"  # it takes thinking
    assert run(*asked, "--tier", "terse").out == "You said:\n"
    assert run(*asked, "--tier", "small").out == "You said: Why are you here?.\n"
    assert run(*asked, "--tier", "terse", "--max-tokens", 3).out == "You said: Why\n"


def test_a_tier_that_does_not_exist_is_a_wrong_argument(run: Run, terse: str) -> None:
    done = run("ask", "Hello.", "--pipeline", terse, "--tier", "large")
    done.failed(2, "there is no tier 'large'; this pipeline has small, terse.")


def test_an_endpoint_alone_is_asked_without_any_worker(run: Run, box: Box) -> None:
    with endpoint() as url:
        pipeline = box.pipeline("remote", office(url))  # of models that are not installed in this box's store
        done = run("ask", "Hello.", "--pipeline", pipeline, "--tier", "office")
    assert done.code == 1
    assert done.err.startswith(f"voicebot: the endpoint {url} refused with status 501")


@pytest.mark.parametrize(
    ("model", "more", "state", "detail"),
    [
        ("qwen3-8b", "", "ok", "qwen3-8b at {url}"),
        ("qwen3-9b", "", "warning", "{url} does not offer qwen3-9b; it has: qwen3-8b."),
        ("qwen3-8b", 'api_key_file = "/no/such/key"', "missing", "the key of the tier 'office' can't be read"),
    ],
)
def test_the_doctor_asks_the_endpoint(box: Box, model: str, more: str, state: str, detail: str) -> None:
    with endpoint() as url:
        (found,) = check_tiers(load_settings(box.pipeline("remote", office(url, model, more))).pipeline)
    assert (found.name, found.state) == ("tier office", state)
    assert found.detail.startswith(detail.format(url=url))
    assert bool(found.mend) == (state != "ok")


def test_an_endpoint_that_does_not_answer_is_no_reason_not_to_start(box: Box) -> None:
    with endpoint() as url:
        pass
    (found,) = check_tiers(load_settings(box.pipeline("remote", office(url))).pipeline)
    assert found.state == "warning"
    assert found.detail.endswith("The model of [slm] answers instead.")
    assert found.mend == f"curl {url}/models"


def test_the_doctor_looks_for_the_models_of_all_tiers(box: Box) -> None:
    further = '[[tiers]]\nname = "large"\nengine = "llama"\nmodel = "qwen3-0.6b-q8_0"\n'
    settings = load_settings(box.pipeline("two", PIPELINES["scripted"] + further))
    (found,) = check_models(settings, Store(box.store, load_catalogue(box.store)))
    assert (found.name, found.state) == ("slm-large model", "missing")
    assert found.mend == "voicebot models pull qwen3-0.6b-q8_0"
    wrong = further.replace("qwen3-0.6b-q8_0", "whisper-tiny.en")
    settings = load_settings(box.pipeline("wrong", PIPELINES["scripted"] + wrong))
    (found,) = check_models(settings, Store(box.store, load_catalogue(box.store)))
    assert found.detail == "whisper-tiny.en is a model for asr, not for slm."


def test_the_plan_gives_each_tier_its_own_context(run: Run, box: Box, tmp_path: Path) -> None:
    further = (
        '[[tiers]]\nname = "large"\nengine = "llama"\nmodel = "smollm2-135m-instruct-q4_1"\ncontext_tokens = 4096\n'
    )
    pipeline = box.pipeline("two", PIPELINES["default"] + further)
    profile = box.profile(f'[paths]\nmodels = "{tmp_path}"')
    for arguments, ratio in (((), 2), (("--context", 1024), 1)):
        planned = run("plan", "--pipeline", pipeline, "--profile", profile, "--json", *arguments).json()
        first, second = [model["kv_mb"] for model in planned["models"] if model["stage"] == "slm"]
        assert second == pytest.approx(ratio * first, rel=0.01)

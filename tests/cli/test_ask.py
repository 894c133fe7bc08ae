"""`voicebot ask`: a question in text, an answer in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_the_answer_is_printed(run: Run) -> None:
    done = run("ask", "  Who are you? ", "--pipeline", "scripted")
    assert (done.code, done.out, done.err) == (0, "You said: Who are you?.\n", "")


def test_json_has_the_reply_and_its_source(run: Run) -> None:
    result = run("ask", "Grüße!", "--pipeline", "scripted", "--json").json()
    assert result == {"reply": "You said: Grüße!.", "source": "slm"}


def test_max_tokens_cuts_the_reply(run: Run) -> None:
    assert run("ask", "Who are you?", "--pipeline", "scripted", "--max-tokens", 3).out == "You said: Who\n"


def test_the_real_model_answers(run: Run) -> None:
    result = run("ask", "What is the capital of France?", "--max-tokens", 20, "--json").json()
    assert "Paris" in result["reply"]
    assert result["source"] == "slm"

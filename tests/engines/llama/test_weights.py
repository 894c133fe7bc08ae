"""A GGUF's own format of a conversation, its tokens, and the text that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError

from voicebot.engines.llama.weights import TextStream, Weights
from voicebot.engines.protocols import Message
from voicebot.errors import EngineError

CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "What is the capital of France?"),
    Message("assistant", "Paris."),
    Message("user", "And of Spain?"),
)
POLISH = "Zażółć gęślą jaźń \N{GRINNING FACE} 日本語"


def test_a_conversation_is_written_as_the_model_wants_it(weights: Weights) -> None:
    closed = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
        "<|im_start|>assistant\nParis.<|im_end|>\n<|im_start|>user\nAnd of Spain?<|im_end|>\n"
    )
    assert weights.render(CONVERSATION, reply=False) == closed
    assert weights.render(CONVERSATION, reply=True) == f"{closed}<|im_start|>assistant\n"


@pytest.mark.parametrize("text", ["Hello there, how are you?", POLISH, " two  spaces ", "a\nb\tc", ""])
def test_text_comes_back_from_its_tokens(weights: Weights, text: str) -> None:
    assert b"".join(map(weights.piece, weights.tokens(text))).decode() == text


def test_the_end_of_a_message_is_one_token_that_ends_the_reply_and_has_no_text(weights: Weights) -> None:
    (token,) = weights.tokens("<|im_end|>")
    assert weights.ends_reply(token)
    assert weights.piece(token) == b""
    assert not weights.ends_reply(weights.tokens("end")[0])


def test_a_character_of_several_tokens_comes_out_whole(weights: Weights) -> None:
    pieces = [weights.piece(token) for token in weights.tokens(POLISH)]
    assert any(not _is_text(piece) for piece in pieces)
    stream = TextStream()
    shown = [stream.feed(piece) for piece in pieces]
    assert "".join(shown) == POLISH
    assert "" in shown  # it waited


@given(st.text(), st.data())
def test_text_cut_anywhere_is_joined_again(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    stream = TextStream()
    shown = []
    while raw:
        length = data.draw(st.integers(1, 5))
        shown.append(stream.feed(raw[:length]))
        raw = raw[length:]
    assert "".join(shown) == text


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert TextStream().feed(b"a\xffb") == "a�b"


def test_a_template_that_refuses_is_an_engine_error(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def render(self, **_: object) -> str:
            raise TemplateError("roles must alternate")

    monkeypatch.setattr(weights, "_template", Refusing())
    with pytest.raises(EngineError, match=r"refuses this conversation \(roles must alternate\)\.$"):
        weights.render(CONVERSATION, reply=True)


def test_a_damaged_model_is_refused_in_one_sentence(gguf: Path, damaged: Callable[[Path, str], Path]) -> None:
    folder = damaged(gguf.parent, gguf.name)
    with pytest.raises(EngineError, match=r"^llama\.cpp can't load .*\.gguf; it is damaged or .*\.$") as caught:
        Weights(folder / gguf.name)
    assert "\n" not in str(caught.value)


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True

"""What a model sees of a conversation that has become too long for it."""

from __future__ import annotations

import pytest

from tests.engines.llama.talk import FRANCE, SYSTEM
from voicebot.engines.llama.weights import Weights
from voicebot.engines.llama.window import Window
from voicebot.engines.protocols import Message, Tool
from voicebot.errors import EngineError

CAPACITY = 256
ROOM = 40


def exchange(number: int) -> tuple[Message, ...]:
    text = f"This is exchange number {number}, and it is quite long."
    return (Message("user", text), Message("assistant", text))


LONG = (SYSTEM, *(message for number in range(20) for message in exchange(number)))


@pytest.fixture
def window(weights: Weights) -> Window:
    return Window(weights, CAPACITY)


def opening(window: Window, messages: tuple[Message, ...]) -> list[int]:
    """Return the tokens up to where the user's next words begin."""
    return window.unfinished((*messages, Message("user", "")), ROOM)


def text(weights: Weights, tokens: list[int]) -> str:
    return b"".join(map(weights.piece, tokens)).decode()


def test_a_short_conversation_is_seen_whole(window: Window, weights: Weights) -> None:
    assert window.answered(FRANCE, ROOM) == weights.tokens(weights.render(FRANCE, reply=True))
    opened = weights.render(FRANCE, reply=False) + "<|im_start|>user\n"
    assert opening(window, FRANCE) == weights.tokens(opened)


@pytest.mark.parametrize("said", ["end", "user", "im", "<|im_end|>", "a", "", " is "])
def test_an_unfinished_message_ends_with_its_last_letter(window: Window, weights: Weights, said: str) -> None:
    expected = weights.tokens(f"<|im_start|>system\n{SYSTEM.content}<|im_end|>\n<|im_start|>user\n{said}")
    assert window.unfinished((SYSTEM, Message("user", said)), ROOM) == expected


def test_the_oldest_exchanges_are_left_out_with_a_mark_and_room_to_spare(window: Window, weights: Weights) -> None:
    tokens = opening(window, LONG)
    seen = text(weights, tokens)
    assert len(tokens) + ROOM <= CAPACITY * 0.8
    assert seen.index(SYSTEM.content) < seen.index("Earlier parts") < seen.index("number 19,")
    assert "number 0," not in seen
    assert seen.count("Earlier parts") == 1
    assert "<|im_start|>user" in seen or "user" in seen.split("left out.)")[1][:20]


def test_what_was_left_out_stays_out_while_the_conversation_goes_on(window: Window, weights: Weights) -> None:
    first = text(weights, opening(window, LONG))
    oldest = next(number for number in range(20) if f"number {number}," in first)
    longer = (*LONG, *exchange(20))
    assert text(weights, opening(window, longer)).startswith(first)
    assert text(weights, window.answered(longer[:-1], ROOM)).startswith(first)
    another = (SYSTEM, *exchange(50), *LONG[1:6])
    assert "number 50," in text(weights, opening(window, another))
    assert f"number {oldest}," in first


def test_one_text_that_is_too_long_is_refused_in_one_sentence(window: Window) -> None:
    long = (SYSTEM, Message("user", "again and " * 300))
    for fit in (window.unfinished, window.answered):
        with pytest.raises(EngineError, match=r"don't fit into a context of 256; .*slm\.context_tokens\.$"):
            fit(long, ROOM)
    assert window.answered(FRANCE, ROOM)


def test_a_text_that_just_fits_is_not_refused_for_the_room_to_spare(window: Window, weights: Weights) -> None:
    message = Message("user", "again and " * 80)
    tokens = window.answered((SYSTEM, *exchange(1), message), ROOM)
    assert CAPACITY * 0.8 < len(tokens) + ROOM <= CAPACITY
    assert "number 1," not in text(weights, tokens)


def test_a_template_without_a_place_for_a_mark_does_without(
    window: Window, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = weights.render

    def strict(messages: tuple[Message, ...], tools: tuple[Tool, ...], *, reply: bool) -> str:
        if [message.role for message in messages].count("system") > 1:
            raise EngineError("one system message is enough.")
        return render(messages, tools, reply=reply)

    monkeypatch.setattr(weights, "render", strict)
    seen = text(weights, opening(window, LONG))
    assert "Earlier parts" not in seen
    assert "number 0," not in seen
    assert "number 19," in seen

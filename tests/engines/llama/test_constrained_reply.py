"""Calls that the real model writes under a grammar fit their schemas, whatever it would have written without."""

from __future__ import annotations

from collections.abc import Iterator

import llama_cpp
import pytest

from tests.engines.llama.constrained import ConstrainedModel
from tests.engines.llama.example_tools import (
    LIGHT,
    ORDER,
    TIMER,
    WHEN,
    Valid,
    valid_light,
    valid_order,
    valid_timer,
    valid_when,
)
from voicebot.engines.llama.calls import CallSplitter
from voicebot.engines.llama.grammar import ToolGrammars
from voicebot.engines.llama.tool_prompt import tell
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message, ReplyPart, Tool, ToolCall

REQUESTS: dict[str, tuple[Tool, Valid, str]] = {
    "enum": (LIGHT, valid_light, "Turn on the kitchen light."),
    "range": (TIMER, valid_timer, "Wake me in five hundred minutes."),
    "nested": (ORDER, valid_order, "Send two pizzas and a free salad to 12 Elm Street."),
    "formats": (WHEN, valid_when, "Meet me tomorrow at noon."),
}


@pytest.fixture(scope="module")
def grammars(weights: Weights) -> Iterator[ToolGrammars]:
    made = ToolGrammars(weights.vocabulary)
    yield made
    made.close()


@pytest.fixture(scope="module", params=REQUESTS)
def asked(request: pytest.FixtureRequest, weights: Weights) -> Iterator[tuple[ConstrainedModel, Tool, Valid]]:
    which, valid, text = REQUESTS[request.param]
    messages = tell((Message("system", "You are a helpful assistant."), Message("user", text)), [which])
    model = ConstrainedModel(weights, weights.render(messages, reply=True))
    yield model, which, valid
    model.close()


def first_part(pieces: Iterator[str]) -> ReplyPart:
    """The first text or call of a reply; it is not written any further."""
    splitter = CallSplitter()
    for piece in pieces:
        if parts := splitter.feed(piece):
            return parts[0]
    return splitter.finish()[0]


@pytest.mark.parametrize(("temperature", "seed"), [(0.0, 0), (1.0, 1), (1.0, 2), (1.0, 3)])
def test_a_required_call_of_the_real_model_fits_the_schema(
    asked: tuple[ConstrainedModel, Tool, Valid], grammars: ToolGrammars, temperature: float, seed: int
) -> None:
    model, which, valid = asked
    grammar = grammars.sampler([which], required=True)
    call = first_part(model.reply(grammar, temperature=temperature, seed=seed, max_tokens=200))
    assert isinstance(call, ToolCall), call
    assert call.name == which.name
    assert valid(call.arguments), call


def test_the_real_models_text_is_the_same_with_a_lazy_grammar(
    asked: tuple[ConstrainedModel, Tool, Valid], grammars: ToolGrammars
) -> None:
    model, which, _ = asked
    nothing = llama_cpp.llama_sampler_init_top_k(0)
    free, lazy = (
        "".join(model.reply(grammar, temperature=0, seed=0, max_tokens=20))
        for grammar in (nothing, grammars.sampler([which], required=False))
    )
    assert free
    assert lazy.startswith(free.partition("<tool_call>")[0])

"""A reply in the making, token by token."""

from __future__ import annotations

import pytest

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.job import Reply
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Answer, Piece, SlmRequest

SMILE = "Zażółć 🙂!"


@pytest.fixture
def sampler(weights: Weights) -> Sampler:
    return Sampler(SlmSettings(), weights.vocabulary_size)


def test_there_are_as_many_pieces_as_tokens_so_that_a_reply_that_ran_out_of_them_is_known(
    weights: Weights, sampler: Sampler
) -> None:
    tokens, answer = weights.tokens(SMILE), Answer()
    reply = Reply(weights, sampler, SlmRequest("generate", (), max_tokens=len(tokens)), answer)
    for token in tokens:
        reply.add(token)
    pieces = [piece.text for piece in answer.items if isinstance(piece, Piece)]
    assert (len(pieces), reply.left) == (len(tokens), 0)
    assert "".join(pieces) == reply.text == SMILE
    assert "" in pieces, "of a character that was not complete"
    sampler.close()

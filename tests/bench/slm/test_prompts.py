"""The prompts are of the lengths and kinds that the figures speak of."""

from __future__ import annotations

from voicebot.bench.slm.first_token import partials
from voicebot.bench.slm.prompts import CHAT, EVERY, HISTORY, MISLEADING, QUOTING, SENTENCES, talk


def test_sentences_have_ten_words_and_the_assistant_spoke_before_them() -> None:
    assert {len(sentence.split()) for sentence in SENTENCES} == {10}
    assert len(set(SENTENCES)) >= 20
    assert (HISTORY[0].role, HISTORY[-1].role) == ("user", "assistant")


def test_there_are_enough_of_each_kind_and_no_two_alike() -> None:
    assert len(EVERY) == len(set(EVERY)) >= 50
    assert (len(QUOTING) >= 6, len(CHAT) >= 12, len(MISLEADING) >= 8) == (True, True, True)
    assert {prompt.messages[-1].role for prompt in EVERY} == {"user"}


def test_speakers_take_turns() -> None:
    assert [message.role for message in talk("Hello.", "Hello!", "Bye.").messages] == ["user", "assistant", "user"]


def test_partials_grow_and_have_no_mark_at_the_end() -> None:
    assert partials(SENTENCES[0]) == ("How long does it", "How long does it take to walk", SENTENCES[0][:-1])

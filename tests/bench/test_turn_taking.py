"""The figures of turn-taking, from conversations whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.virtual_scenario import Act
from voicebot.audio import ms_from_samples, samples_from_ms
from voicebot.bench.turn_taking import over_limit, turn_taking, word_error_rate
from voicebot.events import Interrupted
from voicebot.replay import Conversation

ASK = "[[clip]]\nfile = 'hum.wav'\nsays = 'What is it?'\nat_s = 1\n"
AFTER = "after = 'reply starts'\ndelay_s = 1\n"
LONG = "[scripted]\nreply = 'This is a reply that takes quite some time. It has two sentences.'\n"


def over_reply(role: str, says: str = "") -> str:
    return f"{LONG}{ASK}[[clip]]\nfile = 'hum.wav'\nsays = '{says}'\nrole = '{role}'\n{AFTER}"


def interrupt(conversation: Conversation, at_sample: int) -> None:
    """Let the first turn have been interrupted, whatever really happened."""
    event = Interrupted("test", 1, at_sample, at_sample, at_sample + 1600)
    conversation.interruptions = {1: event}


def test_the_end_of_a_request_is_found_after_its_last_voiced_sample(act: Act) -> None:
    conversation = act(ASK).conversation
    figures = turn_taking([conversation, act(ASK).conversation])
    (ended,) = conversation.ended
    delay_ms = ms_from_samples(ended.marks["committed"] - conversation.spoken[0].speech_end_sample)
    assert figures["endpoint_ms"]["max"] == pytest.approx(delay_ms, abs=0.1)
    assert (figures["conversations"], figures["requests"], figures["missed_ends"]) == (2, 2, 0)
    assert (figures["early_commits"], figures["false_cut_ins"]) == (0, 0)


def test_a_request_that_is_never_committed_is_a_missed_end(act: Act) -> None:
    figures = turn_taking([act("[[clip]]\nfile = 'hum.wav'\nat_s = 1").conversation])
    assert (figures["requests"], figures["missed_ends"]) == (1, 1)
    assert figures["endpoint_ms"]["p50"] is None


def test_a_commit_before_the_end_is_early(act: Act) -> None:
    conversation = act(ASK).conversation
    (spoken,) = conversation.spoken
    committed = conversation.ended[0].marks["committed"]
    conversation.spoken[:] = [type(spoken)(spoken.clip, committed - samples_from_ms(500))]
    figures = turn_taking([conversation])
    assert figures["early_commits"] == 1
    assert figures["missed_ends"] == 0


def test_only_who_means_it_interrupts(act: Act) -> None:
    for role, says, false in (("interruption", "Stop.", 0), ("backchannel", "Mm-hm.", 1)):
        conversation = act(over_reply(role, says)).conversation
        interrupt(conversation, conversation.spoken[1].start_sample + 3200)
        assert turn_taking([conversation])["false_interruptions"] == false


def test_an_interruption_that_nobody_spoke_for_is_false(act: Act) -> None:
    conversation = act(LONG + ASK).conversation
    interrupt(conversation, conversation.ended[0].marks["audible"] + samples_from_ms(1000))
    assert turn_taking([conversation])["false_interruptions"] == 1


def test_an_interruption_that_did_not_stop_the_reply_is_missed(act: Act) -> None:
    conversation = act(over_reply("interruption")).conversation
    conversation.interruptions = {}
    assert turn_taking([conversation])["missed_interruptions"] == 1
    interrupt(conversation, conversation.spoken[1].start_sample + 3200)
    assert turn_taking([conversation])["missed_interruptions"] == 0


def test_who_speaks_after_the_reply_interrupts_nothing(act: Act) -> None:
    later = over_reply("interruption", "Stop.").replace("reply starts", "reply ends")
    assert turn_taking([act(later).conversation])["missed_interruptions"] == 0


def test_word_errors_are_of_requests_of_which_it_is_known_what_was_said(act: Act) -> None:
    conversation = act(f"{ASK}[[clip]]\nfile = 'hum.wav'\nafter = 'reply ends'").conversation
    assert word_error_rate([conversation]) == 0
    conversation.ended[:] = [replace(conversation.ended[0], user="What was it?")]
    assert word_error_rate([conversation]) == pytest.approx(1 / 3, abs=0.001)
    conversation.ended.clear()
    assert word_error_rate([conversation]) == 1
    assert word_error_rate([]) is None


def test_figures_beyond_their_limit_are_named() -> None:
    good = {"false_cut_ins": 0, "stop_ms": {"p50": 250, "p95": None}, "wasted_cpu_share": None, "most_words_apart": 1}
    assert over_limit(good) == []
    assert over_limit({"false_cut_ins": 1, "stop_ms": {"p50": 251, "p95": 300}, "wasted_cpu_share": 0.4}) == [
        "false_cut_ins",
        "stop_ms.p50",
        "wasted_cpu_share",
    ]

"""The conversation as a model is shown it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.assistant.facts import Fact
from voicebot.assistant.history import LEFT_OUT, Exchange, History, Notes
from voicebot.engines.protocols import Message

SYSTEM = Message("system", "Be brief.")


def test_a_new_conversation_has_only_the_system_prompt() -> None:
    history = History("Be brief.")
    assert history.messages() == (SYSTEM,)
    assert history.exchanges == ()


def test_of_a_reply_only_what_was_heard_is_remembered() -> None:
    history = History("Be brief.")
    history.add("hello", "Hi there,")
    assert history.messages("who are you") == (
        SYSTEM,
        Message("user", "hello"),
        Message("assistant", "Hi there,"),
        Message("user", "who are you"),
    )


def test_what_the_user_said_around_an_unheard_reply_becomes_one_message() -> None:
    history = History("Be brief.")
    history.add("set a timer", "")
    history.add("for five minutes", "")
    assert history.messages("please") == (SYSTEM, Message("user", "set a timer\nfor five minutes\nplease"))
    assert history.messages() == (SYSTEM, Message("user", "set a timer\nfor five minutes"))


def test_a_turn_that_ended_before_its_words_were_known_is_not_remembered() -> None:
    history = History("Be brief.")
    history.add("", "")
    assert history.exchanges == ()
    assert history.messages("hello") == (SYSTEM, Message("user", "hello"))


def test_words_that_were_asked_back_are_known_until_the_next_exchange() -> None:
    history = History("Be brief.")
    assert history.asked_back is None
    history.add("hello", "Hi there.")
    assert history.asked_back is None
    history.add("kumquat", "Sorry, did you say: kumquat?", unsure=True)
    assert history.asked_back == "kumquat"
    assert history.messages("yes")[-2:] == (
        Message("assistant", "Sorry, did you say: kumquat?"),
        Message("user", "yes"),
    )
    history.add("kumquat", "It is a fruit.")
    assert history.asked_back is None


def test_a_question_back_that_nobody_heard_was_not_asked() -> None:
    history = History("Be brief.")
    history.add("kumquat", "", unsure=True)
    assert history.asked_back is None


def test_days_of_conversation_keep_only_the_newest_exchanges() -> None:
    history = History("Be brief.")
    for number in range(1000):
        history.add(f"question {number}", f"answer {number}")
    assert history.exchanges[0] == Exchange("question 800", "answer 800")
    assert history.exchanges[-1] == Exchange("question 999", "answer 999")
    assert history.messages()[0] == SYSTEM


@given(st.lists(st.tuples(st.text(), st.text())), st.none() | st.text(min_size=1))
def test_speakers_alternate_and_the_user_begins(exchanges: list[tuple[str, str]], last: str | None) -> None:
    history = History("Be brief.")
    for user, heard in exchanges:
        history.add(user, heard)
    roles = [message.role for message in history.messages(last)]
    assert roles == ["system", *["user", "assistant"] * len(roles)][: len(roles)]
    assert last is None or roles[-1] == "user"


NOTES = Notes("The user talked about timers.", facts=(Fact("my name is", "my name is Bob"),))


def told(number: int = 3) -> History:
    history = History("Be brief.")
    for each in range(number):
        history.add(f"question {each}", f"answer {each}")
    return history


def test_notes_stand_for_the_oldest_exchanges_and_come_right_after_the_system_prompt() -> None:
    history = told()
    assert history.compact(history.exchanges[:2], NOTES)
    system, *rest = history.messages("and now")
    assert system.content == (
        'Be brief.\n\nEarlier in this conversation: The user talked about timers.\nThe user said: "my name is Bob".'
    )
    assert rest == [
        Message("user", "question 2"),
        Message("assistant", "answer 2"),
        Message("user", "and now"),
    ]
    assert history.notes == NOTES


def test_what_was_left_out_is_marked() -> None:
    assert Notes(left_out=True).text == f"Earlier in this conversation: {LEFT_OUT}"
    assert (
        Notes("It was about tea.", left_out=True).text == f"Earlier in this conversation: It was about tea. {LEFT_OUT}"
    )


def test_what_was_said_stays_known_when_it_is_compacted() -> None:
    history = told()
    history.add("kumquat", "Sorry, did you say: kumquat?", unsure=True)
    before = history.exchanges
    assert history.compact(before, NOTES)
    assert history.exchanges == before
    assert history.open_exchanges == ()
    assert history.asked_back == "kumquat"


def test_only_the_oldest_open_exchanges_can_be_compacted() -> None:
    history = told()
    first, second, third = history.exchanges
    before = history.messages()
    for wrong in ([second], [first, third], [first, Exchange("question 1", "else")], [first, second, third, third]):
        assert not history.compact(wrong, NOTES)
    assert history.messages() == before
    assert history.compact([first], NOTES)
    assert not history.compact([first], NOTES)
    assert history.compact([second], NOTES)
    assert history.open_exchanges == (third,)


def test_days_of_compacted_conversation_keep_only_the_newest_exchanges() -> None:
    history = History("Be brief.")
    for number in range(1000):
        history.add(f"question {number}", f"answer {number}")
        if len(history.open_exchanges) > 10:
            assert history.compact(history.open_exchanges[:5], NOTES)
    assert len(history.exchanges) == 200
    assert 5 < len(history.open_exchanges) <= 10
    assert history.messages()[-1] == Message("assistant", "answer 999")

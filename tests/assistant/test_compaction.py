"""Which exchanges are summarised, and what comes of the summary."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.rig import serving
from voicebot.assistant.compaction import SUMMARY_BEGINS, Compaction, estimate, plan, usable_summary
from voicebot.assistant.history import LEFT_OUT, History, Notes
from voicebot.config.history import HistorySettings
from voicebot.config.pipeline import SlmSettings
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerSlm
from voicebot.workers.supervisor import WorkerOrder

RULES = HistorySettings()
SIZE_OF = estimate(RULES)
CONTEXT, REPLY = 1024, 60
ROOM = CONTEXT - REPLY
SUMMARY = "The user talked about timers and the weather."


def talk(history: History, turns: int, first: str = "") -> None:
    """Hold so many turns of about 40 tokens."""
    for number in range(turns):
        user = first if first and number == 0 else f"And what about question number {len(history.exchanges)}, please?"
        history.add(user, f"The answer to that one is {number}, as far as I know, and no more can be said of it.")


def long_talk(first: str = "", turns: int = 20) -> History:
    history = History("Be brief.")
    talk(history, turns, first)
    return history


def due(history: History, rules: HistorySettings = RULES) -> Compaction:
    compaction = plan(history, SIZE_OF, CONTEXT, REPLY, rules)
    assert compaction is not None
    return compaction


def size(history: History) -> float:
    return SIZE_OF(history.messages())


def test_there_is_nothing_to_do_while_there_is_room() -> None:
    assert plan(History("Be brief."), SIZE_OF, CONTEXT, REPLY, RULES) is None
    history = History("Be brief.")
    while size(history) <= RULES.start_share * ROOM:
        assert plan(history, SIZE_OF, CONTEXT, REPLY, RULES) is None
        talk(history, 1)
    assert not due(history).late


def test_as_many_of_the_oldest_go_as_leave_the_wanted_share() -> None:
    history = long_talk()
    compaction = due(history)
    assert compaction.exchanges == history.exchanges[: len(compaction.exchanges)]
    assert compaction.apply(history, "The user talked about " + "x" * 200)
    one = SIZE_OF(history.open_exchanges[0].messages())
    assert RULES.target_share * ROOM - one < size(history) <= RULES.target_share * ROOM
    assert plan(history, SIZE_OF, CONTEXT, REPLY, RULES) is None


def test_the_newest_exchange_always_stays() -> None:
    history = History("Be brief.")
    history.add("short", "short")
    history.add("long " * 1000, "long")
    assert due(history).exchanges == history.exchanges[:1]
    history = History("Be brief. " * 500)
    history.add("only", "one")
    assert plan(history, SIZE_OF, CONTEXT, REPLY, RULES) is None


def test_it_is_late_when_one_more_turn_would_hardly_fit() -> None:
    history = long_talk()
    while size(history) <= RULES.full_share * ROOM:
        assert not due(history).late
        talk(history, 1)
    assert due(history).late


def test_the_request_shows_what_is_to_be_summarised_and_nothing_else() -> None:
    history = long_talk("My dog is called Bruno.")
    history.compact((), Notes("Cats came first."))
    history.add("the newest", "words")
    compaction = due(history)
    system, user = compaction.request()
    assert (system.role, user.role) == ("system", "user")
    lines = user.content.splitlines()
    assert lines[:2] == ["Earlier: Cats came first.", "User: My dog is called Bruno."]
    assert lines[2].startswith("Assistant: The answer to that one is 0,")
    assert "the newest" not in user.content
    assert SIZE_OF((system, user)) + RULES.summary_tokens < CONTEXT


def test_the_summary_replaces_the_exchanges_and_the_next_one_replaces_it() -> None:
    history = long_talk()
    due(history).apply(history, SUMMARY)
    assert history.messages()[0].content == f"Be brief.\n\nEarlier in this conversation: {SUMMARY}"
    talk(history, 12)
    compaction = due(history)
    assert f"Earlier: {SUMMARY}" in compaction.request()[-1].content
    compaction.apply(history, "The user talked about all sorts of things.")
    assert SUMMARY not in history.messages()[0].content


def test_without_a_summary_they_are_left_out_with_a_mark_that_stays() -> None:
    history = long_talk()
    due(history).apply(history, SUMMARY)
    for summary in (None, "The user talked about tea."):
        talk(history, 12)
        kept = summary or SUMMARY
        assert due(history).apply(history, summary)
        assert history.messages()[0].content.endswith(f"Earlier in this conversation: {kept} {LEFT_OUT}")


def test_facts_are_kept_in_the_users_words_whatever_becomes_of_the_rest() -> None:
    history = long_talk("Hi, my name is Anna and I'm allergic to nuts.")
    assert "Anna" not in history.messages()[0].content, "it is still to be seen where it was said"
    for summary in (SUMMARY, None, SUMMARY):
        due(history).apply(history, summary)
        assert '"my name is Anna", "I\'m allergic to nuts"' in history.messages()[0].content
        talk(history, 15)
    history.add("Call me Ann. My name is Annabel.", "As you like.")
    talk(history, 25)
    due(history).apply(history, None)
    facts = history.messages()[0].content.splitlines()[-1]
    assert facts == 'The user said: "I\'m allergic to nuts", "Call me Ann", "My name is Annabel".'


def test_what_was_hardly_understood_is_no_fact() -> None:
    history = History("Be brief.")
    history.add("my name is Kumquat", "Sorry, did you say: my name is Kumquat?", unsure=True)
    talk(history, 20)
    assert due(history).facts == ()


def test_turns_that_end_meanwhile_stay_as_they_are() -> None:
    history = long_talk()
    compaction = due(history)
    talk(history, 3)
    newest = history.exchanges[-3:]
    assert compaction.apply(history, SUMMARY)
    assert history.open_exchanges[-3:] == newest


def test_what_was_compacted_meanwhile_is_not_compacted_again() -> None:
    history = long_talk()
    slow, quick = due(history), due(history)
    assert quick.apply(history, None)
    before = history.messages()
    assert not slow.apply(history, SUMMARY)
    assert history.messages() == before


def test_exchanges_that_have_fallen_out_of_memory_are_not_compacted() -> None:
    history = long_talk()
    compaction = due(history)
    talk(history, 181)
    assert history.exchanges[0] != compaction.exchanges[0]
    assert not compaction.apply(history, SUMMARY)


@pytest.mark.parametrize(
    ("reply", "summary"),
    [
        (" timers and the weather.", SUMMARY),
        (" timers and\n **the weather**.", SUMMARY),
        (" timers and the weather. They also asked about", SUMMARY),
        (" timers, at 3.5 litres", "The user talked about timers, at 3.5 litres"),
    ],
)
def test_a_summary_is_whole_sentences(reply: str, summary: str) -> None:
    assert usable_summary(reply, due(long_talk()), RULES) == summary


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n",
        "...",
        " tea" * 200,
        " the train and the train and the train and the train and the train",
        " tea.\nUser: And coffee?\nAssistant: Yes.",
        " tea. In one or two short sentences, what did the user talk about?",
        " The answer to that one is 1, as far as I know, and no more can be said of it.",
    ],
)
def test_a_summary_that_is_none_is_not_used(reply: str) -> None:
    assert usable_summary(reply, due(long_talk()), RULES) is None


TURNS = st.lists(st.tuples(st.integers(1, 120), st.integers(0, 60), st.booleans()), min_size=1, max_size=80)


@given(TURNS, st.sampled_from([256, 1024, 4096]))
def test_a_conversation_of_any_turns_stays_below_the_context(turns: list[tuple[int, int, bool]], context: int) -> None:
    """Whether or not there is ever time for a summary; a single turn of 100 words may be a quarter of the context."""
    history = History("Be brief.")
    most = context - REPLY
    for user_words, heard_words, quiet in turns:
        history.add("word " * min(user_words, context // 16), "word " * heard_words)
        compaction = plan(history, SIZE_OF, context, REPLY, RULES)
        if compaction is not None and (quiet or compaction.late):
            assert compaction.apply(history, None if compaction.late else SUMMARY)
        assert size(history) <= most
        assert len(history.open_exchanges) >= 1
        roles = [message.role for message in history.messages("more")]
        assert all(one != other for one, other in pairwise(roles))


@pytest.fixture
def real_model(store: Store) -> WorkerOrder:
    settings = SlmSettings()
    return WorkerOrder("slm", store.path(settings.model), settings.model_dump(mode="json"), 1, 2)


async def test_a_real_model_summarises(real_model: WorkerOrder) -> None:
    history = long_talk("I'm planning a trip to Spain in June, and my name is Anna.")
    compaction = due(history)
    async with serving(real_model) as rig:
        slm = WorkerSlm(rig.supervisor)
        stream = slm.generate(compaction.request(), RULES.summary_tokens, SUMMARY_BEGINS, session="talk/summary")
        pieces = [text async for text in stream]
    assert 0 < len(pieces) <= RULES.summary_tokens
    summary = usable_summary("".join(pieces), compaction, RULES)
    assert summary is not None
    assert summary.startswith(SUMMARY_BEGINS)
    assert compaction.apply(history, summary)
    assert size(history) <= math.ceil(RULES.target_share * ROOM)
    assert f'{summary}\nThe user said: "my name is Anna".' in history.messages()[0].content

"""Whatever is said, however long the engines take and whatever fails: what always holds of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import accumulate, groupby, pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.random_conversation import (
    COMMANDS,
    PLAYS,
    WORDS,
    Held,
    Play,
    Step,
    perform,
)
from tests.virtual_conversation import (
    CLOCK,
    FailingModel,
    FailingRecognizer,
    FailingSynthesizer,
    Talk,
    converse,
    tasks_left,
)
from tests.virtual_conversation import settings as plain
from tests.voice import written
from voicebot.audio import FRAME_SAMPLES, Pcm, samples_from_ms
from voicebot.audio_io.playback import Played
from voicebot.engines.scripted import hum
from voicebot.events import Resumed, TurnCommitted, TurnDiscarded, TurnEnded
from voicebot.latency.marks import MARKS, OPENER_MARK
from voicebot.pipeline.play import OPENER
from voicebot.pipeline.revision import Revision
from voicebot.turn.table import State

FADE: Final = samples_from_ms(10)
BETWEEN_PARTS: Final = samples_from_ms(8)
"""More silence than between two letters."""
UNHEARD_SHARE: Final = 0.2
"""Of a word that counts as heard."""
SILENT_STATES: Final = {"paused", "weighing", "listening", "pending"}


def owner(tag: object) -> tuple[Revision, bool]:
    """Return whose audio it was, and whether it was an apology."""
    assert isinstance(tag, tuple)
    if isinstance(tag[0], Revision):
        return tag[0], False
    revision, word = tag[0]
    assert word == "apology"
    return revision, True


def is_reply(stretch: Played) -> bool:
    """Return whether it was of a reply itself: no opener and no apology."""
    assert isinstance(stretch.tag, tuple)
    return not owner(stretch.tag)[1] and stretch.tag[1] != OPENER


def one_audible_reply_at_a_time(held: Held) -> None:
    """A reply that has ended, or whose apology has begun, is never heard again."""
    heard = [owner(stretch.tag) for stretch in held.talk.played]
    changes = [who for who, _ in groupby(heard)]
    assert len(changes) == len(set(changes))
    assert [revision.turn for revision, _ in changes] == sorted(revision.turn for revision, _ in changes)


def nothing_audible_from_a_stale_revision(held: Held) -> None:
    """What is played is of the revision that was committed, which is its turn's last; and after the commit."""
    talk = held.talk
    committed = {(event.turn, event.revision): event.at_sample for event in talk.of(TurnCommitted)}
    ended = {turn.turn: turn for turn in talk.turns}
    for stretch in talk.played:
        revision, _ = owner(stretch.tag)
        assert (revision.turn, revision.number) in committed
        assert stretch.start_sample >= committed[revision.turn, revision.number] - FRAME_SAMPLES
        assert revision.number == ended[revision.turn].revisions
        if stretch.audible_sample is not None and stretch.samples > FADE:
            mark = OPENER_MARK if stretch.tag == (revision, OPENER) else "audible"
            assert ended[revision.turn].marks[mark] <= stretch.audible_sample


def no_side_effect_before_commit(held: Held) -> None:
    """The history grows when a turn ends, and only if that was committed."""
    talk = held.talk
    committed: set[int] = set()
    before = 0
    for event, remembered in zip(talk.events, talk.remembered, strict=True):
        if isinstance(event, TurnCommitted):
            committed.add(event.turn)
        if isinstance(event, TurnEnded):
            assert event.turn in committed
            assert remembered - before <= 1
        else:
            assert remembered == before
        before = remembered


def history_equals_heard(held: Held) -> None:
    """Every reply is remembered as far as it was heard, to the word, and nothing else is."""
    talk = held.talk
    remembered = list(talk.session.history.exchanges)
    asked = None
    for turn in talk.turns:
        if not turn.user or (turn.source == "intent" and not turn.reply):
            continue  # a mere "stop"
        exchange = remembered.pop(0)
        assert exchange.user == (asked if asked and turn.source == "slm" and turn.user == "yes" else turn.user)
        assert exchange.heard == turn.heard
        assert turn.reply.startswith(turn.heard)
        if not turn.interrupted and turn.error is None:
            assert turn.heard == turn.reply
        asked = exchange.user if exchange.unsure and exchange.heard else None
        _matches_the_sound(turn, talk)
    assert remembered == []


def _matches_the_sound(turn: TurnEnded, talk: Talk) -> None:
    """Read what the loudspeaker played of a reply; a word that was held in its middle is played again."""
    said = _letters(turn.reply)
    begins = list(accumulate((len(_letters(word)) for word in turn.reply.split()), initial=0))
    reached = 0
    for part in _parts_played(turn, talk):
        heard = _letters(written(part))
        again = [begin for begin in begins if begin <= reached + 1]
        places = [at for at in (reached, *reversed(again)) if said.startswith(heard, at)]
        assert places, (said, reached, heard)
        assert reached - places[0] <= max(map(len, WORDS)) + 10
        reached = max(places[0] + len(heard), 0)
    words = len(turn.heard.split())
    unheard = UNHEARD_SHARE * (begins[words] - begins[max(words - 1, 0)])
    assert begins[words] <= reached + 1 + unheard, "no word is remembered that was not heard"
    if words + 1 < len(begins):
        assert reached < begins[words + 1] + len(_letters(turn.reply.split()[words])), "nor one forgotten that was"


def _parts_played(turn: TurnEnded, talk: Talk) -> Iterator[Pcm]:
    """Yield what was played of the turn's reply, cut where there was silence."""
    spans = [
        (stretch.start_sample, stretch.start_sample + stretch.samples)
        for stretch in talk.played
        if is_reply(stretch) and owner(stretch.tag)[0].turn == turn.turn
    ]
    if not spans:
        return
    begin, end = spans[0][0], spans[-1][1]
    loud = begin + np.flatnonzero(np.abs(talk.reply[begin:end].astype(np.int32)) > 60)
    for part in np.split(loud, np.flatnonzero(np.diff(loud) > BETWEEN_PARTS) + 1):
        if len(part):
            yield talk.reply[part[0] : part[-1] + 2]


def _letters(text: str) -> str:
    return text.lower().replace(" ", "")


def every_started_task_ended(held: Held) -> None:
    """When all is quiet only the session itself runs; `converse` asserts that nothing does after it."""
    assert held.tasks_at_rest == {"session"}


def a_frame_is_never_reordered(held: Held) -> None:
    """Nor lost, nor heard twice."""
    begins = [frame.start_sample for frame in held.frames]
    assert begins == list(range(0, len(begins) * FRAME_SAMPLES, FRAME_SAMPLES))


def the_machine_always_comes_back_to_idle(held: Held) -> None:
    talk = held.talk
    assert talk.session.state is State.IDLE
    assert talk.port.playback.queued_samples == 0
    assert not talk.states or talk.states[-1] == "idle"


def every_turn_ends_once(held: Held) -> None:
    closed = [event.turn for event in held.talk.events if isinstance(event, TurnEnded | TurnDiscarded)]
    assert closed == list(range(1, len(closed) + 1))


def marks_are_in_order(held: Held) -> None:
    for turn in held.talk.turns:
        assert set(turn.marks) <= {*MARKS, OPENER_MARK}
        work = [turn.marks[name] for name in MARKS if name in turn.marks and name not in {"committed", "audible"}]
        assert work == sorted(work)
        for name in {"audible", OPENER_MARK} & set(turn.marks):
            assert turn.marks["committed"] <= turn.marks[name] + FRAME_SAMPLES


def nobody_hears_a_reply_while_the_user_has_the_word(held: Held) -> None:
    """From the moment the reply is held until it goes on or the next one is committed, only its fade is played."""
    talk = held.talk
    quiet: list[tuple[int, int]] = []
    for (begin, state), (end, _) in pairwise(talk.state_at):
        if state in SILENT_STATES:
            quiet.append((begin, end))
    for begin, end in quiet:
        samples = sum(
            max(0, min(end, stretch.start_sample + stretch.samples) - max(begin, stretch.start_sample))
            for stretch in talk.played
        )
        assert samples <= FADE + FRAME_SAMPLES


def what_is_held_goes_on_or_is_ended(held: Held) -> None:
    talk = held.talk
    entered = sum(after == "paused" and before == "overlap" for before, after in pairwise(talk.states))
    over = sum(
        before in {"paused", "weighing"} and after not in {"paused", "weighing"}
        for before, after in pairwise(talk.states)
    )
    assert entered == over
    assert len(talk.of(Resumed)) <= entered


def less_is_wasted_than_is_spent(held: Held) -> None:
    work = held.talk.session.work
    assert 0 <= work.wasted_cpu_s <= work.cpu_s


INVARIANTS: Final[tuple[Callable[[Held], None], ...]] = (
    one_audible_reply_at_a_time,
    nothing_audible_from_a_stale_revision,
    no_side_effect_before_commit,
    history_equals_heard,
    every_started_task_ended,
    a_frame_is_never_reordered,
    the_machine_always_comes_back_to_idle,
    every_turn_ends_once,
    marks_are_in_order,
    nobody_hears_a_reply_while_the_user_has_the_word,
    what_is_held_goes_on_or_is_ended,
    less_is_wasted_than_is_spent,
)
"""`converse` holds two more: no illegal event is logged, and no task is left at the end."""


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(PLAYS)
def test_what_always_holds_of_a_conversation(play: Play) -> None:
    held = perform(play)
    for invariant in INVARIANTS:
        invariant(held)


A_BUSY_ONE: Final = Play(
    (
        Step("what is the time", 1500),
        Step("mm-hm", 900),
        Step("alpha bravo", 1500),
        Step("noise", 700, noise_ms=90),
        Step("what is the weather in spain", 300),
        Step("please", 6500),
        Step("kumquat", 5000),
        Step("yes", 2500),
        *(Step(command, 2500) for command in COMMANDS),
        Step("why", 1300),
        Step("button", 300),
        Step("tell me", 2500, inner_pause_ms=200),
    )
)


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_in_a_conversation_where_everything_happens(invariant: Callable[[Held], None]) -> None:
    invariant(perform(A_BUSY_ONE))


def test_everything_does_happen_in_it() -> None:
    talk = perform(A_BUSY_ONE).talk
    assert {state.value for state in State} == set(talk.states)
    assert talk.of(Resumed)
    assert {turn.interrupted for turn in talk.turns} == {False, True}
    assert {turn.source for turn in talk.turns} == {"slm", "intent"}
    assert any(exchange.unsure for exchange in talk.session.history.exchanges)
    assert any(turn.revisions > 1 for turn in talk.turns)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(PLAYS, st.integers(0, 8000))
def test_a_session_that_is_cancelled_at_any_moment_leaves_no_tasks(play: Play, at_ms: int) -> None:
    async def script(talk: Talk) -> None:
        for step in play.steps:
            talk.say(hum(samples_from_ms(300 + step.pause_ms // 4)))
        await CLOCK.sleep_s(at_ms / 1000)
        session = next(task for task in asyncio.all_tasks() if task.get_name() == "session")
        session.cancel()
        await asyncio.wait([session], timeout=60)
        assert tasks_left() == set()

    converse(
        script,
        plain(speculation={"partial_every_ms": play.partial_every_ms}),
        asr=FailingRecognizer(lambda _: "a question", play.asr, failures=play.failures[0]),
        slm=FailingModel(lambda _: "This is a reply. " * 3, play.slm, failures=play.failures[1]),
        tts=FailingSynthesizer(15, play.tts, failures=play.failures[2]),
    )


def _silence_a_word(held: Held) -> None:
    begin = held.talk.replies[0][0] // FRAME_SAMPLES + 10
    for block in held.talk.port._reply_blocks[begin : begin + 10]:
        block.fill(0)


def test_the_invariants_notice_what_they_are_there_for() -> None:
    """A conversation that is tampered with is found out."""

    def found(invariant: Callable[[Held], None], tamper: Callable[[Held], object]) -> None:
        held = perform(Play((Step("why", 3000), Step("what is the time", 5000))))
        invariant(held)
        tamper(held)
        with pytest.raises(AssertionError):
            invariant(held)

    found(one_audible_reply_at_a_time, lambda held: held.talk.played.append(held.talk.played[0]))
    found(history_equals_heard, lambda held: held.talk.session.history.add("never said", "never heard"))
    found(history_equals_heard, _silence_a_word)
    found(no_side_effect_before_commit, lambda held: held.talk.remembered.__setitem__(1, 1))
    found(nothing_audible_from_a_stale_revision, lambda held: held.talk.events.remove(held.talk.of(TurnCommitted)[0]))
    found(a_frame_is_never_reordered, lambda held: held.frames.insert(0, held.frames.pop(5)))
    found(every_started_task_ended, lambda held: held.tasks_at_rest.add("partial"))
    found(every_turn_ends_once, lambda held: held.talk.events.append(held.talk.turns[0]))

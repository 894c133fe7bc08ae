"""Whatever is said, however long the engines take and whatever fails: what always holds of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.virtual_conversation import (
    CLOCK,
    FailingModel,
    FailingRecognizer,
    FailingSynthesizer,
    Talk,
    converse,
    tasks_left,
)
from voicebot.assistant.history import Exchange
from voicebot.audio import FRAME_SAMPLES, Frame, Pcm, samples_from_ms
from voicebot.config.pipeline import PipelineSettings
from voicebot.engines.scripted import Pace, hum
from voicebot.events import TurnCommitted, TurnDiscarded, TurnEnded
from voicebot.latency.marks import MARKS
from voicebot.pipeline.revision import Revision
from voicebot.turn.table import State

SETTINGS: Final = PipelineSettings.model_validate(
    {
        "endpoint": {"longest_turn_ms": 4000, "confirm_ms": 200, "pre_roll_ms": 100},
        "playback": {"ahead_ms": 300},
        "clauses": {"first_words": 4, "later_words": 6},
    }
)
FADE: Final = samples_from_ms(10)


@dataclass(frozen=True)
class Step:
    """Something that happens, and how long nothing else does after it."""

    what: str
    sound_ms: int
    pause_ms: int


@dataclass(frozen=True)
class Play:
    """A whole conversation: what is said and pressed, and how the engines do."""

    steps: tuple[Step, ...]
    reply_words: int
    asr: Pace
    slm: Pace
    tts: Pace
    silent: int
    """Every so manieth utterance has no words; 0 for none."""
    failures: tuple[int, int, int]
    fails_after_words: int


def paces(longest_ms: int) -> st.SearchStrategy[Pace]:
    return st.builds(Pace, st.integers(0, longest_ms), st.integers(0, 60))


SPEECH = st.builds(Step, st.just("speech"), st.integers(250, 2500), st.integers(0, 2500))
NOISE = st.builds(Step, st.just("speech"), st.integers(10, 250), st.integers(0, 1500))
QUESTION = st.builds(Step, st.just("speech"), st.integers(300, 1200), st.integers(900, 3500))
STOP = st.builds(Step, st.just("stop"), st.just(0), st.integers(0, 1000))
STEPS = st.lists(st.one_of(SPEECH, NOISE, QUESTION, QUESTION, STOP), min_size=1, max_size=9)
PLAYS = st.builds(
    Play,
    STEPS.map(tuple),
    st.integers(0, 20),
    paces(700),
    paces(700),
    paces(700),
    st.integers(0, 4),
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 8),
)


def perform(play: Play) -> Talk:
    """Hold the conversation and let it come to its end."""
    asked = 0

    def hear(pcm: Pcm) -> str:
        nonlocal asked
        del pcm
        asked += 1
        return "" if play.silent and asked % play.silent == 0 else f"question {asked}"

    reply = " ".join(f"{'word' * (1 + index % 3)}{'.' * (index % 5 == 4)}" for index in range(play.reply_words))

    async def script(talk: Talk) -> None:
        for step in play.steps:
            if step.what == "stop":
                talk.session.stop()
                assert talk.session.state is State.IDLE
            else:
                talk.say(hum(samples_from_ms(step.sound_ms)))
            await CLOCK.sleep_s((step.sound_ms + step.pause_ms) / 1000)
        await talk.quiet()
        await CLOCK.sleep_s(0.05)
        assert tasks_left() == {"session"}, "every_started_task_ended"

    return converse(
        script,
        SETTINGS,
        asr=FailingRecognizer(hear, play.asr, failures=play.failures[0]),
        slm=FailingModel(lambda _: reply, play.slm, failures=play.failures[1], words_before=play.fails_after_words),
        tts=FailingSynthesizer(15, play.tts, failures=play.failures[2], clauses_before=play.fails_after_words % 3),
    )


def owner(tag: object) -> tuple[Revision, bool]:
    """Return whose audio it was, and whether it was an apology."""
    assert isinstance(tag, tuple)
    if isinstance(tag[0], Revision):
        return tag[0], False
    revision, word = tag[0]
    assert word == "apology"
    return revision, True


def one_audible_reply_at_a_time(talk: Talk) -> None:
    """A reply that has ended, or whose apology has begun, is never heard again."""
    heard = [owner(stretch.tag) for stretch in talk.played]
    changes = [heard[0], *(after for before, after in pairwise(heard) if after != before)] if heard else []
    assert len(changes) == len(set(changes))
    assert [revision.turn for revision, _ in changes] == sorted(revision.turn for revision, _ in changes)


def nothing_is_heard_of_a_stale_or_uncommitted_revision(talk: Talk) -> None:
    committed = {(event.turn, event.revision): event.at_sample for event in talk.of(TurnCommitted)}
    ended = {turn.turn: turn for turn in talk.turns}
    for stretch in talk.played:
        revision, _ = owner(stretch.tag)
        assert stretch.start_sample >= committed[revision.turn, revision.number] - FRAME_SAMPLES
        assert revision.number == ended[revision.turn].revisions
        if stretch.audible_sample is not None:
            assert "audible" in ended[revision.turn].marks


def the_history_is_what_was_heard(talk: Talk) -> None:
    assert list(talk.session.history.exchanges) == [Exchange(turn.user, turn.heard) for turn in talk.turns if turn.user]
    for turn in talk.turns:
        played = sum(stretch.samples for stretch in talk.played if owner(stretch.tag)[0].turn == turn.turn)
        assert turn.reply.startswith(turn.heard)
        assert bool(turn.heard) <= (played > 0)
        if not turn.interrupted and turn.error is None:
            assert turn.heard == turn.reply


def it_comes_back_to_idle(talk: Talk) -> None:
    assert talk.session.state is State.IDLE
    assert talk.port.playback.queued_samples == 0
    assert not talk.states or talk.states[-1] == "idle"


def every_turn_ends_once(talk: Talk) -> None:
    closed = [event.turn for event in talk.events if isinstance(event, TurnEnded | TurnDiscarded)]
    assert closed == list(range(1, len(closed) + 1))


def marks_are_in_order(talk: Talk) -> None:
    for turn in talk.turns:
        assert set(turn.marks) <= set(MARKS)
        work = [turn.marks[name] for name in MARKS if name in turn.marks and name not in {"committed", "audible"}]
        assert work == sorted(work)
        if "audible" in turn.marks:
            assert turn.marks["committed"] <= turn.marks["audible"] + FRAME_SAMPLES


def nobody_hears_a_reply_over_confirmed_speech(talk: Talk) -> None:
    """From the moment the user has the word until the commit, only the fade of 10 ms is played."""
    listening_from: int | None = None
    quiet: list[tuple[int, int]] = []
    for sample, state in talk.state_at:
        if state in {"listening", "pending"}:
            listening_from = sample if listening_from is None else listening_from
        elif listening_from is not None:
            quiet.append((listening_from, sample))
            listening_from = None
    for begin, end in quiet:
        samples = sum(
            max(0, min(end, stretch.start_sample + stretch.samples) - max(begin, stretch.start_sample))
            for stretch in talk.played
        )
        assert samples <= FADE + FRAME_SAMPLES


INVARIANTS: Final[tuple[Callable[[Talk], None], ...]] = (
    one_audible_reply_at_a_time,
    nothing_is_heard_of_a_stale_or_uncommitted_revision,
    the_history_is_what_was_heard,
    it_comes_back_to_idle,
    every_turn_ends_once,
    marks_are_in_order,
    nobody_hears_a_reply_over_confirmed_speech,
)
"""`converse` holds two more: no illegal event is logged, and no task is left at the end."""


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(PLAYS)
def test_what_always_holds_of_a_conversation(play: Play) -> None:
    talk = perform(play)
    for invariant in INVARIANTS:
        invariant(talk)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(PLAYS, st.integers(0, 8000))
def test_a_session_that_is_cancelled_at_any_moment_leaves_no_tasks(play: Play, at_ms: int) -> None:
    async def script(talk: Talk) -> None:
        for step in play.steps:
            if step.what == "speech":
                talk.say(hum(samples_from_ms(step.sound_ms + step.pause_ms // 4)))
        await CLOCK.sleep_s(at_ms / 1000)
        session = next(task for task in asyncio.all_tasks() if task.get_name() == "session")
        session.cancel()
        await asyncio.wait([session], timeout=60)
        assert tasks_left() == set()

    converse(
        script,
        SETTINGS,
        asr=FailingRecognizer(lambda _: "a question", play.asr, failures=play.failures[0]),
        slm=FailingModel(lambda _: "This is a reply. " * 3, play.slm, failures=play.failures[1]),
        tts=FailingSynthesizer(15, play.tts, failures=play.failures[2]),
    )


def test_frames_reach_the_listener_in_order_and_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    from voicebot.pipeline.listen import Listener  # noqa: PLC0415 - it is looked into here only

    frames: list[Frame] = []
    hear = Listener.hear

    def listen(self: Listener, frame: Frame) -> object:
        frames.append(frame)
        return hear(self, frame)

    monkeypatch.setattr(Listener, "hear", listen)
    steps = (Step("speech", 1000, 2000), Step("speech", 300, 100), Step("stop", 0, 500), Step("speech", 800, 3000))
    perform(Play(steps, 15, Pace(100), Pace(100, 20), Pace(100), 0, (1, 0, 1), 3))
    assert [frame.start_sample for frame in frames] == list(range(0, len(frames) * FRAME_SAMPLES, FRAME_SAMPLES))


def test_the_invariants_notice_what_they_are_there_for() -> None:
    """A conversation that is tampered with is found out."""
    talk = perform(Play((Step("speech", 800, 3000),) * 2, 6, Pace(50), Pace(50, 5), Pace(50), 0, (0, 0, 0), 0))
    for invariant in INVARIANTS:
        invariant(talk)
    talk.session.history.add("never said", "never heard")
    with pytest.raises(AssertionError):
        the_history_is_what_was_heard(talk)
    talk.played.append(talk.played[0])
    with pytest.raises(AssertionError):
        one_audible_reply_at_a_time(talk)

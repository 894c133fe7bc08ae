"""What a scenario expects, held against what happened in its conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicebot.bench.wer import normalise
from voicebot.events import TurnCommitted, TurnEnded
from voicebot.replay import Conversation, Performance, turns_of
from voicebot.replay.report import false_cut_ins
from voicebot.replay.scenario_file import ExpectedTurn, MostSection


def missed(performance: Performance, *, timed: bool) -> list[str]:
    """Return a sentence for each expectation that was not met. `timed`: real engines ran in real time."""
    conversation, expect = performance.conversation, performance.scenario.content.expect
    ended = sorted(conversation.ended, key=lambda turn: turn.turn)
    found = list(performance.unsaid)
    found += [f"turn {turn.turn} failed: {turn.error}" for turn in ended if turn.error is not None]
    counts = {
        "turns": (expect.turns, len(committed_turns(conversation))),
        "replies": (expect.replies, sum(bool(turn.heard) for turn in ended)),
        "interruptions": (expect.interruptions, sum(turn.interrupted for turn in ended)),
        "resumes": (expect.resumes, len(conversation.resumed)),
        "false_cut_ins": (expect.false_cut_ins, false_cut_ins(conversation)),
    }
    found += [_differs(name, wanted, got) for name, (wanted, got) in counts.items() if wanted not in (None, got)]
    for number, turn in enumerate(ended, 1):
        for expected in (expect.each_turn, *expect.turn[number - 1 : number]):
            found += (f"turn {number}: {one}" for one in _turn(expected, turn, conversation))
    found += [f"turn {number + 1}: there was none" for number in range(len(ended), len(expect.turn))]
    if expect.history_is_heard and not _history_is_heard(conversation):
        found.append("history_is_heard: something else is remembered than what was heard")
    return found + (list(_late(expect.most, turns_of(conversation))) if timed else [])


def committed_turns(conversation: Conversation) -> set[int]:
    """Return the numbers of the turns that were committed."""
    return {event.turn for _, event in conversation.log if isinstance(event, TurnCommitted)}


def _turn(expected: ExpectedTurn, ended: TurnEnded, conversation: Conversation) -> Iterator[str]:
    said = normalise(ended.user)
    if expected.user is not None and normalise(expected.user) != said:
        yield _differs("user", repr(expected.user), repr(ended.user))
    remaining = iter(said)
    if not all(word in remaining for phrase in expected.words for word in normalise(phrase)):
        yield _differs("words", " ... ".join(expected.words), repr(ended.user))
    facts = {
        "answered": (expected.answered, bool(ended.heard)),
        "interrupted": (expected.interrupted, ended.interrupted),
        "resumed": (expected.resumed, ended.turn in conversation.resumed),
    }
    for name, (wanted, got) in facts.items():
        if wanted not in (None, got):
            yield _differs(name, str(wanted).lower(), str(got).lower())


def _history_is_heard(conversation: Conversation) -> bool:
    """Return whether what is remembered of replies is what was heard of them, turn by turn."""
    remembered = [exchange for exchange in conversation.remembered if exchange[1]]
    return remembered == [(turn.user, turn.heard) for turn in conversation.ended if turn.user and turn.heard]


def _late(most: MostSection, turns: list[dict[str, Any]]) -> Iterator[str]:
    for name, limit_ms in most.model_dump(exclude_none=True).items():
        slowest_ms = max((turn[name] for turn in turns if turn[name] is not None), default=None)
        if slowest_ms is None or slowest_ms > limit_ms:
            yield _differs(name, f"at most {limit_ms:g}", slowest_ms)


def _differs(name: str, wanted: object, got: object) -> str:
    return f"{name}: {wanted} expected, {got} found"

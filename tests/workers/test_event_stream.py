"""Server-sent events, however they are cut into pieces."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import EngineError
from voicebot.workers.event_stream import LONGEST_EVENT_BYTES, EventStream

STREAM = (
    'data: one\n\n: a comment\n\nevent: x\ndata:two\r\ndata: é\r\nid: 5\n\n\n\ndata\n\ndata: {"a": 1}\n\ndata: cut'
).encode()


@given(st.lists(st.integers(0, len(STREAM))))
def test_the_data_are_the_same_however_they_come(cuts: list[int]) -> None:
    events = EventStream()
    pieces = [STREAM[begin:end] for begin, end in itertools.pairwise([0, *sorted(cuts), len(STREAM)])]
    assert [data for piece in pieces for data in events.feed(piece)] == ["one", "two\né", '{"a": 1}']


@given(st.binary())
def test_other_bytes_are_data_or_an_error(received: bytes) -> None:
    with contextlib.suppress(EngineError):
        assert all(isinstance(data, str) for data in EventStream().feed(received))


def test_only_utf_8_is_text() -> None:
    with pytest.raises(EngineError, match="the stream of events is not UTF-8"):
        EventStream().feed(b"data: \xff\n\n")


@pytest.mark.parametrize("piece", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n", b"data: " + b"x" * 1000 + b"\r\n"])
def test_an_event_has_a_greatest_length(piece: bytes) -> None:
    events = EventStream()
    for _ in range(LONGEST_EVENT_BYTES // 1010):
        assert events.feed(piece) == []
    with pytest.raises(EngineError, match="longer than"):
        events.feed(piece * 2)

"""Events on a stream, whatever comes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, Eventable, async_read_event, async_write_event

from voicebot.errors import VoicebotError
from voicebot.interfaces.wyoming.wire import (
    LONGEST_HEADER_BYTES,
    EventStream,
    GoneError,
    ProtocolError,
    encoded,
    text_of,
)


class Plain(Eventable):
    """Any event."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def event(self) -> Event:
        return self._event

    @staticmethod
    def is_type(event_type: str) -> bool:
        return bool(event_type)

    @staticmethod
    def from_event(event: Event) -> Plain:
        return Plain(event)


class FakeWriter:
    def __init__(self, closing: bool = False, unsent: int = 0) -> None:
        self.written = b""
        self.closing = closing
        self.unsent = unsent
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, data: list[bytes]) -> None:
        self.written += b"".join(data)

    async def drain(self) -> None:
        return


def stream(received: bytes, *, ended: bool = True, writer: FakeWriter | None = None) -> EventStream:
    reader = asyncio.StreamReader(limit=LONGEST_HEADER_BYTES)
    reader.feed_data(received)
    if ended:
        reader.feed_eof()
    return EventStream(reader, cast("asyncio.StreamWriter", writer or FakeWriter()))


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
whole_events = st.builds(Event, texts, st.dictionaries(texts, values, max_size=3), st.none() | st.binary(min_size=1))


@given(st.lists(whole_events, max_size=5))
def test_what_we_write_the_protocol_s_own_reader_understands(sent: list[Event]) -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(encoded(Plain(event)) for event in sent))
        reader.feed_eof()
        assert [await async_read_event(reader) for _ in sent] == sent

    asyncio.run(main())


@given(st.lists(whole_events, max_size=5))
def test_what_the_protocol_s_own_writer_writes_we_understand(sent: list[Event]) -> None:
    async def main() -> None:
        writer = FakeWriter()
        for event in sent:
            await async_write_event(event, cast("asyncio.StreamWriter", writer))
        received = stream(writer.written)
        assert [await received.read() for _ in sent] == sent
        assert await received.read() is None

    asyncio.run(main())


@given(st.binary() | st.lists(st.binary() | whole_events.map(lambda event: encoded(Plain(event)))).map(b"".join))
def test_whatever_comes_is_events_or_an_error(received: bytes) -> None:
    async def main() -> None:
        incoming = stream(received)
        with contextlib.suppress(ProtocolError):
            while await incoming.read() is not None:
                pass

    asyncio.run(main())


async def test_one_may_go_on_reading_after_a_pause() -> None:
    reader = asyncio.StreamReader()
    incoming = EventStream(reader, cast("asyncio.StreamWriter", FakeWriter()))
    reader.feed_data(b'{"type": ')
    with pytest.raises(TimeoutError):
        await incoming.read(0.01)
    reader.feed_data(b'"ping"}\n')
    assert await incoming.read(0.01) == Event("ping")


async def test_an_event_has_to_be_complete_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.interfaces.wyoming.wire._WHOLE_EVENT_S", 0.01)
    with pytest.raises(ProtocolError, match="not complete"):
        await stream(b'{"type": "ping", "data_length": 10}\n{', ended=False).read()


async def test_an_event_that_is_cut_off_is_none() -> None:
    assert await stream(b'{"type": "ping", "data_length": 10}\n{').read() is None


@pytest.mark.parametrize("writer", [FakeWriter(closing=True), FakeWriter(unsent=2_000_000)])
async def test_nothing_is_kept_for_who_takes_nothing(writer: FakeWriter) -> None:
    with pytest.raises(GoneError):
        stream(b"", writer=writer).send(Plain(Event("ping")))
    assert writer.written == b""


def test_a_text_has_no_signs_that_can_not_be_shown() -> None:
    assert text_of(Event("x", {"text": "a\nb\ud800c\x00"}), 7) == "a b c "
    for data in ({}, {"text": 5}, {"text": "four"}):
        with pytest.raises(VoicebotError, match="text"):
            text_of(Event("x", data), 3)

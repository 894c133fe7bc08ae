"""Frames come back as they were sent, and what is no frame is said to be none."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import WorkerDiedError
from voicebot.workers.wire import Header, encode, read_frame, receive_frame

Frame = tuple[Header, bytes]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FRAMES = st.lists(st.tuples(st.dictionaries(st.text(), VALUES, max_size=5), st.binary(max_size=2000)), max_size=5)
CUT = encode({"id": 1}, b"audio")


def read_all(data: bytes, *chunks: int) -> list[Frame]:
    """Read frames from a stream that gets the data in chunks of those sizes."""

    async def read() -> list[Frame]:
        reader = asyncio.StreamReader()
        frames: list[Frame] = []

        async def feed() -> None:
            at = 0
            for size in chunks:
                reader.feed_data(data[at : at + size])
                at += size
                await asyncio.sleep(0)
            reader.feed_data(data[at:])
            reader.feed_eof()

        feeding = asyncio.create_task(feed())
        while (frame := await read_frame(reader)) is not None:
            frames.append(frame)
        await feeding
        return frames

    return asyncio.run(read())


def receive_all(data: bytes) -> list[Frame]:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(data)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    try:
        with ours:
            frames: list[Frame] = []
            while (frame := receive_frame(ours)) is not None:
                frames.append(frame)
            return frames
    finally:
        sending.join()


@given(FRAMES, st.lists(st.integers(1, 50), max_size=10))
def test_frames_come_back_on_both_sides(frames: list[Frame], chunks: list[int]) -> None:
    data = b"".join(encode(*frame) for frame in frames)
    assert read_all(data, *chunks) == frames
    assert receive_all(data) == frames


def test_a_whole_turn_of_audio_fits() -> None:
    payload = bytes(range(256)) * 3800  # 30 s
    assert receive_all(encode({}, payload)) == read_all(encode({}, payload)) == [({}, payload)]


@pytest.mark.parametrize("length", range(1, len(CUT)))
def test_a_frame_that_is_cut_short_is_the_end_for_a_worker_and_an_error_for_the_daemon(length: int) -> None:
    whole = encode({"id": 0})
    assert receive_all(whole + CUT[:length]) == [({"id": 0}, b"")]
    with pytest.raises(WorkerDiedError, match="cut short"):
        read_all(whole + CUT[:length])


@pytest.mark.parametrize("lengths", [(2**32 - 1, 0), (0, 2**32 - 1), ((4 << 20) + 1, 0), (2, (64 << 20) + 1)])
def test_an_impossible_length_is_refused_before_it_is_waited_for(lengths: tuple[int, int]) -> None:
    data = struct.pack("!II", *lengths) + b"{}"
    for read in (read_all, receive_all):
        with pytest.raises(WorkerDiedError, match="impossible length"):
            read(data)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xfd", b"nonsense"])
def test_a_header_that_is_no_json_is_an_error(text: bytes) -> None:
    with pytest.raises(WorkerDiedError, match="can't be read"):
        read_all(struct.pack("!II", len(text), 0) + text)


async def test_a_connection_that_is_reset_is_the_end() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError())
    assert await read_frame(reader) is None


def test_a_header_is_compact_json() -> None:
    assert encode({"id": 1, "texts": ["ü"]}, b"x")[8:] == b'{"id":1,"texts":["\\u00fc"]}x'

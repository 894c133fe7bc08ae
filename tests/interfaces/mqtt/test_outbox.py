"""Events that wait for the broker: in order, no more than there is room for, and over every way to end."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from voicebot.interfaces.mqtt.outbox import Outbox
from voicebot.interfaces.mqtt.topics import Message

ROOM = 1 << 20


def event(number: int, size: int = 0) -> Message:
    return Message("box/event/turn", json.dumps({"id": str(number), "sequence": 0, "text": "x" * size}), qos=1)


def outbox(folder: Path, *numbers: int, room: int = ROOM) -> Outbox:
    box = Outbox(folder / "outbox.sqlite", room)
    for number in numbers:
        box.put(event(number))
    box.write()
    return box


def ids(box: Outbox, most: int = 1000) -> list[str]:
    return [json.loads(letter.payload)["id"] for letter in box.oldest(most)]


def test_events_wait_in_order_until_they_have_arrived(tmp_path: Path) -> None:
    box = outbox(tmp_path, 1, 2, 3)
    first = box.oldest(2)
    assert [(letter.sequence, letter.topic) for letter in first] == [(1, "box/event/turn"), (2, "box/event/turn")]
    assert [json.loads(letter.payload)["sequence"] for letter in first] == [1, 2]
    assert box.waiting == 3
    box.remove(first)
    assert (ids(box), box.waiting) == (["3"], 1)
    box.close()


def test_they_outlive_the_process_and_are_counted_on(tmp_path: Path) -> None:
    box = outbox(tmp_path, 1, 2)
    box.remove(box.oldest(2))
    box.put(event(3))
    box.close()
    again = outbox(tmp_path, 4)
    assert [(letter.sequence, json.loads(letter.payload)["id"]) for letter in again.oldest(9)] == [(3, "3"), (4, "4")]
    assert again.waiting == 2
    again.close()


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.interfaces.mqtt.test_outbox import outbox\n"
        "outbox(Path(sys.argv[1]), *range(50)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, timeout=120, check=False)
    assert ended.returncode == -9
    box = outbox(tmp_path)
    assert ids(box) == [str(number) for number in range(50)]
    box.close()


def test_the_oldest_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = Outbox(tmp_path / "outbox.sqlite", 10_000)
    for number in range(100):
        box.put(event(number, size=1000))
        box.write()
    assert ids(box) == [str(number) for number in range(91, 100)]
    assert (box.dropped, box.waiting) == (91, 9)
    assert [letter.sequence for letter in box.oldest(1)] == [92]
    assert len(caplog.records) == 1
    box.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10 * 10_000


def test_one_event_that_is_larger_than_all_room_is_dropped_alone(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite", 10_000)
    box.put(event(1, size=20_000))
    box.write()
    box.put(event(2))
    box.write()
    assert (ids(box), box.dropped) == (["2"], 1)
    box.close()


def test_what_waits_for_the_disk_is_bounded_too(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite", ROOM)
    for number in range(1500):
        box.put(event(number))
    assert (box.waiting, box.dropped) == (1000, 500)
    box.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    box = outbox(tmp_path, 1)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    box.close()


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "outbox.sqlite").write_bytes(content)
    box = outbox(tmp_path, 1)
    assert ids(box) == ["1"]
    box.close()
    assert (tmp_path / "outbox.damaged").read_bytes() == content
    again = outbox(tmp_path)
    assert ids(again) == ["1"]
    again.close()
    assert ["is damaged" in record.message for record in caplog.records] == [True]


def test_without_a_place_on_disk_events_are_kept_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    box = outbox(tmp_path / "file/folder", 1, 2)
    assert ids(box) == ["1", "2"]
    box.remove(box.oldest(1))
    assert ids(box) == ["2"]
    box.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_disk_that_fails_later_costs_nothing_but_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = outbox(tmp_path, 1, 2)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE letters (other)")
    box._db, file = other, box._db  # any failure of the file's will do
    box.put(event(3))
    box.write()
    assert [(letter.sequence, json.loads(letter.payload)["id"]) for letter in box.oldest(9)] == [(3, "3")]
    box.close()
    assert file is not None
    file.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    after = outbox(tmp_path)
    assert ids(after) == ["1", "2"]
    after.close()

"""Records reach the journal as it takes them, with their fields; a socket stands in for systemd's."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interfaces.control_scene import serving, until
from voicebot.events import Event, ReplyAudible
from voicebot.interfaces.journal import JournalHandler, encode, is_journal, talk

LARGEST: Final = 262_144


def decoded(datagram: bytes) -> dict[str, str]:
    """Read what the journal would; the whole of it has to be fields."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, end, datagram = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        else:
            datagram = rest
        fields[name.decode()] = value.decode()
    return fields


@dataclass
class Talking:
    name: str
    turn: int | None


class Journal:
    """Where records arrive."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0)

    def read(self) -> dict[str, str]:
        return decoded(self.socket.recv(LARGEST))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "socket")
    yield journal
    journal.socket.close()


@pytest.fixture
def log(journal: Journal) -> Iterator[logging.Logger]:
    handler = JournalHandler(journal.path)
    logger = logging.getLogger("tests.journal")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_a_record_says_where_it_is_from(journal: Journal, log: logging.Logger) -> None:
    assert log.handlers[0].formatter is not None, "else logging.basicConfig would give it one that says more"
    log.warning("the %s is away", "microphone")
    told = journal.read()
    assert int(told.pop("CODE_LINE")) > 0
    assert told == {
        "MESSAGE": "the microphone is away",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "voicebot",
        "LOGGER": "tests.journal",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_a_record_says_where_it_is_from",
    }


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3"), (logging.CRITICAL, "2")],
)
def test_each_level_has_its_priority(journal: Journal, log: logging.Logger, level: int, priority: str) -> None:
    log.log(level, "so it is")
    assert journal.read()["PRIORITY"] == priority


def test_a_record_has_the_fields_that_it_was_given_and_those_of_its_conversation(
    journal: Journal, log: logging.Logger
) -> None:
    log.info("one", extra={"fields": {"stage": "asr", "error": None}})
    told = journal.read()
    assert {name for name in told if name.startswith("VOICEBOT")} == {"VOICEBOT_STAGE"}

    token = talk.set(Talking("kitchen", 3))
    log.info("two", extra={"fields": {"stage": "slm"}})
    told = journal.read()
    assert (told["VOICEBOT_SESSION"], told["VOICEBOT_TURN"], told["VOICEBOT_STAGE"]) == ("kitchen", "3", "slm")

    talk.set(Talking("kitchen", None))
    log.info("three")
    assert "VOICEBOT_TURN" not in journal.read()
    talk.reset(token)


def test_a_stack_of_calls_is_one_record(journal: Journal, log: logging.Logger) -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("it failed")
    message = journal.read()["MESSAGE"]
    assert message.startswith("it failed\nTraceback")
    assert message.endswith("ZeroDivisionError: division by zero")


def test_of_a_very_long_record_beginning_and_end_arrive(journal: Journal, log: logging.Logger) -> None:
    log.info("%s", "begin" + "\N{GRINNING FACE}" * 1_000_000 + "end")
    message = journal.read()["MESSAGE"]
    assert message.startswith("begin")
    assert message.endswith("end")
    assert "[...]" in message
    assert len(message.encode()) < 2**16


def test_what_was_logged_wrongly_ends_nothing(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    handler = JournalHandler(journal.path)
    handler.handle(logging.LogRecord("a", logging.INFO, __file__, 1, "%d", ("no number",), None))
    assert "Logging error" in capsys.readouterr().err
    handler.handle(logging.LogRecord("a", logging.INFO, __file__, 1, "and on", None, None))
    handler.close()
    assert journal.read()["MESSAGE"] == "and on"


@given(
    st.dictionaries(
        st.text("ABCXYZ_", min_size=1, max_size=10),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
        max_size=5,
    )
)
def test_whatever_a_field_holds_it_is_read_as_it_was(fields: dict[str, str]) -> None:
    assert decoded(encode(fields)) == fields


def test_what_is_no_text_is_still_sent() -> None:
    assert decoded(encode({"A": "\udcff", "B": 1})) == {"A": "?", "B": "1"}


def test_without_a_journal_lines_go_to_standard_error_with_their_priority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = JournalHandler(str(tmp_path / "nobody"))
    handler.handle(logging.LogRecord("a", logging.WARNING, __file__, 1, "two\nlines", None, None))
    handler.close()
    assert capsys.readouterr().err == "<4>two\n<4>lines\n"


def test_a_journal_that_takes_nothing_is_not_waited_for(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    handler = JournalHandler(journal.path)
    number = 0
    while not (err := capsys.readouterr().err):
        number += 1
        handler.handle(logging.LogRecord("a", logging.INFO, __file__, 1, f"line {number}", None, None))
    handler.close()
    assert err == f"<6>line {number}\n"
    assert journal.read()["MESSAGE"] == "line 1"


def test_standard_error_is_the_journal_where_systemd_says_so() -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        same = f"{found.st_dev}:{found.st_ino}"
        assert is_journal({"JOURNAL_STREAM": same}, writing)
        assert not is_journal({"JOURNAL_STREAM": "8:1"}, writing), "it was led elsewhere after that"
        assert not is_journal({}, writing)
    finally:
        os.close(reading)
        os.close(writing)
    assert not is_journal({"JOURNAL_STREAM": same}, writing), "it is closed"


async def test_what_a_conversations_tasks_log_has_its_name(
    journal: Journal, log: logging.Logger, tmp_path: Path
) -> None:
    seen: list[dict[str, str]] = []
    async with serving(tmp_path, sessions=("kitchen", "hall")) as daemon:

        def observe(event: Event) -> None:
            if isinstance(event, ReplyAudible):
                log.info("heard")
                seen.append(journal.read())

        daemon.service.watch(observe)
        await daemon.ask("say", text="One.", session="hall")
        await until(lambda: bool(seen))
    assert [(told["VOICEBOT_SESSION"], told["VOICEBOT_TURN"]) for told in seen] == [("hall", "1")]
    assert talk.get() is None

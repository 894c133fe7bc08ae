"""What the assistant says again is remembered, and only what it says often is written down."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from voicebot.engines.llama.phrase_book import PhraseBook

TIMER = "The timer is set."
PERSONAL = "Your sister's birthday is on Monday."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "phrases.json"


def on_disk(path: Path) -> list[str]:
    return list(json.loads(path.read_text("utf-8"))["sentences"]) if path.exists() else []


def test_replies_are_taken_apart_into_sentences() -> None:
    book = PhraseBook(None)
    assert book.add("It is 3.5 degrees outside. Take a coat!  Is there anything else?") == (
        "It is 3.5 degrees outside.",
        "Take a coat!",
        "Is there anything else?",
    )
    assert book.add("Yes. Take a coat! And a hat, please") == ("And a hat, please",)
    assert book.sentences()[-2:] == ("Take a coat!", "And a hat, please")


@pytest.mark.parametrize("text", ["", "  ", "Okay.", "...", "Yes. No."])
def test_what_is_too_short_to_be_drafted_is_left_out(text: str) -> None:
    book = PhraseBook(None)
    assert book.add(text) == ()
    assert book.sentences() == ()


def test_only_what_was_said_in_three_replies_is_written(path: Path) -> None:
    book = PhraseBook(path)
    book.add(f"{TIMER} {TIMER} {TIMER} {PERSONAL}")
    book.add(f"{TIMER} {PERSONAL}")
    assert on_disk(path) == []
    book.add(TIMER)
    assert on_disk(path) == [TIMER]
    assert PERSONAL not in path.read_text("utf-8")
    assert set(book.sentences()) == {TIMER, PERSONAL}
    assert PhraseBook(path).sentences() == (TIMER,)


def test_what_was_written_stays_written(path: Path) -> None:
    for _ in range(3):
        PhraseBook(path).add(TIMER)
    assert on_disk(path) == []  # three processes, each heard it once
    book = PhraseBook(path)
    for sentence in (TIMER, TIMER, TIMER):
        book.add(sentence)
    again = PhraseBook(path)
    for _ in range(3):
        again.add("Good morning to you.")
    assert on_disk(path) == [TIMER, "Good morning to you."]


def test_nobody_else_may_read_it_and_no_half_file_is_left(path: Path) -> None:
    book = PhraseBook(path)
    for _ in range(3):
        book.add(TIMER)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_what_was_said_longest_ago_is_forgotten_first(path: Path) -> None:
    book = PhraseBook(path, most_sentences=3)
    for number in (1, 2, 3, 1, 4):
        book.add(f"This is number {number}.")
    assert book.sentences() == tuple(f"This is number {number}." for number in (3, 1, 4))
    book.add(" ".join(f"This is number {number}." for number in range(10, 20)))
    assert len(book.sentences()) == 3


def test_a_long_file_is_cut_to_its_end(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"sentences": [f"This is number {number}." for number in range(10)]}))
    assert PhraseBook(path, most_sentences=2).sentences() == ("This is number 8.", "This is number 9.")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"sentences": "abc"}', b'{"sentences": [1]}', b'{"sentences": ["a b', bytes(9), b"\xff"]
)
def test_a_damaged_file_is_one_line_of_the_log(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    book = PhraseBook(path)
    assert book.sentences() == ()
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    for _ in range(3):
        book.add(TIMER)
    assert on_disk(path) == [TIMER]


def test_a_first_start_is_nothing_to_mention(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert PhraseBook(path).sentences() == ()
    assert caplog.records == []


def test_a_place_that_cant_be_written_to_costs_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "full").touch()  # so that no file can take its place
    book = PhraseBook(path)
    caplog.clear()
    for _ in range(3):
        book.add(TIMER)
    assert book.sentences() == (TIMER,)
    assert len(caplog.records) == 1
    assert sorted(tmp_path.iterdir()) == [path]

"""A conversation as a terminal shows it, and a file keeps it."""

from __future__ import annotations

import io
import re

from rich.console import Console

from voicebot.cli.live import LivePrinter
from voicebot.events import Event, PartiallyTranscribed, StateChanged, Transcribed, TurnDiscarded

HEARD: list[Event] = [
    PartiallyTranscribed("local", 1, 0, "what [is]"),
    StateChanged("local", 0, "pending"),
    PartiallyTranscribed("local", 1, 0, "what [is] the capital"),
    Transcribed("local", 1, 1, "What [is] the capital of France?"),
]


def printed(*events: Event, terminal: bool, width: int = 60, term: str = "xterm") -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, highlight=False, _environ={"TERM": term})
    printer = LivePrinter(console)
    for event in events:
        printer(event)
    return out.getvalue()


def seen(output: str) -> list[str]:
    """Return the lines that are left on a terminal; colours are not looked at."""
    output = re.sub(r"\x1b\[[\d;]*m", "", output)
    return [line.rpartition("\r\x1b[2K")[2] for line in output.split("\n")]


def test_words_are_shown_while_they_are_spoken_and_then_replaced() -> None:
    assert seen(printed(*HEARD[:1], terminal=True)) == ["you  what [is]"]
    assert seen(printed(*HEARD[:3], terminal=True)) == ["you  what [is] the capital"]
    assert seen(printed(*HEARD, terminal=True)) == ["you  What [is] the capital of France?", ""]
    assert seen(printed(HEARD[0], TurnDiscarded("local", 1, 0), terminal=True)) == [
        *("     (heard something, but no words)", ""),
    ]


def test_of_many_words_the_last_are_shown_on_one_line() -> None:
    long = PartiallyTranscribed("local", 1, 0, "und so weiter " * 20 + "日本語")
    (line,) = seen(printed(long, terminal=True, width=40))
    assert line.startswith("you  ...")
    assert line.endswith("日本語")
    assert 36 <= len(line) + 3 < 40  # three characters take two places each


def test_a_file_and_a_terminal_that_can_not_erase_get_whole_lines() -> None:
    for whole in (printed(*HEARD, terminal=False), printed(*HEARD, terminal=True, term="dumb")):
        assert seen(whole) == ["you  What [is] the capital of France?", ""]

"""A few seconds of the fuzzing that scripts/fuzz does for longer."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.campaign import MOST_GROWTH_BYTES, Parser, campaign
from tests.fuzz.parsers import Parsers
from voicebot.audio_io.wav import read_wav
from voicebot.errors import AudioFileError, VoicebotError

_INPUTS: Final = 4000


@pytest.fixture
def parsers(tmp_path: Path) -> Iterator[tuple[Parser, ...]]:
    logging.disable()
    made = Parsers(tmp_path)
    yield made.all
    made.close()
    logging.disable(logging.NOTSET)


def test_what_is_valid_is_taken(parsers: tuple[Parser, ...]) -> None:
    for parser in parsers:
        for data in parser.corpus:
            parser.parse(data)


def test_what_is_not_is_refused_in_one_sentence(parsers: tuple[Parser, ...]) -> None:
    outcome = campaign(parsers, _INPUTS, seed=1)
    assert outcome.failures == []
    assert outcome.growth_bytes < MOST_GROWTH_BYTES
    known = [name for name, tally in outcome.tallies.items() if tally.refused == 0]
    assert known == ["HTTP headers", "kept switches", "CPU journal", "fits", "model records"], "these never raise"


_NESTED_GGUF: Final = struct.pack("<4sIQQQ1sI", b"GGUF", 3, 2, 1, 1, b"x", 9) + struct.pack("<IQ", 9, 1) * 5000
_SLOW: Final = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 7236, b"WAVEfmt ", 16, 1, 1, 1, 2, 2, 16, b"data", 7200)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("GGUF headers", _NESTED_GGUF, id="arrays in arrays without end"),
        pytest.param("CPU journal", b"[" * 100_000, id="lists in lists without end"),
        pytest.param("kept switches", b"[" * 100_000, id="and again"),
        pytest.param("box settings", b"[web]\nport = " + b"9" * 5000, id="a number of 5000 digits"),
        pytest.param("sound files", _SLOW + bytes(7200), id="an hour at 1 Hz, which is 115 MB at 16 kHz"),
        pytest.param("sound files", b"", id="nothing"),
    ],
)
def test_what_was_hard_once(parsers: tuple[Parser, ...], name: str, data: bytes) -> None:
    (parser,) = [one for one in parsers if one.name == name]
    with suppress(VoicebotError):
        parser.parse(data)


def test_a_sound_file_that_is_raw_by_its_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(bytes(100))
    with pytest.raises(AudioFileError):
        read_wav(tmp_path / "x.raw")


def test_what_a_parser_may_not_do_is_found() -> None:
    def crash(data: bytes) -> None:
        if len(data) != 4:
            raise KeyError(data)

    first, again = (campaign([Parser("bad", crash, (b"good",))], 100, seed=2).failures for _ in range(2))
    assert len(first) == 20
    assert first == again, "the seed makes it the same"
    assert first[0].error.startswith("KeyError")

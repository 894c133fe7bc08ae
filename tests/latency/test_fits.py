"""What the stages cost, from one start to the next."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from voicebot.latency.cost import StageCost
from voicebot.latency.fits import FitKey, read_fits, write_fits

ASR = FitKey("asr", "whisper-tiny.en", "some core", 2)
SLM = FitKey("slm", "smollm2", "some core", 1)
COST = StageCost(0.1, 0.02, 0.003, 1.3)
NEGATIVE = (
    b'{"fits": [{"stage": "asr", "model": "m", "core": "", "threads": 1, '
    b'"base_s": -1, "gcycles_per_unit": 0, "memory_s_per_unit": 0, "margin": 1}]}'
)
OTHER = StageCost(0.2, 0.0, 0.012, 1.1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "costs.json"


def test_what_was_written_is_read(file: Path) -> None:
    write_fits(file, {ASR: COST, SLM: OTHER})
    assert read_fits(file) == {ASR: COST, SLM: OTHER}
    assert [one.name for one in file.parent.iterdir()] == ["costs.json"]


def test_others_keep_what_they_have(file: Path) -> None:
    write_fits(file, {ASR: COST, SLM: COST})
    write_fits(file, {ASR._replace(threads=4): OTHER, SLM: OTHER})
    assert read_fits(file) == {ASR: COST, ASR._replace(threads=4): OTHER, SLM: OTHER}


def test_at_the_first_start_there_is_nothing_and_nothing_to_say(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_fits(file) == {}
    assert caplog.records == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"fits": [{"stage": "asr"}]}',
        b'{"fits": 3}',
        NEGATIVE,
    ],
)
def test_a_damaged_file_costs_one_line_and_is_replaced(
    content: bytes, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    assert read_fits(file) == {}
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    write_fits(file, {ASR: COST})
    assert read_fits(file) == {ASR: COST}


def test_a_place_that_cannot_be_written_costs_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file")
    with caplog.at_level(logging.WARNING):
        write_fits(tmp_path / "cache" / "costs.json", {ASR: COST})
    assert len([record for record in caplog.records if "can't be written" in record.getMessage()]) == 1

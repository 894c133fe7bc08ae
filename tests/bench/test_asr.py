"""A corpus of recordings is read and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voicebot.bench.asr import Recording, read_corpus, score
from voicebot.errors import AudioFileError


def entry(text: str, window_s: float = 5.0) -> dict[str, Any]:
    return {"text": text, "audio_s": 2.0, "asr_ms": 100.0, "window_s": window_s, "fallback": False}


def test_the_projects_own_corpus_is_complete() -> None:
    recordings = read_corpus(Path("fixtures/human"))
    assert len(recordings) == 14
    assert all(recording.file.is_file() and recording.text for recording in recordings)


@pytest.mark.parametrize("table", [None, "name\ttext\nx.wav\thello\n", b"\xff\xfe\x00"])
def test_a_folder_without_a_usable_table_is_refused(tmp_path: Path, table: str | bytes | None) -> None:
    if table is not None:
        (tmp_path / "transcripts.tsv").write_bytes(table.encode() if isinstance(table, str) else table)
    with pytest.raises(AudioFileError, match=r"transcripts\.tsv"):
        read_corpus(tmp_path)


def test_errors_of_all_files_count_and_the_worst_come_first() -> None:
    recordings = [Recording(Path("a.wav"), "one two three"), Recording(Path("b.wav"), "four"), Recording(Path("c"), "")]
    scored = score(recordings, [entry("one two"), entry("five six"), entry("", 0.0)])
    assert (scored["errors"], scored["words"], scored["wer"]) == (3, 4, 0.75)
    assert [wrong["file"] for wrong in scored["wrong"]] == ["b.wav", "a.wav"]

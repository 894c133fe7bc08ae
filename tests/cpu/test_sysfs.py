"""The kernel's small files, well formed and not."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.cpu.sysfs import Folder


@pytest.mark.parametrize(
    ("content", "cpus"),
    [
        ("0-3\n", (0, 1, 2, 3)),
        ("0,4\n", (0, 4)),
        ("0 1 2 3\n", (0, 1, 2, 3)),
        ("7,0-1, 3", (0, 1, 3, 7)),
        ("5", (5,)),
        ("\n", ()),
    ],
)
def test_lists_of_processors(content: str, cpus: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "online").write_text(content)
    folder = Folder(tmp_path)
    assert folder.cpus("online") == cpus
    assert folder.nonsense == []


@pytest.mark.parametrize("content", ["3-0", "0-", "-1", "0-99999", "8192", "0-3-5", "1;2", "zero", "9" * 500])
def test_lists_that_make_no_sense(content: str, tmp_path: Path) -> None:
    (tmp_path / "online").write_text(content)
    folder = Folder(tmp_path)
    assert folder.cpus("online") == ()
    assert folder.nonsense == ["online"]


@pytest.mark.parametrize(("content", "number"), [("42\n", 42), ("-274000", -274_000), (" +7 ", 7), ("0", 0)])
def test_numbers(content: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "temp").write_text(content)
    assert Folder(tmp_path).number("temp") == number


@pytest.mark.parametrize("content", ["", "1_000", "1.5", "0x10", "9" * 30, "\u0664\u0662", "1 2", "nan"])
def test_what_is_no_number(content: str, tmp_path: Path) -> None:
    (tmp_path / "temp").write_text(content)
    folder = Folder(tmp_path)
    assert folder.number("temp") is None
    assert folder.nonsense == ["temp"]


def test_words(tmp_path: Path) -> None:
    (tmp_path / "scaling_governor").write_text("schedutil\n")
    (tmp_path / "scaling_available_governors").write_text("performance powersave \n")
    (tmp_path / "frequencies").write_text("1 2 3\n")
    (tmp_path / "binary").write_bytes(b"\x80\x81")
    folder = Folder(tmp_path)
    assert folder.word("scaling_governor") == "schedutil"
    assert folder.words("scaling_available_governors") == ("performance", "powersave")
    assert folder.numbers("frequencies") == (1, 2, 3)
    assert folder.nonsense == []
    assert folder.word("scaling_available_governors") == ""
    assert folder.text("binary") is None
    assert folder.numbers("scaling_governor") == ()
    assert folder.nonsense == ["scaling_available_governors", "binary", "scaling_governor"]


def test_what_is_missing_is_no_nonsense(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "nowhere")
    assert (folder.text("a"), folder.number("a"), folder.word("a"), folder.cpus("a")) == (None, None, "", ())
    assert folder.matching("*") == []
    assert folder.nonsense == []


def test_entries_come_by_their_numbers(tmp_path: Path) -> None:
    for name in ("policy10", "policy2", "policy0", "boost"):
        (tmp_path / name).mkdir()
    assert [path.name for path in Folder(tmp_path).matching("policy*")] == ["policy0", "policy2", "policy10"]

"""`voicebot recorder save`, and what `voicebot replay` makes of a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import PIPELINES
from tests.interfaces.control_scene import Elsewhere
from tests.interfaces.recorder.scene import Scene, during
from voicebot.audio_io.wav import write_wav
from voicebot.config import runtime
from voicebot.engines.scripted import hum

if TYPE_CHECKING:
    from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def recording(folder: Path, *, audio: bool = False) -> Path:
    """Return what the recorder wrote of a conversation with two questions."""

    async def script(scene: Scene) -> None:
        await scene.speak(1000)
        await scene.speak(2000)
        await scene.saved()

    scene = during(folder, script, audio=audio)
    return scene.folder / scene.files[0]


def test_without_sound_the_turn_table_is_asked_again(run: Run, tmp_path: Path) -> None:
    file = recording(tmp_path)
    result = run("replay", file, "--json").json()
    (checked,) = result["recordings"]
    assert (result["schema"], result["turns"]) == (1, [])
    assert (checked["file"], checked["sessions"], checked["differences"]) == (str(file), ["1-local"], [])
    assert checked["decisions"] >= 10
    assert run("replay", file).out == f"{file}: {checked['decisions']} decisions, all as the turn table has it\n"


def test_a_table_that_decides_otherwise_is_told_and_the_exit_code_is_1(run: Run, tmp_path: Path) -> None:
    file = recording(tmp_path)
    text = file.read_text()
    assert text.count('"actions":["commit"]') == 2
    file.write_text(text.replace('"actions":["commit"]', '"actions":["commit","duck"]', 1))
    done = run("replay", file)
    assert (done.code, done.err) == (
        1,
        f"voicebot: the turn table decides otherwise than when this was recorded: {file.name}.\n",
    )
    assert "1 differ from the turn table" in done.out
    assert "'end of turn' while pending led to thinking (commit, duck); this table has thinking (commit)." in done.out
    failed = run("replay", file, "--json")
    assert (failed.code, len(json.loads(failed.out)["recordings"][0]["differences"])) == (1, 1)


def test_with_sound_it_is_held_again(run: Run, tmp_path: Path) -> None:
    file = recording(tmp_path, audio=True)
    # A hum that answers a hum is an echo to any canceller.
    (tmp_path / "own.toml").write_text(f"{PIPELINES['scripted']}\n[hearing]\necho_cancellation = false\n")
    result = run("replay", "--pipeline", "own.toml", file, "--json").json()
    assert [turn["user"] for turn in result["turns"]] == ["an utterance of 1 seconds", "an utterance of 2 seconds"]
    assert {turn["file"] for turn in result["turns"]} == {str(file)}
    assert all(0 < turn["voice_to_voice_ms"] < 3000 for turn in result["turns"])
    assert result["recordings"][0]["differences"] == []


def test_recordings_and_sounds_may_be_in_one_folder(run: Run, tmp_path: Path) -> None:
    file = recording(tmp_path)
    write_wav(file.parent / "a.wav", hum(16_000))
    result = run("replay", "--pipeline", "scripted", file.parent, "--json").json()
    assert [Path(turn["file"]).name for turn in result["turns"]] == ["a.wav"]
    assert [Path(one["file"]).name for one in result["recordings"]] == [file.name]
    (file.parent / "a.wav").unlink()
    assert run("replay", file.parent, "--json").json()["turns"] == []


def test_rubbish_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("hello")
    done = run("replay", "x.jsonl")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("voicebot: x.jsonl: line 1 is not one of a recording's (")
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04")
    assert (
        run("replay", "x.zip", "--json").err
        == "voicebot: x.zip: the recording can't be read (File is not a zip file).\n"
    )
    run("replay", "none.zip").failed(1, "none.zip: there is no such file; name an existing recording.")


def test_without_a_daemon_nothing_is_saved(run: Run) -> None:
    run("recorder", "save").failed(1, "no daemon runs that could be asked; start one with `voicebot run`.")


def test_a_daemon_that_records_nothing_says_so(run: Run, tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "run/voicebot"):
        run("recorder", "save").failed(
            1, "nothing is recorded; set recorder.enabled = true, then run `voicebot reload`."
        )


def test_the_daemons_file_is_named(run: Run, tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "run/voicebot") as elsewhere:
        assert elsewhere.daemon is not None

        async def save() -> dict[str, object]:
            return {"file": "/somewhere/recording.zip", "seconds": 12.5, "audio": True}

        elsewhere.daemon.service.save_recording = save
        assert run("recorder", "save").out == "/somewhere/recording.zip\n"
        assert run("recorder", "save", "--json").json()["seconds"] == 12.5

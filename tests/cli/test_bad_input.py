"""Bad input ends as one clear sentence, the exit code of its kind, and nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from voicebot.audio_io.wav import write_wav
from voicebot.engines.scripted import hum
from voicebot.models.catalogue import load_catalogue

if TYPE_CHECKING:
    from tests.cli.conftest import Run

MODELS = {"asr": "whisper-tiny.en", "slm": "smollm2-135m-instruct-q4_1", "tts": "piper-en_US-joe-medium"}
STAGE_OF = {"replay": "asr", "transcribe": "asr", "ask": "slm", "say": "tts"}
COMMANDS = sorted(STAGE_OF)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_wav(tmp_path / "clip.wav", hum(16_000))
    return tmp_path / "clip.wav"


def words(command: str, clip: Path) -> list[str]:
    """Return a call of a command that would work."""
    match command:
        case "say":
            return ["say", "Hello there.", "--out", "spoken.wav"]
        case "ask":
            return ["ask", "Who are you?"]
        case _:
            return [command, str(clip)]


def unchanged(folder: Path, *beside: str) -> bool:
    return {path.name for path in folder.iterdir()} <= {"clip.wav", *beside}


@pytest.mark.parametrize("command", ["replay", "transcribe"])
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.wav", None, "none.wav: there is no such file; name an existing sound file."),
        ("empty.wav", b"", "empty.wav: the file is empty; record it again."),
        ("text.wav", b"hello\n" * 50, "text.wav: this is no readable sound file (Format not recognised)."),
        ("cut.wav", b"RIFF\x24\x00\x00\x00WAVE", "cut.wav: this is no readable sound file"),
        (f"{'a' * 300}.wav", None, f"{'a' * 300}.wav: this is no readable sound file (File name too long)."),
    ],
    ids=["missing", "empty", "text", "cut", "too long a name"],
)
def test_a_file_that_is_no_sound(
    run: Run, tmp_path: Path, command: str, flags: list[str], name: str, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(command, name, *flags)
    if name == "cut.wav":  # the reason is libsndfile's own
        assert done.err.startswith(f"voicebot: {sentence} (")
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    else:
        done.failed(1, sentence)
    assert unchanged(tmp_path, name)


def test_one_bad_file_among_good_ones_is_found_before_anything_is_said(run: Run, clip: Path) -> None:
    done = run("replay", "--pipeline", "scripted", clip, "none.wav", "--out", "heard")
    done.failed(1, "none.wav: there is no such file; name an existing sound file.")
    assert unchanged(clip.parent)


def test_digital_silence_can_not_be_said(run: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "quiet.wav", np.zeros(16_000, np.int16))
    done = run("replay", "quiet.wav", "--json")
    done.failed(1, "quiet.wav: the file holds only digital silence; nothing can be said with it.")


def test_a_folder_without_sounds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("nothing to hear")
    run("replay", "folder").failed(2, "folder: the folder holds no .wav or .toml files; name one that does.")


def test_transcribe_takes_no_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    run("transcribe", "folder").failed(1, "folder: there is no such file; name an existing sound file.")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_pipeline(run: Run, clip: Path, command: str) -> None:
    done = run(*words(command, clip), "--pipeline", "asistant")
    known = "assistant, scripted"
    done.failed(2, f"there is no pipeline 'asistant' (did you mean 'assistant'?); known: {known}.")
    assert unchanged(clip.parent)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_profile(run: Run, clip: Path, command: str) -> None:
    done = run(*words(command, clip), "--profile", "edge-9core")
    known = "edge-8core, two-core, voicebot"
    done.failed(2, f"there is no profile 'edge-9core' (did you mean 'edge-8core'?); known: {known}.")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "[asr",
            "mine.toml: this is no valid TOML (Expected ']' at the end of a table declaration (at end of document)).",
        ),
        ('[slm]\nengine = "lama"', "mine.toml: slm.engine: should be 'llama' or 'scripted' (did you mean 'llama'?)"),
        ("[slm]\nmax_token = 3", "mine.toml: slm.max_token: there is no such setting (did you mean 'max_tokens'?)"),
        (
            '[asr]\nmodel = 7\n[slm]\nmodel = "x"\nseed = -1',
            "mine.toml: asr.model: should be a valid string\nmine.toml: slm.seed: should be greater than or equal to 0",
        ),
    ],
    ids=["no TOML", "unknown engine", "unknown key", "two errors"],
)
def test_wrong_settings(run: Run, clip: Path, command: str, toml: str, sentence: str) -> None:
    (clip.parent / "mine.toml").write_text(toml)
    run(*words(command, clip), "--pipeline", "mine.toml").failed(2, sentence)
    assert unchanged(clip.parent, "mine.toml")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_model(run: Run, clip: Path, command: str) -> None:
    stage = STAGE_OF[command]
    (clip.parent / "mine.toml").write_text(f'[{stage}]\nmodel = "{MODELS[stage]}x"')
    done = run(*words(command, clip), "--pipeline", "mine.toml")
    done.failed(2, f"There is no model '{MODELS[stage]}x'; did you mean {MODELS[stage]}?")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_model(run: Run, clip: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (clip.parent / "store").mkdir()
    monkeypatch.setenv("VOICEBOT_MODELS", str(clip.parent / "store"))
    model = MODELS[STAGE_OF[command]]
    out = ["--out", "heard"] if command == "replay" else []
    done = run(*words(command, clip), *out)
    done.failed(1, f"Model {model} is not installed; run `voicebot models pull {model}`.")
    assert unchanged(clip.parent, "store")
    assert list((clip.parent / "store").iterdir()) == []


@pytest.mark.parametrize("command", ["transcribe", "ask", "say"])
def test_a_damaged_model(run: Run, clip: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = clip.parent / "store"
    monkeypatch.setenv("VOICEBOT_MODELS", str(store))
    model = load_catalogue(store).model(MODELS[STAGE_OF[command]])
    (store / model.id).mkdir(parents=True)
    for file in model.files:
        (store / model.id / file.name).write_bytes(b"not what was published")
    done = run(*words(command, clip))
    damaged = store / model.id / model.files[0].name
    done.failed(1, f"{damaged} is damaged; run `voicebot models pull {model.id}`, which replaces it.")


def test_a_model_of_ones_own_that_does_not_load(run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = clip.parent
    monkeypatch.setenv("VOICEBOT_MODELS", str(folder / "store"))
    (folder / "mine.gguf").write_bytes(b"GGUF" + bytes(1000))
    added = run("models", "add", "mine.gguf", "--engine", "llama", "--id", "mine")
    if added.code == 0:
        (folder / "mine.toml").write_text('[slm]\nmodel = "mine"')
        added = run("ask", "Who are you?", "--pipeline", "mine.toml")
    assert added.code in {1, 2}
    assert added.err.startswith("voicebot: ")
    assert added.err.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("clip.wav", "clip.wav: the recordings can't be written there; name a folder that can be written to."),
        ("clip.wav/in", "clip.wav/in: the recordings can't be written there; name a folder that can be written to."),
    ],
)
def test_recordings_that_can_not_be_written(run: Run, clip: Path, out: str, sentence: str) -> None:
    before = clip.read_bytes()
    run("replay", "--pipeline", "scripted", clip, "--out", out).failed(1, sentence)
    assert unchanged(clip.parent)
    assert clip.read_bytes() == before


def test_a_folder_without_permission(run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))  # as root may
    done = run("replay", "--pipeline", "scripted", clip, "--out", "heard")
    done.failed(1, "heard: the recordings can't be written there; name a folder that can be written to.")


def test_a_disk_that_is_full_when_the_conversation_ends(run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        done = run("replay", "--pipeline", "scripted", clip, "--out", "heard", "--json")
    done.failed(1, "heard: the folder can't be made (No space left on device).")
    monkeypatch.setattr(os, "replace", full)
    done = run("replay", "--pipeline", "scripted", clip, "--out", "heard", "--json")
    done.failed(1, "heard/replay-1.wav: the file can't be written (No space left on device).")
    assert list((clip.parent / "heard").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("none/spoken.wav", "none: there is no such folder; make it first."),
        ("clip.wav/spoken.wav", "clip.wav: there is no such folder; make it first."),
        ("folder", "folder: the file can't be written (Is a directory)."),
    ],
)
def test_speech_that_can_not_be_written(run: Run, clip: Path, out: str, sentence: str) -> None:
    (clip.parent / "folder").mkdir()
    run("say", "Hello.", "--pipeline", "scripted", "--out", out).failed(1, sentence)
    assert unchanged(clip.parent, "folder")
    assert list((clip.parent / "folder").iterdir()) == []


@pytest.mark.parametrize("text", ["", "  ", "...", "**"])
def test_nothing_to_say(run: Run, text: str) -> None:
    run("say", text, "--out", "x.wav").failed(2, "there is nothing to say in that text; give some words.")


@pytest.mark.parametrize("text", ["", " \n "])
def test_nothing_to_ask(run: Run, text: str) -> None:
    run("ask", text).failed(2, "there is nothing to ask; give the question as an argument.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["transcribe"],
        ["ask"],
        ["say"],
        ["replay", "x.wav", "--max-tokens", "0"],
        ["ask", "x", "--max-tokens", "many"],
        ["replay", "x.wav", "--nonsense"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_arguments(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "Usage: " in done.out + done.err
    assert "Traceback" not in done.err

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from voicebot.audio_io.devices import Device
from voicebot.cli import doctor
from voicebot.cli.common import load, open_store
from voicebot.cli.finding import Finding
from voicebot.config.box import AudioSettings, CoreSettings
from voicebot.errors import AudioDeviceError

if TYPE_CHECKING:
    from tests.cli.conftest import Box

DEVICES = [
    Device(0, "Headset", 1, 2, 48_000, is_default_input=True, is_default_output=True),
    Device(1, "HDMI", 0, 8, 48_000, is_default_input=False, is_default_output=False),
]

PROCESSOR = ["processor", "frequency", "wake-up", "precedence", "temperature", "energy"]

app = typer.Typer()
app.command()(doctor.doctor)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    devices = list(DEVICES)
    monkeypatch.setattr(doctor, "list_devices", lambda: devices)
    return devices


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, sound: list[Device]) -> list[Device]:
    """A box whose libraries load and need not be tried, with the devices returned."""
    monkeypatch.setattr(doctor, "PACKAGES", {"sounddevice": "sounddevice"})
    monkeypatch.setattr(doctor, "_import_problem", lambda _: "")
    return sound


def run(box: Box, *arguments: str, pipeline: str = "own") -> Result:
    return CliRunner().invoke(app, ["--pipeline", str(box.folder / f"{pipeline}.toml"), *arguments])


def findings(done: Result) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_a_sound_box_has_nothing_to_mend(box: Box, sound: list[Device]) -> None:
    box.add_own_models()
    done = run(box, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ok"]
    found = findings(done)
    assert list(found) == [
        "settings", *doctor.PACKAGES, "microphone", "speaker", "cores", *PROCESSOR, "asr model", "tts model", "memory",
    ]  # fmt: skip
    assert {name for name, finding in found.items() if finding["state"] != "ok"} <= {"cores", *PROCESSOR}
    assert found["microphone"]["detail"] == "Headset"
    assert found["speaker"]["detail"] == "Headset (others: HDMI)"
    assert found["asr model"]["detail"] == f"my-whisper in {box.store / 'my-whisper'}"
    assert len(sound) == 2


@pytest.mark.usefixtures("quick")
def test_people_see_what_is_missing_and_the_command(box: Box) -> None:
    done = run(box, pipeline="default")
    assert done.exit_code == 1
    assert "missing asr model       Model whisper-tiny.en is not installed" in done.stdout
    assert done.stdout.count("voicebot models pull whisper-tiny.en") == 1
    assert "ok      speaker" in done.stdout


def test_without_sound_devices_files_can_still_be_replayed(box: Box, quick: list[Device]) -> None:
    quick.clear()
    done = run(box, "--json", pipeline="scripted")
    assert done.exit_code == 0
    assert findings(done)["microphone"]["state"] == findings(done)["speaker"]["state"] == "warning"
    assert "has no microphone" in findings(done)["microphone"]["detail"]


@pytest.mark.usefixtures("quick")
def test_wrong_settings_are_all_shown_and_the_box_is_examined_nevertheless(box: Box) -> None:
    box.pipeline("own", "[asr]\nbeam_size = 99\n[slm]\nmodell = 'x'")
    done = run(box, "--json")
    assert done.exit_code == 1
    found = findings(done)
    assert "asr.beam_size" in found["settings"]["detail"]
    assert "did you mean 'model'?" in found["settings"]["detail"]
    assert {"sounddevice", "microphone", "speaker", "cores"} <= set(found)
    shown = run(box).stdout.splitlines()
    assert shown[1].startswith(" " * 24)


@pytest.mark.usefixtures("quick")
def test_a_damaged_list_of_own_models_is_found(box: Box) -> None:
    box.store.mkdir()
    (box.store / "added.toml").write_text("models = 1")
    found = findings(run(box, "--json"))
    assert found["settings"]["state"] == "missing"
    assert "added.toml" in found["settings"]["detail"]


@pytest.mark.usefixtures("quick")
def test_a_check_that_breaks_leaves_the_others(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Finding:
        raise ZeroDivisionError("by 0")

    monkeypatch.setattr(doctor, "check_cores", broken)
    done = run(box, "--json", pipeline="scripted")
    assert done.exit_code == 1
    found = findings(done)
    assert found["cores"]["detail"] == "could not be checked (ZeroDivisionError: by 0)."
    assert found["cores"]["mend"]
    assert found["memory"]["state"] == "ok"


@pytest.mark.usefixtures("quick")
def test_models_that_cannot_fit_are_missing_memory(box: Box) -> None:
    done = run(box, "--json", "--profile", box.profile("[memory]\nlimit_mb = 300"), pipeline="default")
    assert findings(done)["memory"]["state"] == "missing"
    assert re.search(r"need \d+ MB \(.*\) where 300 MB are available", findings(done)["memory"]["detail"])
    assert findings(done)["memory"]["mend"].startswith("voicebot plan")


@pytest.mark.usefixtures("quick")
def test_a_library_that_dies_keeps_sound_from_being_tried(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_import_problem", lambda _: "it died of SIGSEGV")
    found = findings(run(box, "--json", pipeline="scripted"))
    assert found["sounddevice"]["state"] == "missing"
    assert "microphone" not in found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that are imported in place of the installed ones."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "reason", "mend"),
    [
        ("import no_such_module", "No module named 'no_such_module'", "-m pip install piper-tts"),
        ("raise OSError('libgomp.so.1: not found')", "libgomp.so.1", "--force-reinstall --no-deps piper-tts"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "it died of SIGKILL", "--force-reinstall"),
        ("raise SystemExit(3)", "no reason given", "--force-reinstall"),
    ],
)
def test_a_library_that_does_not_load(folder: Path, source: str, reason: str, mend: str) -> None:
    (folder / "piper.py").write_text(source)
    found = doctor.check_library("piper", "piper-tts")
    assert found.state == "missing"
    assert reason in found.detail
    assert mend in found.mend


def test_a_library_that_hangs_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "piper.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setattr(doctor, "_IMPORT_S", 0.3)
    began_s = time.monotonic()
    assert "took more than" in doctor.check_library("piper", "piper-tts").detail
    assert time.monotonic() - began_s < 10


def test_without_portaudio_only_files_are_heard(folder: Path) -> None:
    (folder / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    found = doctor.check_library("sounddevice", "sounddevice")
    assert (found.state, found.mend) == ("warning", "apt-get install libportaudio2")


def test_a_file_in_the_current_folder_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wave.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    assert doctor.check_library("wave", "wave").state == "ok"


def test_devices_by_their_configured_names() -> None:
    assert doctor.check_device(DEVICES, "output", "hdmi").detail == "HDMI (others: Headset)"
    found = doctor.check_device(DEVICES, "input", "hdmi")
    assert found.state == "missing"
    assert "No microphone is called 'hdmi'" in found.detail
    assert "audio.input" in found.mend


def test_a_sound_system_that_fails_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> list[Device]:
        raise AudioDeviceError("The sound system failed.")

    monkeypatch.setattr(doctor, "list_devices", failing)
    (found,) = doctor.check_sound(AudioSettings())
    assert (found.name, found.state, found.detail) == ("sound", "warning", "The sound system failed.")
    assert found.mend


def test_cores() -> None:
    assert doctor.check_cores({2, 0, 1}, 8, CoreSettings()) == Finding("cores", "ok", "3 of 8 usable (0, 1, 2)")
    one_of_eight = doctor.check_cores({3}, 8, CoreSettings())
    assert (one_of_eight.state, one_of_eight.mend) == ("warning", "taskset -pc 0-7 $$")
    assert doctor.check_cores({0}, 1, CoreSettings()).mend.startswith("voicebot models list")
    crowded = doctor.check_cores({0, 1}, 2, CoreSettings(asr_threads=4, slm_threads=2))
    assert crowded.state == "warning"
    assert "cores.asr_threads = 4" in crowded.detail
    assert crowded.mend == "set cores.asr_threads = 0 in the profile"


def test_a_models_fault_is_told_apart(box: Box) -> None:
    box.add_own_models()
    settings = load(str(box.folder / "own.toml"), "voicebot")
    (box.store / "my-voice/voice.onnx").write_text("vOICE")
    store = open_store(settings)
    whisper, voice = doctor.check_models(settings, store)
    assert whisper.state == "ok"
    assert voice.state == "missing"
    assert "voice.onnx is damaged" in voice.detail
    assert voice.mend == "voicebot models add FILE --engine piper --id my-voice"
    (box.store / "my-voice/voice.onnx").unlink()
    assert "not installed" in doctor.check_model("tts", "my-voice", store).detail
    absent = doctor.check_model("slm", "qwen3-0.6b-q8_0", store)
    assert (absent.state, absent.mend) == ("missing", "voicebot models pull qwen3-0.6b-q8_0")
    assert "a model for asr, not for tts" in doctor.check_model("tts", "my-whisper", store).detail
    unknown = doctor.check_model("tts", "my-voise", store)
    assert (unknown.state, unknown.mend) == ("missing", "voicebot models list")
    assert "did you mean my-voice?" in unknown.detail


def test_a_second_model_is_checked_like_the_first(box: Box) -> None:
    box.add_own_models()
    box.pipeline("second", '[asr]\nmodel = "my-whisper"\nsecond_model = "whisper-base"\n')
    settings = load(str(box.folder / "second.toml"), "voicebot")
    asr, second = doctor.check_models(settings, open_store(settings))[:2]
    assert (asr.name, asr.state) == ("asr model", "ok")
    assert (second.name, second.state, second.mend) == ("asr model", "missing", "voicebot models pull whisper-base")


def test_a_sound_configuration_that_portaudio_does_not_survive_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise AudioDeviceError("ALSA's configuration has no default device; correct it.")

    monkeypatch.setattr(doctor, "check_alsa", broken)
    found = doctor.check_library("sounddevice", "sounddevice")
    assert (found.state, found.detail) == ("warning", "ALSA's configuration has no default device; correct it.")

"""Devices by name: the choice among a list, what PortAudio really lists, and what happens without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.virtual_sound_card import LOOP, MICROPHONE, SPEAKER, VirtualSoundCard
from voicebot.audio_io.devices import Device, choose_device, list_devices
from voicebot.errors import AudioDeviceError

ROOT = Path(__file__).parents[2]

DEVICES = [
    Device(0, "HDA Intel PCH: ALC256 Analog (hw:0,0)", 2, 2, 44_100, is_default_input=False, is_default_output=False),
    Device(1, "USB Speakerphone: Audio (hw:1,0)", 1, 2, 48_000, is_default_input=True, is_default_output=False),
    Device(2, "HDMI 0", 0, 8, 48_000, is_default_input=False, is_default_output=True),
    Device(3, "HDMI 0 loop", 2, 0, 48_000, is_default_input=False, is_default_output=False),
    Device(4, "HDMI 1", 0, 8, 48_000, is_default_input=False, is_default_output=False),
]


def test_part_of_a_name_in_any_case_is_enough() -> None:
    assert choose_device(DEVICES, "speakerPHONE", "input").index == 1
    assert choose_device(DEVICES, "alc256", "output").index == 0


def test_no_name_is_the_default_device() -> None:
    assert choose_device(DEVICES, None, "input").index == 1
    assert choose_device(DEVICES, None, "output").index == 2


def test_a_whole_name_goes_before_a_part_of_another() -> None:
    devices = [*DEVICES, Device(5, "HDMI 0 copy", 0, 2, 48_000, is_default_input=False, is_default_output=False)]
    assert choose_device(devices, "hdmi 0", "output").index == 2


def test_only_devices_of_the_kind_are_asked() -> None:
    assert choose_device(DEVICES, "hdmi", "input").index == 3


def test_the_first_of_two_equal_names_is_taken() -> None:
    twin = Device(9, "HDMI 1", 0, 2, 44_100, is_default_input=False, is_default_output=False)
    assert choose_device([*DEVICES, twin], "HDMI 1", "output").index == 4


def test_an_ambiguous_name_lists_whom_it_fits() -> None:
    with pytest.raises(AudioDeviceError, match="'HDMI 0', 'HDMI 1'; give more of the name"):
        choose_device(DEVICES, "hdmi", "output")


def test_an_unknown_name_lists_all_and_guesses() -> None:
    with pytest.raises(AudioDeviceError, match=r"did you mean 'HDMI 1'\?.*'USB Speakerphone") as caught:
        choose_device(DEVICES, "HDNI1", "output")
    assert "loop" not in str(caught.value)


def test_a_machine_without_devices_says_so() -> None:
    with pytest.raises(AudioDeviceError, match="has no microphone"):
        choose_device([], None, "input")


def test_no_default_asks_for_a_choice() -> None:
    with pytest.raises(AudioDeviceError, match="no default speaker; choose one of 'HDMI 1'"):
        choose_device(DEVICES[4:], None, "output")


def test_the_virtual_card_is_listed(sound_card: VirtualSoundCard) -> None:
    code = (
        "import dataclasses, json; from voicebot.audio_io.devices import find_device, list_devices\n"
        "print(json.dumps([[dataclasses.asdict(d) for d in list_devices()], find_device('VLOO', 'input').name]))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=sound_card.env, cwd=ROOT, capture_output=True, text=True, check=True)
    devices, found = json.loads(done.stdout)
    by_name = {device["name"]: device for device in devices}
    assert {MICROPHONE, SPEAKER, LOOP, "default"} <= set(by_name)
    assert found == LOOP
    assert [name for name, device in by_name.items() if device["is_default_input"]] == ["default"]
    assert [name for name, device in by_name.items() if device["is_default_output"]] == ["default"]


def fake_sounddevice(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    (folder / "sounddevice.py").write_text(source)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(folder)


def test_a_missing_library_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_sounddevice(monkeypatch, tmp_path, "raise OSError('PortAudio library not found')")
    with pytest.raises(AudioDeviceError, match="apt-get install libportaudio2") as caught:
        list_devices()
    assert isinstance(caught.value.__cause__, OSError)


def test_an_error_of_portaudio_is_translated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = "class PortAudioError(Exception): ...\ndef query_devices(): raise PortAudioError('host error -9999')\n"
    fake_sounddevice(monkeypatch, tmp_path, source)
    try:
        with pytest.raises(AudioDeviceError, match="host error -9999"):
            list_devices()
    finally:
        sys.modules.pop("sounddevice", None)


def test_the_package_imports_without_sounddevice() -> None:
    code = "import sys; sys.modules['sounddevice'] = None; import voicebot.audio_io.local"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

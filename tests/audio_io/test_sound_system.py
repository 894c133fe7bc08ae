"""What the system says of its sound: on a virtual card, and where there is nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.virtual_sound_card import VirtualSoundCard
from voicebot.audio_io.sound_system import SoundSystem, look_at_sound

ROOT = Path(__file__).parents[2]
LISTEN = """
import json, sys, time
from voicebot.audio_io.devices import Exchange, open_duplex, relist_devices
from voicebot.audio_io.sound_system import look_at_sound
def tell():
    system = look_at_sound()
    print(json.dumps([sorted(name for _, _, name in nodes) for nodes in (system.nodes, system.ours, system.monitors)]))
    sys.stdout.flush()
    return system
tell()
stream = open_duplex("vmic", "vspk", 20, Exchange(50, lambda: None), lambda: None)
opened = tell()
print(json.dumps(relist_devices()), flush=True)
sys.stdin.readline()
tell()
print(json.dumps(look_at_sound().lost_since(opened)))
sys.stdout.flush()
stream.close()
print(json.dumps(relist_devices()))
"""


def test_a_stream_that_the_server_moves_is_seen(tmp_path: Path) -> None:
    with VirtualSoundCard(tmp_path) as card:
        process = subprocess.Popen(
            [sys.executable, "-c", LISTEN],
            env=card.env | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        before, opened, relisted = (json.loads(process.stdout.readline()) for _ in range(3))
        card.remove_microphone()
        out, _ = process.communicate("gone\n", timeout=60)
    monitors = ["micfeed.monitor", "spk.monitor"]
    assert before == [["mic", "micfeed", "micfeed.monitor", "spk", "spk.monitor"], [], monitors]
    assert opened == [before[0], ["mic", "spk"], monitors]
    assert relisted is False  # that would have ended the stream
    moved, lost, relisted_after = (json.loads(line) for line in out.splitlines())
    assert "mic" not in moved[0]
    assert moved[1][0] == "spk"  # and the microphone's stream is on a monitor
    assert (lost[0], lost[2]) == ("source", "mic")
    assert relisted_after is True


def test_without_a_server_there_are_only_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path / 'none'}")
    system = look_at_sound()
    assert (system.nodes, system.ours, system.monitors) == (frozenset(), frozenset(), frozenset())
    assert system.devices == look_at_sound().devices


def test_without_the_library_there_are_only_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pulsectl", None)
    assert look_at_sound().nodes == frozenset()


def test_a_server_that_died_has_moved_nothing() -> None:
    mic, other = ("source", 1, "mic"), ("source", 2, "other")
    opened = SoundSystem(nodes=frozenset({mic, other}), ours=frozenset({mic}))
    assert SoundSystem().lost_since(opened) is None
    assert opened.lost_since(opened) is None
    assert SoundSystem(nodes=frozenset({other})).lost_since(opened) == mic
    # One that was taken away and came back has another number: the stream need not be on it.
    assert SoundSystem(nodes=frozenset({other, ("source", 3, "mic")})).lost_since(opened) == mic
    assert SoundSystem(nodes=frozenset({mic})).devices != opened.devices


def test_looking_leaves_nothing_open(sound_card: VirtualSoundCard) -> None:
    code = (
        "import os; from voicebot.audio_io.sound_system import look_at_sound\n"
        "look_at_sound(); before = len(os.listdir('/proc/self/fd')); [look_at_sound() for _ in range(20)]\n"
        "assert len(os.listdir('/proc/self/fd')) == before and len(os.listdir('/proc/self/task')) == 1"
    )
    subprocess.run([sys.executable, "-c", code], env=sound_card.env | {"PYTHONPATH": str(ROOT)}, check=True)

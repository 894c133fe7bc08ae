"""The ring is bounded by time and by memory, whatever comes."""

from __future__ import annotations

import numpy as np

from voicebot.audio import FRAME_SAMPLES, Frame
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.engines.scripted import hum
from voicebot.events import VolumeChanged
from voicebot.interfaces.recorder.ring import Entry, Ring, Sound


def sound(number: int) -> Entry:
    return Entry(number / 50, "1-local", Sound(number * FRAME_SAMPLES, bytes(2 * FRAME_SAMPLES), b""))


def test_what_is_too_old_is_forgotten() -> None:
    ring = Ring(longest_s=10, most_bytes=10**9)
    for number in range(100):
        ring.add(Entry(float(number), "", VolumeChanged(number)))
    assert [entry.at_s for entry in ring.entries] == [float(number) for number in range(89, 100)]
    ring.forget(1000.0)
    assert (ring.entries, ring.size_bytes) == ((), 0)


def test_what_is_too_much_is_forgotten() -> None:
    ring = Ring(longest_s=10**6, most_bytes=100_000)
    for number in range(1000):
        ring.add(sound(number))
    assert ring.size_bytes <= 100_000
    assert ring.size_bytes == sum(entry.size_bytes for entry in ring.entries)
    assert ring.entries[-1] == sound(999)
    ring.clear()
    assert (ring.entries, ring.size_bytes) == ((), 0)


def test_one_thing_that_is_too_large_by_itself_is_not_held() -> None:
    ring = Ring(longest_s=10, most_bytes=100)
    ring.add(sound(0))
    assert (ring.entries, ring.size_bytes) == ((), 0)


def test_a_sound_is_what_was_heard_and_what_was_played_at_the_same_time() -> None:
    playback = PlaybackBuffer()
    heard, played = hum(FRAME_SAMPLES), hum(2 * FRAME_SAMPLES)[FRAME_SAMPLES:]
    before = Sound.of(Frame(0, heard), playback)
    assert (before.microphone, before.speaker, before.end_sample) == (heard.tobytes(), b"", FRAME_SAMPLES)
    playback.push("reply", played)
    playback.pull(FRAME_SAMPLES, FRAME_SAMPLES)
    during = Sound.of(Frame(FRAME_SAMPLES, heard), playback)
    assert np.array_equal(np.frombuffer(during.speaker, np.int16), played)
    assert Sound.of(Frame(2 * FRAME_SAMPLES, heard), playback).speaker == b""

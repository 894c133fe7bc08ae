"""A browser that talks: its microphone and its speaker run by one clock, as in the page's worklet."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from voicebot.audio import FRAME_SAMPLES, Pcm, samples_from_ms, silence

READY_FRAMES = 2


@dataclass
class Browser:
    """`tick` is one frame of 20 ms: it plays one, and returns the message with what the microphone heard meanwhile."""

    number: int = 0
    waiting: deque[Pcm] = field(default_factory=deque)
    taken: int = 0
    playing: bool = False
    heard: list[Pcm] = field(default_factory=list)
    """What came out of its speaker, from its microphone's first sample on."""
    to_say: deque[Pcm] = field(default_factory=deque)

    def say(self, pcm: Pcm) -> None:
        """Speak, after half a second of the quiet room: what is louder than that is a voice."""
        whole = np.concatenate([silence(samples_from_ms(500)), pcm, silence(-len(pcm) % FRAME_SAMPLES)])
        self.to_say.extend(np.split(whole, len(whole) // FRAME_SAMPLES))

    def receive(self, message: bytes) -> None:
        self.waiting.append(np.frombuffer(message, "<i2").astype(np.int16))

    def tick(self) -> bytes:
        self.playing = len(self.waiting) >= (1 if self.playing else READY_FRAMES)
        spoken = self.to_say.popleft() if self.to_say else silence(FRAME_SAMPLES)
        message = struct.pack("<II", self.number % 2**32, self.taken % 2**32) + spoken.astype("<i2").tobytes()
        self.number += 1
        self.heard.append(self.waiting.popleft() if self.playing else silence(FRAME_SAMPLES))
        self.taken += FRAME_SAMPLES * self.playing
        return message

    def speaker(self) -> Pcm:
        return np.concatenate([silence(0), *self.heard])

"""A sound card made of software that keeps time as a real one does: it waits for nobody, and counts what it lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.audio_io.devices import Exchange

_BUFFERED_BLOCKS: Final = 3
"""What small cards hold; who comes later than that has lost audio."""
_NOISE_RMS: Final = 3.3
"""-80 dBFS, since no microphone delivers digital silence."""


class Card:
    """Its microphone hears the clips over and over, with a pause after each; its speaker plays nowhere.

    `open` is what a LocalPort takes as `open_stream`. The card's thread calls the exchange once per block, as
    PortAudio's does. Times are the system's own.
    """

    rates_hz = (SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    latency = (0.02, 0.04)
    channels = (1, 1)

    def __init__(self, clips: Sequence[Pcm], pause_s: float) -> None:
        pause = silence(round(pause_s * SAMPLE_RATE_HZ))
        spoken = np.concatenate([*itertools.chain.from_iterable((clip, pause) for clip in clips)])
        noise = np.random.default_rng(1).normal(0, _NOISE_RMS, len(spoken)).astype(np.int16)
        self._heard = np.clip(spoken.astype(np.int32) + noise, -32768, 32767).astype(np.int16)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.blocksize = 0
        self.blocks = 0
        """Blocks that have passed, those that were lost included."""
        self.lost_blocks = 0
        """Blocks that nobody fetched in time."""
        self.latest_ms = 0.0
        """By how much the worst block was late."""

    def open(
        self,
        microphone: str | None,
        speaker: str | None,
        block_ms: int,
        exchange: Exchange,
        finished: Callable[[], None],
    ) -> Card:
        """Start; the names are of no consequence."""
        del microphone, speaker
        self.blocksize = samples_from_ms(block_ms)
        self._thread = threading.Thread(target=self._run, args=(exchange, finished), name="card", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop at once."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, exchange: Exchange, finished: Callable[[], None]) -> None:
        block_s, round_trip_s = self.blocksize / SAMPLE_RATE_HZ, sum(self.latency)
        began_s = time.monotonic()
        while not self._closed.is_set():
            due_s = began_s + (self.blocks + 1) * block_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            self.latest_ms = max(self.latest_ms, 1000 * late_s)
            lost = int(late_s / block_s) if late_s > _BUFFERED_BLOCKS * block_s else 0
            self.blocks += lost
            self.lost_blocks += lost
            exchange(self._block(), round_trip_s, xrun=lost > 0)
            self.blocks += 1
        finished()

    def _block(self) -> bytes:
        at = np.arange(self.blocks * self.blocksize, (self.blocks + 1) * self.blocksize)
        block: Pcm = self._heard.take(at, mode="wrap")
        return block.tobytes()

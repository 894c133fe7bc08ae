"""From audio to the speaker, once the turn is committed; and back, what was played and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

import numpy as np

from voicebot.audio import Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.speak import ClauseAudio

OPENER: Final = -1
_FADE_IN_SAMPLES: Final = samples_from_ms(10)


class Player:
    """Plays one reply. `stop` is immediate: nothing of this reply is given to the speaker after it."""

    def __init__(self, playback: PlaybackBuffer, owner: Hashable, on_played: Callable[[int, Played], None]) -> None:
        self._playback = playback
        self._owner = owner
        self._on_played = on_played
        self._progress = asyncio.Event()
        self.paused = False
        """Whether it is held."""
        self._stopped = False
        self._pushed: list[tuple[int, ClauseAudio]] = []
        """What the speaker was given of the clause that is playing and of later ones, each with its place there."""
        self._unsubscribe: Callable[[], None] | None = None

    async def play(self, audio: Channel[ClauseAudio], committed: asyncio.Event, ahead_samples: int) -> None:
        """Give the speaker what comes, at most `ahead_samples` before it is played, and wait until all was played."""
        await committed.wait()
        if self._stopped:
            return
        self._follow()
        try:
            async for piece in audio:
                await self._until(ahead_samples)
                self._push(piece)
            await self._until(1)
        finally:
            self._leave()

    def open(self, pcm: Pcm) -> None:
        """Play an opener, reported as clause OPENER, before the reply."""
        if not self._stopped:
            self._follow()
            self._playback.push((self._owner, OPENER), pcm)

    def pause(self) -> None:
        """Fade out, and give the speaker nothing until `resume`."""
        self.paused = True
        self._playback.fade_out()

    def resume(self, clause: int, sample: int) -> None:
        """Go on from a sample of a clause, which may have been played before."""
        self.paused = False
        resumed = False
        for start, piece in self._pushed:
            played = max(0, sample - start) if piece.clause == clause else 0
            if piece.clause >= clause and played < len(piece.pcm):
                pcm = piece.pcm[played:]
                self._playback.push((self._owner, piece.clause), pcm if resumed else _faded_in(pcm))
                resumed = True
        self._progress.set()

    def stop(self) -> None:
        """Fade out what is playing and drop the rest."""
        if not self._stopped:
            self._stopped = True
            self._playback.fade_out()
            self._leave()

    def _push(self, piece: ClauseAudio) -> None:
        if not self._stopped:
            self._pushed.append((self._next_start(piece.clause), piece))
            self._playback.push((self._owner, piece.clause), piece.pcm)

    def _next_start(self, clause: int) -> int:
        if not self._pushed or self._pushed[-1][1].clause != clause:
            return 0
        start, before = self._pushed[-1]
        return start + len(before.pcm)

    async def _until(self, queued_samples: int) -> None:
        while (self.paused or self._playback.queued_samples >= queued_samples) and not self._stopped:
            self._progress.clear()
            await self._progress.wait()

    def _take_note(self, stretches: tuple[Played, ...]) -> None:
        self._progress.set()
        for stretch in stretches:
            if isinstance(stretch.tag, tuple) and stretch.tag[0] == self._owner:
                clause = stretch.tag[1]
                if self._pushed and self._pushed[0][1].clause < clause:
                    self._pushed = [(start, piece) for start, piece in self._pushed if piece.clause >= clause]
                self._on_played(clause, stretch)

    def _follow(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self._playback.subscribe(self._take_note)

    def _leave(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._progress.set()


def _faded_in(pcm: Pcm) -> Pcm:
    faded = pcm.copy()
    ramp = np.linspace(0.0, 1.0, min(len(faded), _FADE_IN_SAMPLES), dtype=np.float32)
    faded[: len(ramp)] = (faded[: len(ramp)] * ramp).astype(np.int16)
    return faded

"""From audio to the speaker, once the turn is committed; and back, what was played and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.speak import ClauseAudio


class Player:
    """Plays one reply. `stop` is immediate: nothing of this reply is given to the speaker after it."""

    def __init__(self, playback: PlaybackBuffer, owner: Hashable, on_played: Callable[[int, Played], None]) -> None:
        self._playback = playback
        self._owner = owner
        self._on_played = on_played
        self._progress = asyncio.Event()
        self._stopped = False
        self._unsubscribe: Callable[[], None] | None = None

    async def play(self, audio: Channel[ClauseAudio], committed: asyncio.Event, ahead_samples: int) -> None:
        """Give the speaker what comes, at most `ahead_samples` before it is played, and wait until all was played."""
        await committed.wait()
        if self._stopped:
            return
        self._unsubscribe = self._playback.subscribe(self._take_note)
        try:
            async for piece in audio:
                await self._until(ahead_samples)
                self._push(piece)
            await self._until(1)
        finally:
            self._leave()

    def stop(self) -> None:
        """Fade out what is playing and drop the rest."""
        if not self._stopped:
            self._stopped = True
            self._playback.fade_out()
            self._leave()

    def _push(self, piece: ClauseAudio) -> None:
        if not self._stopped:
            self._playback.push((self._owner, piece.clause), piece.pcm)

    async def _until(self, queued_samples: int) -> None:
        while self._playback.queued_samples >= queued_samples and not self._stopped:
            self._progress.clear()
            await self._progress.wait()

    def _take_note(self, stretches: tuple[Played, ...]) -> None:
        self._progress.set()
        for stretch in stretches:
            if isinstance(stretch.tag, tuple) and stretch.tag[0] == self._owner:
                self._on_played(stretch.tag[1], stretch)

    def _leave(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._progress.set()

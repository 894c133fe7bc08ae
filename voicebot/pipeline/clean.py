"""From what the microphone heard to what is new in it: the assistant's own voice taken out, noise and level mended.

The reference is what the playback sounded at the same place of the timeline, so the device's clocks have done most
of the alignment. What they don't know, the way through the air and what a driver leaves out, the canceller finds by
itself if it is between 2 and 400 ms. Beyond that the signals tell (`EchoDelay`), and the reference is moved.

A canceller that never hears an echo, as with headphones, goes on expecting one and swallows short words. So as long
as the signals show none, nothing is cancelled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from voicebot.audio import Frame, Pcm, level_dbfs, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.config.pipeline import HearingSettings
from voicebot.engines.webrtc_audio import EchoCanceller, Enhancer
from voicebot.pipeline.echo_delay import EARLIEST_SAMPLES, LATEST_SAMPLES, EchoDelay
from voicebot.pipeline.recent_audio import RecentAudio

_TAIL_SAMPLES: Final = samples_from_ms(1000)
"""How long after the last sound there may be echo: the longest delay and half a second of reverberation."""
_REACH_SAMPLES: Final = range(samples_from_ms(2), samples_from_ms(400))
"""Delays that the canceller finds by itself from its start; it fails below 0, at 0 for some voices, above 500 ms."""
_MOVED_TO_SAMPLES: Final = samples_from_ms(5)
"""Where the echo is put once its delay is known. Little, since a device that plays early tells no more ahead."""
_WINDOW_SAMPLES: Final = samples_from_ms(320)
_KEPT_SAMPLES: Final = samples_from_ms(2000)
_LEAST_DBFS: Final = -60.0
"""What is quieter can't be told from silence, and the gate takes it for that."""
_LOUD_DBFS: Final = -45.0
_MISSES: Final = 2
"""Windows in which there is sound but no echo, until nothing is cancelled. One in ten misses an echo that is there."""


class FrontEnd:
    """Cleans one microphone, frame by frame. While nothing plays and nothing is to be enhanced, it does nothing."""

    def __init__(self, playback: PlaybackBuffer, settings: HearingSettings) -> None:
        self.playing = False
        """Whether the last frame may hold echo."""
        self.leaking = False
        """Whether the last 320 ms that were returned still held echo: less should be believed for now."""
        self._playback = playback
        self._canceller = EchoCanceller() if settings.echo_cancellation else None
        enhancing = settings.noise_suppression != "off" or settings.gain_control
        self._enhancer = Enhancer(settings) if enhancing else None
        self._cancelling = True
        self._delay = EchoDelay()
        self._moved_samples = 0
        self._misses = 0
        self._heard = RecentAudio(_KEPT_SAMPLES)
        self._returned = RecentAudio(_KEPT_SAMPLES)
        self._playing_from = 0
        self._checked_until = 0

    @property
    def echo_delay_samples(self) -> int | None:
        """How much later than the timeline has it the speaker is heard; None as long as no echo was found."""
        return self._delay.samples

    def clean(self, frame: Frame) -> Frame:
        """Return the next frame, cleaned."""
        self._follow_playback(frame)
        pcm = frame.pcm
        if self.playing and self._canceller is not None:
            pcm = self._without_echo(frame, self._canceller)
        if self._enhancer is not None:
            pcm = self._enhancer.enhance(pcm)
        return frame if pcm is frame.pcm else replace(frame, pcm=pcm)

    def is_echo(self, start_sample: int, end_sample: int) -> bool:
        """Return whether a stretch of the last 2 s still held what was played when it was returned.

        100 ms are enough to know; a voice beside a well cancelled echo is no echo.
        """
        return self.playing and self._has_echo(max(start_sample, self._playing_from), end_sample)

    def _follow_playback(self, frame: Frame) -> None:
        until = self._playback.sounding_until
        playing = until > 0 and frame.start_sample < until + _TAIL_SAMPLES
        if playing and not self.playing:
            self._playing_from = self._checked_until = frame.start_sample
        self.playing = playing
        self.leaking = self.leaking and playing

    def _without_echo(self, frame: Frame, canceller: EchoCanceller) -> Pcm:
        pcm = frame.pcm
        if self._cancelling:
            pcm = canceller.cancel(pcm, self._played(frame.start_sample, frame.end_sample))
        self._heard.append(frame)
        self._returned.append(replace(frame, pcm=pcm))
        if frame.end_sample - self._checked_until >= _WINDOW_SAMPLES:
            self._check(self._checked_until, frame.end_sample, canceller)
            self._checked_until = frame.end_sample
        return pcm

    def _check(self, start: int, end: int, canceller: EchoCanceller) -> None:
        """See where the echo is in the last window, and whether any is left."""
        heard = self._heard.read(start, end)
        silent = level_dbfs(heard) < _LEAST_DBFS
        known = self._delay.samples is not None
        if not silent and self._delay.follow(heard, self._around(start, end)):
            self._realign(canceller, jumped=known or not self._cancelling)
            self._cancelling = True
        elif not known and level_dbfs(self._played(start, (start + end) // 2)) > _LOUD_DBFS:
            self._doubt(silent=silent)
        self.leaking = not silent and self._has_echo(start, end)

    def _doubt(self, *, silent: bool) -> None:
        """Cancel nothing once there is no echo where one should have been, until one is found."""
        self._misses = 0 if self._delay.likely and not silent else self._misses + 1
        if silent or self._misses >= _MISSES:
            self._cancelling = False

    def _realign(self, canceller: EchoCanceller, *, jumped: bool) -> None:
        """Put the echo where the canceller finds it. A reset is quicker than its own search for another delay."""
        delay = self._delay.samples or 0
        if jumped or delay not in _REACH_SAMPLES:
            self._moved_samples = delay - _MOVED_TO_SAMPLES
            canceller.reset()

    def _has_echo(self, start: int, end: int) -> bool:
        left = self._returned.read(start, end)
        return level_dbfs(left) >= _LEAST_DBFS and self._delay.found_in(left, self._around(end - len(left), end))

    def _played(self, start: int, end: int) -> Pcm:
        return self._playback.sounded(start - self._moved_samples, end - self._moved_samples)

    def _around(self, start: int, end: int) -> Pcm:
        return self._playback.sounded(start - LATEST_SAMPLES, end - EARLIEST_SAMPLES)

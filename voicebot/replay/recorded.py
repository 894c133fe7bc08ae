"""What a microphone heard for some minutes, said to a session again, each sound when it was said then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.clock import Clock
from voicebot.config.pipeline import HearingSettings
from voicebot.pipeline.clean import FrontEnd
from voicebot.replay.conversation import Clip, Conversation

_BEGIN: Final = SAMPLE_RATE_HZ
_END_S: Final = 0.2
_TAIL_SAMPLES: Final = samples_from_ms(500)
"""After a turn's speech, as far as the next one's leaves room: the detector may see the end a bit later this time."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One session's sound as clips without a gap between them: what led to one turn each, and the rest."""

    file: Path
    session: str
    clips: tuple[Clip, ...]

    @classmethod
    def of(cls, file: Path, session: str, pcm: Pcm, speech_ends: Sequence[int]) -> Recorded:
        """Cut at least one sample of sound. `speech_ends`: where the user's turns ended, each inside and later."""
        following = [*speech_ends[1:], len(pcm)]
        cuts = [
            min(end + _TAIL_SAMPLES, (end + after) // 2) for end, after in zip(speech_ends, following, strict=False)
        ]
        clips = [
            Clip(file, pcm[begin:cut], 0, max(0, end - 1 - begin))
            for (begin, cut), end in zip(pairwise([0, *cuts]), speech_ends, strict=True)
        ]
        rest = pcm[cuts[-1] if cuts else 0 :]
        return cls(file, session, (*clips, Clip(file, rest, 0, len(rest) - 1, role="backchannel")))


async def speak_as_recorded(conversation: Conversation, recorded: Recorded, clock: Clock) -> None:
    """Speak all of it, whatever is answered meanwhile."""
    start = _BEGIN
    for clip in recorded.clips:
        conversation.say(clip, start)
        start += len(clip.pcm)
    await conversation.settle(clock)
    await clock.sleep_s(_END_S)


def without_echo(microphone: Pcm, speaker: Pcm, hearing: HearingSettings) -> Pcm:
    """Return what is left without what the speaker played then, which nobody would take for an echo now."""
    if not hearing.echo_cancellation or not speaker.any():
        return microphone
    playback = PlaybackBuffer()
    front_end = FrontEnd(playback, HearingSettings())
    cleaned = microphone.copy()
    for start in range(0, len(microphone) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        stretch = slice(start, start + FRAME_SAMPLES)
        if speaker[stretch].any():
            playback.push("recorded", speaker[stretch])
        playback.pull(start, FRAME_SAMPLES)
        cleaned[stretch] = front_end.clean(Frame(start, microphone[stretch])).pcm
    return cleaned

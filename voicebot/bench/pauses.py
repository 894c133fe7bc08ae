"""How often people are cut in on who pause in the middle of a sentence.

Pauses of random length are put at random word boundaries of clips. A boundary is the quietest moment near one of
Whisper's word times.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, ms_from_samples
from voicebot.bench.wer import normalise, word_errors
from voicebot.bench.word_times import WordBoundary
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.events import Observer, ReplyAudible, TurnCommitted
from voicebot.latency.percentiles import summary
from voicebot.pipeline.recognize import pieces
from voicebot.pipeline.stages import Asr, Stages
from voicebot.replay import Clip, Conversation, hold
from voicebot.replay.pauses import quietest_sample, with_pause
from voicebot.replay.report import false_cut_ins

_SHORTEST_MS: Final = 400.0
_LONGEST_MS: Final = 1500.0
_BEFORE_S: Final = 0.5
_HEARD_S: Final = 0.3
_PATIENCE_S: Final = 8.0
_WORD_ERRORS: Final = 0.2
"""The share of the words that may be recognised otherwise with the pause than without it."""


@dataclass(frozen=True, slots=True)
class PausedClip:
    """A clip with a pause in it, and between which words."""

    clip: Clip
    boundary: WordBoundary

    @property
    def ends_sentence(self) -> bool:
        """Whether a sentence was over before the pause, by the recogniser's punctuation."""
        return self.boundary.before.rstrip().endswith((".", "?", "!"))


async def paused_clips(
    asr: Asr, clips: Sequence[Clip], boundaries: Sequence[Sequence[WordBoundary]], count: int, seed: int
) -> list[PausedClip]:
    """Return `count` clips with a pause in them, the same by seed; none when no clip has a word boundary.

    `boundaries`: those of each clip. Where there are too few, some get several pauses, in a clip each. What is said is
    what the recogniser hears without the pause.
    """
    random = np.random.default_rng(seed)
    cuts = [
        (clip, at_sample, boundary)
        for clip, found in zip(clips, boundaries, strict=True)
        for boundary in found
        if (at_sample := quietest_sample(clip.pcm, boundary.sample)) is not None
    ]
    chosen = [cuts[number] for number in random.permutation(len(cuts))[:count]]
    said = {clip.file: " ".join(await _words(asr, clip.pcm)) for clip, _, _ in chosen}
    made: list[PausedClip] = []
    for clip, at_sample, boundary in itertools.islice(itertools.cycle(chosen), count):
        pause_ms = float(random.uniform(_SHORTEST_MS, _LONGEST_MS))
        made.append(PausedClip(_paused(clip, at_sample, pause_ms, said[clip.file], seed), boundary))
    return made


def _paused(clip: Clip, at_sample: int, pause_ms: float, says: str, seed: int) -> Clip:
    file = Path(f"{clip.file.stem}-at-{ms_from_samples(at_sample):.0f}-for-{pause_ms:.0f}-ms.wav")
    return Clip.of(file, with_pause(clip.pcm, at_sample, pause_ms, seed), says)


async def _words(asr: Asr, pcm: Pcm) -> list[str]:
    return normalise(" ".join([(await asr.transcribe(piece)).text for piece in pieces(pcm)]))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One clip with a pause, and the conversation in which it was all that was said."""

    paused: PausedClip
    conversation: Conversation

    @property
    def cut_in(self) -> bool:
        """Whether a turn was committed, or anything of a reply audible, before the clip's last voiced sample."""
        end = self.conversation.spoken[0].speech_end_sample
        moments = [one.at_sample for _, one in self.conversation.log if isinstance(one, TurnCommitted | ReplyAudible)]
        return any(moment < end for moment in moments) or false_cut_ins(self.conversation) > 0

    @property
    def whole(self) -> bool:
        """Whether all of it was recognised in one turn."""
        words = self.paused.clip.says.split()
        texts = [turn.user for turn in self.conversation.ended]
        return len(texts) == 1 and word_errors(words, normalise(texts[0])) <= _WORD_ERRORS * len(words)

    @property
    def voice_to_voice_ms(self) -> float | None:
        """From the clip's real end to the reply; None when it was cut in on or not answered."""
        audible = [turn.marks["audible"] for turn in self.conversation.ended if "audible" in turn.marks]
        if self.cut_in or not audible:
            return None
        return ms_from_samples(audible[-1] - self.conversation.spoken[0].speech_end_sample)


async def attempt(
    paused: PausedClip, name: str, settings: Settings, stages: Stages, clock: Clock, observer: Observer
) -> Attempt:
    """Say a clip in a conversation of its own, and stop the reply soon after it has begun."""

    async def script(conversation: Conversation) -> None:
        await clock.sleep_s(_BEFORE_S)
        conversation.say(paused.clip)
        end_s = conversation.spoken[0].end_sample / SAMPLE_RATE_HZ
        await clock.sleep_s(end_s - conversation.port.now_sample() / SAMPLE_RATE_HZ)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await conversation.speaking.wait()
                await clock.sleep_s(_HEARD_S)

    return Attempt(paused, await hold(name, settings, stages, clock, observer, script))


def as_report(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return the figures over all attempts; those with a pause between two sentences are counted beside as well."""
    times = [attempt.voice_to_voice_ms for attempt in attempts]
    cut_in = [attempt for attempt in attempts if attempt.cut_in]
    return {
        "pauses": len(attempts),
        "false_cut_ins": len(cut_in),
        "false_cut_in_share": round(len(cut_in) / max(1, len(attempts)), 3),
        "between_sentences": sum(attempt.paused.ends_sentence for attempt in attempts),
        "false_cut_ins_between_sentences": sum(attempt.paused.ends_sentence for attempt in cut_in),
        "in_one_turn_share": round(sum(attempt.whole for attempt in attempts) / max(1, len(attempts)), 3),
        "unanswered": sum(not attempt.conversation.ended for attempt in attempts),
        "voice_to_voice_ms": summary([time_ms for time_ms in times if time_ms is not None]),
        "cut_in_on": [
            {
                "file": attempt.paused.clip.file.name,
                "pause": f"{attempt.paused.boundary.before.strip()} ... {attempt.paused.boundary.after.strip()}",
                "turns": [turn.user for turn in attempt.conversation.ended],
            }
            for attempt in cut_in
        ],
    }

"""Whether the conversation remembers what was heard: its words against the recording of the speaker.

The recorded part of an interrupted reply is recognised, and its words are laid along those of the whole reply: how far
they reach is how much was heard. A word that the recogniser got wrong does not move that end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from voicebot.audio import Pcm, last_audible_sample, samples_from_ms
from voicebot.bench.wer import normalise
from voicebot.events import TurnEnded
from voicebot.pipeline.recognize import pieces
from voicebot.pipeline.stages import Asr
from voicebot.replay import Conversation
from voicebot.replay.report import first_sound

_MARGIN_SAMPLES: Final = samples_from_ms(200)


@dataclass(frozen=True, slots=True)
class HeardCheck:
    """An interrupted turn: what is remembered of the reply, and what the recording holds of it."""

    session: str
    turn: int
    remembered: str
    recorded: str
    remembered_words: int
    recorded_words: int

    @property
    def difference(self) -> int:
        """By how many words memory and recording differ; positive: more is remembered than was heard."""
        return self.remembered_words - self.recorded_words


async def check_heard(conversation: Conversation, asr: Asr) -> list[HeardCheck]:
    """Compare every interrupted turn of a conversation of whose reply something was audible with the recording."""
    interrupted = [ended for ended in conversation.ended if ended.interrupted and ended.error is None]
    return [await _check(conversation, ended, asr) for ended in interrupted if "audible" in ended.marks]


async def _check(conversation: Conversation, ended: TurnEnded, asr: Asr) -> HeardCheck:
    transcripts = [await asr.transcribe(piece) for piece in pieces(recorded_reply(conversation, ended))]
    recorded = " ".join(transcript.text for transcript in transcripts)
    reply, remembered = normalise(ended.reply), normalise(ended.heard)
    return HeardCheck(
        session=ended.session,
        turn=ended.turn,
        remembered=ended.heard,
        recorded=recorded,
        remembered_words=len(remembered),
        recorded_words=words_reached(reply, normalise(recorded)),
    )


def recorded_reply(conversation: Conversation, ended: TurnEnded) -> Pcm:
    """Return what the speaker played of one reply, and a little silence around it."""
    _, played = conversation.port.recording()
    audible = ended.marks["audible"]
    later = [sound for turn in conversation.ended if (sound := first_sound(turn) or 0) > audible]
    start = max(0, audible - _MARGIN_SAMPLES)
    reply = played[start : min(later, default=len(played))]
    return reply[: (last_audible_sample(reply) or 0) + _MARGIN_SAMPLES]


def words_reached(reply: Sequence[str], recorded: Sequence[str]) -> int:
    """Return how many of the reply's first words fit best to what was recorded.

    It is where the last row of Levenshtein's table between the two is least; of equal places the first, since a word
    half heard was not heard.
    """
    costs = list(range(len(reply) + 1))
    for row, word in enumerate(recorded, 1):
        diagonal, costs[0] = costs[0], row
        for column, expected in enumerate(reply, 1):
            best = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (expected != word))
            diagonal, costs[column] = costs[column], best
    return costs.index(min(costs))


def as_report(checks: Sequence[HeardCheck]) -> dict[str, Any]:
    """Return the figures of the comparison."""
    return {
        "turns": len(checks),
        "most_words_apart": max((abs(check.difference) for check in checks), default=0),
        "words_remembered_unheard": sum(max(0, check.difference) for check in checks),
        "apart": [
            {"session": check.session, "turn": check.turn, "remembered": check.remembered, "recorded": check.recorded}
            for check in checks
            if abs(check.difference) > 1
        ],
    }

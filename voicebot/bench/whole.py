"""The whole: voice to voice over many turns, checked against the recording of what one would have heard."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from voicebot.audio import first_audible_sample, ms_from_samples, voiced_span
from voicebot.latency.percentiles import summary
from voicebot.replay import Clip, Conversation


def repeated(clips: Sequence[Clip], turns: int) -> list[Clip]:
    """Return the clips in order, over and over, until there are as many as turns."""
    return list(itertools.islice(itertools.cycle(clips), turns))


def recomputed_ms(conversation: Conversation) -> list[float | None]:
    """Return the time to the first sound after each clip from the recording alone; None where there is none.

    It runs from the last voiced sample of the clip in the user's channel to the first audible one after it in the
    reply's.
    """
    user, reply = conversation.port.recording()
    ends = [*(spoken.start_sample for spoken in conversation.spoken[1:]), len(user)]
    found: list[float | None] = []
    for spoken, following in zip(conversation.spoken, ends, strict=True):
        span = voiced_span(user[spoken.start_sample : spoken.start_sample + len(spoken.clip.pcm)])
        last_voiced = spoken.start_sample + (span[1] if span is not None else len(spoken.clip.pcm))
        audible = first_audible_sample(reply[last_voiced:following])
        found.append(None if audible is None else ms_from_samples(audible))
    return found


def check(result: dict[str, Any], conversations: Sequence[Conversation], limits_ms: dict[str, float]) -> dict[str, Any]:
    """Return the figures that have limits, their limits, how far recording and report differ, and what failed."""
    turns = result["turns"]
    reported = [turn["voice_to_voice_ms"] for turn in turns]
    first_sounds = [turn["voice_to_voice_ms"] if turn["opener_ms"] is None else turn["opener_ms"] for turn in turns]
    recorded = [value for conversation in conversations for value in recomputed_ms(conversation)]
    differences = [
        abs(one - other)
        for one, other in zip(first_sounds, recorded, strict=False)
        if one is not None and other is not None
    ]
    asr = summary([turn["stage_ms"]["asr"] for turn in turns if "asr" in turn["stage_ms"]])
    whole = result["summary"]["voice_to_voice_ms"]
    figures = {
        "voice_to_voice_p50_ms": whole["p50"],
        "voice_to_voice_p95_ms": whole["p95"],
        "asr_p50_ms": asr["p50"],
        "recording_differs_ms": round(max(differences, default=0.0), 1),
        "unanswered": sum(value is None for value in reported),
    }
    missed = [name for name, limit in limits_ms.items() if figures[name] is None or figures[name] > limit]
    return {"figures": figures, "limits": limits_ms, "missed": missed}

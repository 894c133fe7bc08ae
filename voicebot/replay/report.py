"""The replay contract's object, from what happened in conversations.

Here the truth about the user's speech is known, to the sample: times are counted from the last voiced sample of the
clip, and not from where the voice detector believed it to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicebot.audio import last_audible_sample, ms_from_samples
from voicebot.config.load import Settings
from voicebot.events import TurnEnded, TurnEnergy
from voicebot.latency.marks import MARKS, OPENER_MARK, over_budget
from voicebot.latency.percentiles import summary
from voicebot.replay.conversation import Conversation, Spoken
from voicebot.replay.energies import add_energies

SCHEMA: Final = 1
_INTERRUPTION: Final = ("duck_ms", "pause_ms", "confirm_ms", "stop_ms")
Turn = dict[str, Any]


def report(
    settings: Settings,
    conversations: Sequence[Conversation],
    *,
    rss_mb: float,
    cpu_seconds: float,
    energies: Sequence[TurnEnergy] = (),
    idle_w: float | None = None,
) -> dict[str, Any]:
    """Return the replay contract's object.

    `energies`, `idle_w`: what the turns took, and the box while nobody spoke, as far as is known.
    """
    turns = [turn for conversation in conversations for turn in turns_of(conversation)]
    add_energies(turns, energies)
    return {
        "schema": SCHEMA,
        "pipeline": settings.pipeline_name,
        "profile": settings.profile_name,
        "models": _models(settings),
        "turns": turns,
        "summary": {
            "turns": len(turns),
            "voice_to_voice_ms": summary(_values(turns, "voice_to_voice_ms")),
            "stop_ms": summary(_values(turns, "stop_ms")),
            "false_cut_ins": sum(map(false_cut_ins, conversations)),
            "dropped_frames": sum(conversation.port.dropped_frames for conversation in conversations),
            "rss_mb": round(rss_mb, 1),
            "cpu_seconds": round(cpu_seconds, 2),
            "wasted_cpu_share": _wasted_cpu_share(conversations),
            "idle_w": None if idle_w is None else round(idle_w, 2),
        },
    }


def turns_of(conversation: Conversation) -> list[Turn]:
    """Return what the contract says of each turn, in the order of the clips.

    A request that led to no turn has an entry with an error.
    """
    answered = [(conversation.source(ended), ended) for ended in conversation.ended]
    sources = {spoken for spoken, _ in answered}
    entries = [(spoken, _describe(conversation, spoken, ended)) for spoken, ended in answered]
    entries += [
        (spoken, _unanswered(conversation, spoken))
        for spoken in conversation.spoken
        if spoken not in sources and spoken.clip.role == "request"
    ]
    entries.sort(key=lambda entry: entry[0].start_sample)
    return [turn for _, turn in entries]


def _describe(conversation: Conversation, spoken: Spoken, ended: TurnEnded) -> Turn:
    truth = spoken.speech_end_sample
    marks_ms = {name: _ms(ended.marks[name] - truth) if name in ended.marks else None for name in MARKS}
    voice_to_voice_ms = None if ended.error else marks_ms["audible"]
    stage_ms = {**ended.stage_ms}
    if marks_ms["committed"] is not None:
        stage_ms["endpoint"] = marks_ms["committed"]
    budget = conversation.settings.pipeline.budget
    return {
        "file": str(spoken.clip.file),
        "session": ended.session,
        "turn": ended.turn,
        "revisions": ended.revisions,
        "user": ended.user,
        "reply": ended.reply,
        "heard": ended.heard,
        "source": ended.source,
        "interrupted": ended.interrupted,
        "voice_to_voice_ms": voice_to_voice_ms,
        "marks_ms": marks_ms,
        "stage_ms": {stage: round(duration, 1) for stage, duration in stage_ms.items()},
        "opener_ms": _ms(ended.marks[OPENER_MARK] - truth) if OPENER_MARK in ended.marks else None,
        "over_budget": list(over_budget(stage_ms, voice_to_voice_ms, budget)),
        "missed": dict(ended.missed),
        "ladder": dict(ended.ladder),
        "requests_ms": [[stage, round(careful, 1), round(took, 1)] for stage, careful, took in ended.requests_ms],
        **_describe_interruption(conversation, ended),
        "resumed": ended.turn in conversation.resumed,
        "error": ended.error,
    }


def _describe_interruption(conversation: Conversation, ended: TurnEnded) -> Turn:
    found = conversation.interruptions.get(ended.turn)
    audible = first_sound(ended)
    if found is None or audible is None:
        return dict.fromkeys(_INTERRUPTION)
    speakers = conversation.speakers(found)
    onset = speakers[-1].speech_start_sample(audible) if speakers else found.speech_sample
    following = [sound for later in conversation.ended if (sound := first_sound(later) or 0) > audible]
    _, reply = conversation.port.recording()
    last = last_audible_sample(reply[: min(following, default=len(reply))])
    return {
        "duck_ms": None if found.ducked_sample is None else _ms(found.ducked_sample - onset),
        "pause_ms": None if found.paused_sample is None else _ms(found.paused_sample - onset),
        "confirm_ms": _ms(found.confirmed_sample - onset),
        "stop_ms": None if last is None else _ms(max(0, last - onset)),
    }


def _unanswered(conversation: Conversation, spoken: Spoken) -> Turn:
    return {
        "file": str(spoken.clip.file),
        "session": conversation.name,
        "turn": 0,
        "revisions": 0,
        "user": "",
        "reply": "",
        "heard": "",
        "source": "slm",
        "interrupted": False,
        "voice_to_voice_ms": None,
        "marks_ms": dict.fromkeys(MARKS),
        "stage_ms": {},
        "opener_ms": None,
        "over_budget": [],
        "missed": {},
        "ladder": {},
        "requests_ms": [],
        **dict.fromkeys(_INTERRUPTION),
        "resumed": False,
        "error": "no words were heard in this clip.",
    }


def false_cut_ins(conversation: Conversation) -> int:
    """Return how many replies, or openers of them, began before their clip was spoken to its end."""
    began = [(first_sound(ended), conversation.source(ended)) for ended in conversation.ended]
    return sum(sound is not None and sound < spoken.speech_end_sample for sound, spoken in began)


def first_sound(ended: TurnEnded) -> int | None:
    """Return the first audible sample of a reply or of the opener before it."""
    return ended.marks.get(OPENER_MARK, ended.marks.get("audible"))


def _wasted_cpu_share(conversations: Sequence[Conversation]) -> float | None:
    """Return the share of the stages' processor time that was thrown away; None where they took none."""
    ledgers = [conversation.work for conversation in conversations]
    spent_s = sum(ledger.cpu_s for ledger in ledgers)
    return round(sum(ledger.wasted_cpu_s for ledger in ledgers) / spent_s, 3) if spent_s else None


def _models(settings: Settings) -> Mapping[str, str]:
    sections = settings.pipeline.heavy_stages
    named = {
        stage: "scripted" if section.engine == "scripted" else section.model for stage, section in sections.items()
    }
    return named | {stage: section.uri for stage, section in settings.pipeline.remote_stages.items()}


def _values(turns: Sequence[Turn], key: str) -> list[float]:
    return [turn[key] for turn in turns if turn[key] is not None]


def _ms(samples: int) -> float:
    return round(ms_from_samples(samples), 1)

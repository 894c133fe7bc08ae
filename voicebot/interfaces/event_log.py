"""What becomes a line of the log: each turn with its figures, and what happens to the workers. It has no words."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from voicebot.events import Event, TurnEnded, WorkerChanged
from voicebot.latency.marks import voice_to_voice_ms

_log = logging.getLogger(__name__)


def log_event(event: Event) -> None:
    """Log an event, with fields for the journal. It is an observer."""
    match event:
        case TurnEnded():
            _log.info("%s", _line(event), extra={"fields": _fields(event)})
        case WorkerChanged(state="died"):
            fields = {"stage": event.stage}
            _log.warning("the %s worker died (%s); it is replaced", event.stage, event.reason, extra={"fields": fields})
        case WorkerChanged(state="ready"):
            fields = {"stage": event.stage}
            _log.info("the %s worker is ready (process %s)", event.stage, event.pid, extra={"fields": fields})
        case _:
            pass


def _line(turn: TurnEnded) -> str:
    waited_ms = voice_to_voice_ms(turn.marks, turn.speech_end_sample)
    parts = [
        f"{turn.session}: turn {turn.turn} {_outcome(turn)}",
        "" if waited_ms is None else f"voice to voice {waited_ms:.0f} ms",
        f"over budget: {', '.join(turn.over_budget)}" if turn.over_budget else "",
    ]
    return "; ".join(filter(None, parts))


def _fields(turn: TurnEnded) -> dict[str, object]:
    waited_ms = voice_to_voice_ms(turn.marks, turn.speech_end_sample)
    return {
        "session": turn.session,
        "turn": turn.turn,
        "source": turn.source,
        "outcome": _outcome(turn),
        "revisions": turn.revisions,
        "voice_to_voice_ms": None if waited_ms is None else round(waited_ms),
        **{f"{stage}_ms": round(took_ms) for stage, took_ms in turn.stage_ms.items()},
        "over_budget": " ".join(turn.over_budget) or None,
        "missed": _pairs(turn.missed),
        "ladder": _pairs(turn.ladder),
        "error": turn.error,
    }


def _outcome(turn: TurnEnded) -> str:
    return "failed" if turn.error else "interrupted" if turn.interrupted else "finished"


def _pairs(values: Mapping[str, str]) -> str | None:
    return " ".join(f"{name}={value}" for name, value in values.items()) or None

"""One utterance and its reply, as the session counts it."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.config.pipeline import BudgetSettings
from voicebot.events import TurnEnded
from voicebot.latency.marks import over_budget, stage_durations_ms, voice_to_voice_ms
from voicebot.pipeline.draft import Draft
from voicebot.pipeline.revision import Revision


@dataclass(slots=True)
class Turn:
    """A turn that is under way. Moments are samples of the session's timeline."""

    number: int
    onset_sample: int
    speech_end_sample: int = 0
    revisions: int = 0
    in_doubt: bool = False
    """The evidence asks for a long silence."""
    draft: Draft | None = None
    """What was prepared for a revision that was dropped."""

    def ended(self, session: str, revision: Revision, budget: BudgetSettings, *, interrupted: bool) -> TurnEnded:
        """Return what is told of the turn at its end."""
        marks = revision.marks.samples
        durations_ms = stage_durations_ms(marks, self.speech_end_sample)
        total_ms = voice_to_voice_ms(marks, self.speech_end_sample)
        late = over_budget(durations_ms, total_ms, budget)
        return TurnEnded(
            session=session,
            turn=self.number,
            revisions=self.revisions,
            user=revision.text,
            reply=revision.reply.text,
            heard=revision.reply.heard,
            source=revision.source,
            interrupted=interrupted,
            speech_end_sample=self.speech_end_sample,
            marks=marks,
            stage_ms=durations_ms,
            over_budget=late,
            error=revision.error,
            missed=revision.plan.ended(late, durations_ms, marks, budget),
            ladder=revision.plan.rungs,
            requests_ms=tuple((one.stage, 1000 * one.careful_s, 1000 * one.seconds) for one in revision.plan.spent),
        )

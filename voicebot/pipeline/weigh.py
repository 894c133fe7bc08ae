"""What speaks for the user having finished: the text by the language model, the voice by the end-of-turn model."""

from __future__ import annotations

from typing import Final

from voicebot.assistant.history import History
from voicebot.audio import Pcm
from voicebot.errors import VoicebotError
from voicebot.pipeline.draft import Draft
from voicebot.pipeline.recognize import Recognized
from voicebot.pipeline.stages import Slm, TurnModel
from voicebot.turn.endpoint import Evidence, Voice

_FINAL_SIGNS: Final = " .?!…"


async def weigh_text(
    slm: Slm, history: History, draft: Draft, said: Recognized, speech_s: float, session: str = ""
) -> Evidence:
    """Return what the text tells, without the voice.

    The prefill that it takes is not lost: the reply is generated from there.
    """
    if draft.text_end is None:
        draft.text_end = await slm.end_probability(history.messages(unfinished(draft.text)), session=session)
    return Evidence(draft.text, draft.text_end, said.mean_logprob, speech_s)


async def weigh_voice(model: TurnModel | None, pcm: Pcm) -> Voice | None:
    """Return how the voice sounded at the pause; None when there is no model for it, or it has failed."""
    if model is None:
        return None
    try:
        judged = await model.judge(pcm)
    except VoicebotError:
        return None
    return Voice(judged.probability, judged.pitch_semitones, judged.level_db, judged.change)


def unfinished(text: str) -> str:
    """Return the text as if it could go on; recognisers put a full stop after anything."""
    return text.rstrip(_FINAL_SIGNS)

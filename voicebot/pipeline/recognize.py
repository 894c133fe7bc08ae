"""From the audio of a revision to the user's words."""

from __future__ import annotations

import re
from typing import Final

from voicebot.audio import Pcm
from voicebot.pipeline.stages import Asr

_NO_WORDS: Final = re.compile(r"[\[(*♪].*?[\])*♪]")
"""What recognisers write for sounds that are no words: [BLANK_AUDIO], (coughs), *music*."""


async def recognize(asr: Asr, pcm: Pcm) -> str:
    """Return the words in a revision's audio; empty when there are none."""
    transcript = await asr.transcribe(pcm)
    words = " ".join(_NO_WORDS.sub(" ", transcript.text).split())
    return words if any(map(str.isalnum, words)) else ""

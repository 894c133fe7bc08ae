"""A scripted conversation in virtual time: what our own code costs, without any model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import hum
from voicebot.events import ignore
from voicebot.replay import Clip, Conversation, hold, speak_in_turn

_UTTERANCE_S: Final = 2


def measure_virtual(settings: Settings, minutes: float) -> dict[str, Any]:
    """Return how long a scripted conversation of as many minutes takes to replay."""
    clip = Clip.of(Path("hum"), hum(_UTTERANCE_S * SAMPLE_RATE_HZ))

    async def converse() -> Conversation:
        clock = LoopClock()

        async def script(conversation: Conversation) -> None:
            while conversation.port.now_sample() < minutes * 60 * SAMPLE_RATE_HZ:
                await speak_in_turn(conversation, [clip], clock)

        return await hold("virtual", settings, scripted_stages(clock), clock, ignore, script)

    began_s = time.perf_counter()
    conversation = run_virtual(converse())
    return {
        "minutes": minutes,
        "turns": len(conversation.ended),
        "took_s": round(time.perf_counter() - began_s, 3),
    }

"""Every stage of the shipped pipeline does its work with the Internet forbidden to it; prints what was made of it."""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np

from tests.no_internet import forbid_internet_sockets


async def main() -> dict[str, object]:
    """Speak a sentence, hear it, judge its end and answer it."""
    from voicebot.clock import LoopClock  # noqa: PLC0415 - after the filter, as all that they load
    from voicebot.config.box import BoxSettings  # noqa: PLC0415
    from voicebot.config.load import Settings, load_settings  # noqa: PLC0415
    from voicebot.daemon import open_stages  # noqa: PLC0415
    from voicebot.engines.protocols import Message  # noqa: PLC0415
    from voicebot.events import ignore  # noqa: PLC0415
    from voicebot.models.catalogue import load_catalogue  # noqa: PLC0415
    from voicebot.models.store import Store  # noqa: PLC0415

    box = BoxSettings.model_validate({"power": {"enabled": False}, "scheduling": {"enabled": False}})
    settings = Settings("assistant", "voicebot", load_settings().pipeline, box)
    root = Store.default_root()
    async with open_stages(settings, Store(root, load_catalogue(root)), LoopClock(), ignore) as stages:
        spoken = [speech.pcm async for speech in stages.tts.synthesize("What is the capital of France?", first=True)]
        pcm = np.concatenate(spoken)
        stages.make_detector().probability(pcm[: stages.make_detector().chunk_samples])
        stages.make_gate()
        heard = (await stages.asr.transcribe(pcm)).text
        answer = [piece async for piece in stages.slm.generate((Message("user", heard),), 20)]
        ended = None if stages.turn is None else (await stages.turn.judge(pcm)).probability
        return {"heard": heard, "answer": "".join(answer), "ended": ended}


if __name__ == "__main__":
    forbid_internet_sockets()
    sys.stdout.write(json.dumps(asyncio.run(main())))

"""`voicebot run`: the daemon, which listens until it is told to stop."""

from __future__ import annotations

import asyncio

from voicebot.cli.common import PipelineOption, ProfileOption, load, open_store
from voicebot.serve import serve


def run(*, pipeline: PipelineOption = "assistant", profile: ProfileOption = "voicebot") -> None:
    """Listen at this box's microphone and answer, until SIGTERM or Ctrl-C."""
    settings = load(pipeline, profile)
    asyncio.run(serve(settings, open_store(settings)))

"""`voicebot run`: the daemon, which listens until it is told to stop."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import closing, nullcontext

from voicebot.cli.common import PipelineOption, ProfileOption, load, open_store
from voicebot.config.load import load_settings
from voicebot.config.runtime import runtime_folder
from voicebot.interfaces.notify import Notifier
from voicebot.interfaces.single import only_one
from voicebot.serve import serve

_log = logging.getLogger(__name__)


def run(*, pipeline: PipelineOption = "assistant", profile: ProfileOption = "voicebot") -> None:
    """Listen at this box's microphone and answer, until SIGTERM or Ctrl-C. SIGHUP reads the settings again."""
    settings = load(pipeline, profile)
    folder = runtime_folder()
    if folder is None:
        _log.warning("nobody will be able to ask this daemon anything: set $XDG_RUNTIME_DIR to a folder of yours")
    with closing(Notifier()) as notifier, nullcontext() if folder is None else only_one(folder):
        again = functools.partial(load_settings, pipeline, profile)
        asyncio.run(serve(settings, open_store(settings), folder, again, notifier))

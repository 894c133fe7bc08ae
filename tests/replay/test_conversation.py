"""What is kept of a replayed conversation, and what is let go."""

from __future__ import annotations

import gc
import weakref

from tests.replayed import SCRIPTED, clip
from tests.virtual_conversation import CLOCK
from voicebot.clock import run_virtual
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.daemon import scripted_stages
from voicebot.events import ignore
from voicebot.pipeline.session import Session
from voicebot.replay import Conversation, hold, speak_in_turn


def test_the_session_is_let_go_and_what_it_remembers_is_kept() -> None:
    sessions: list[weakref.ref[Session]] = []

    async def script(conversation: Conversation) -> None:
        sessions.append(weakref.ref(conversation.session))
        await speak_in_turn(conversation, [clip("a.wav", 800)], CLOCK)

    settings = Settings("scripted", "voicebot", SCRIPTED, BoxSettings())
    over = run_virtual(hold("one", settings, scripted_stages(CLOCK), CLOCK, ignore, script))
    gc.collect()
    assert sessions[0]() is None, "it holds megabytes"
    (turn,) = over.ended
    assert (over.name, over.remembered) == ("one", [(turn.user, turn.heard)])

"""Push to talk, as the interfaces offer it."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.control_scene import Client, serving, until
from tests.replayed import SCRIPTED
from voicebot.config.pipeline import PipelineSettings
from voicebot.events import AttentionChanged, Event

PUSH = PipelineSettings.model_validate({**SCRIPTED.model_dump(), "wake": {"mode": "push"}})


async def attention(client: Client) -> tuple[bool, float]:
    told = (await client.ask("sessions"))["result"]["sessions"]["local"]
    return told["attentive"], told["attentive_s"]


async def test_pressed_and_released(tmp_path: Path) -> None:
    events: list[Event] = []
    async with serving(tmp_path, sessions=("kitchen", "local"), pipeline=PUSH) as daemon, daemon.client() as client:
        daemon.service.watch(events.append)
        assert await attention(client) == (False, 0)
        assert (await client.ask("listen"))["result"] == {"session": "local"}
        attentive, for_s = await attention(client)
        assert attentive
        assert PUSH.wake.window_s - 2 < for_s <= PUSH.wake.window_s
        assert (await client.ask("unlisten"))["result"] == {"session": "local"}
        assert (await client.ask("listen", session="kitchen"))["result"] == {"session": "kitchen"}
        assert "no session 'attic'" in (await client.ask("listen", session="attic"))["error"]
        await until(lambda: len(events) >= 3)
    told = [(event.session, event.attentive) for event in events if isinstance(event, AttentionChanged)]
    assert told == [("local", True), ("local", False), ("kitchen", True)]


async def test_it_does_no_harm_where_everybody_is_heard(tmp_path: Path) -> None:
    events: list[Event] = []
    async with serving(tmp_path) as daemon, daemon.client() as client:
        daemon.service.watch(events.append)
        assert (await client.ask("listen"))["ok"]
    assert [event for event in events if isinstance(event, AttentionChanged)] == []

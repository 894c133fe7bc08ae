"""What a page is told, and what becomes of one that does not listen, or talks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientWebSocketResponse, WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interfaces.web.scene import PATIENCE_S, REPLY, HurriedClock, Scene, serving, until
from voicebot.events import PartiallyTranscribed, StateChanged, TurnEnergy
from voicebot.interfaces.web.live import MOST_PAGES, MOST_WAITING, SCHEMA

TOLD_OF_A_QUESTION: Final = [
    *("turn_committed", "reply_begun", "clause_synthesised", "reply_synthesised", "reply_audible", "turn_ended"),
]


async def opened(scene: Scene) -> ClientWebSocketResponse:
    return await scene.browser.ws_connect(f"{scene.url}/api/live")


async def until_told(page: ClientWebSocketResponse, event: str) -> list[dict[str, Any]]:
    """Return all messages up to the first of that event, and that."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["event"] != event:
        told.append(await page.receive_json(timeout=60))
    return told


async def test_a_page_is_told_all_that_happens(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        page = await opened(scene)
        hello, status = await page.receive_json(), await page.receive_json()
        assert (hello["event"], hello["schema"], hello["turns"]) == ("hello", SCHEMA, [])
        assert hello["budget"]["total_ms"] == 700
        assert (status["event"], status["status"]["sessions"]["local"]["state"]) == ("status", "idle")
        await scene.post("/api/ask", {"text": "What is it?"})
        told = await until_told(page, "turn_ended")
        turn = told[-1]
        told += await until_told(page, "state_changed")
        assert [one["event"] for one in told if one["event"] in TOLD_OF_A_QUESTION] == TOLD_OF_A_QUESTION
        assert [one["state"] for one in told if one["event"] == "state_changed"] == ["thinking", "speaking", "idle"]
        assert (turn["user"], turn["heard"], turn["budget_ms"]) == ("What is it?", REPLY, 700)
        assert 0 <= turn["marks_ms"]["committed"] < turn["marks_ms"]["audible"]
        assert turn["marks_ms"]["audible"] == round(turn["voice_to_voice_ms"], 1) > 0


async def test_a_page_is_told_the_words_while_they_are_spoken(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        page = await opened(scene)
        scene.watchers(PartiallyTranscribed("local", 1, 320, "what is"))
        told = (await until_told(page, "partially_transcribed"))[-1]
    assert (told["session"], told["text"]) == ("local", "what is")


async def test_a_page_that_comes_later_is_told_of_the_latest_turns(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        await scene.post("/api/ask", {"text": "What is it?"})
        scene.watchers(TurnEnergy("local", 1, 1.234, measured=True))
        hello = await (await opened(scene)).receive_json()
        assert [(turn["reply"], turn["energy_j"]) for turn in hello["turns"]] == [(REPLY, 1.23)]


async def test_the_status_is_told_when_it_is_another_one(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=HurriedClock()) as scene:
        page = await opened(scene)
        await until_told(page, "status")
        scene.service.set_volume(35)
        while (await until_told(page, "status"))[-1]["status"]["volume"] != 35:
            pass
        before = scene.web.status()
        assert before["pages"] == 1


async def test_a_page_that_does_not_listen_is_cut_off_and_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        deaf, other = await opened(scene), await opened(scene)
        await until(lambda: scene.web.status()["pages"] == 2)
        await until_told(other, "status")
        # Its messages pile up in the sockets first: nobody has to wait for that.
        async with asyncio.timeout(PATIENCE_S):
            while scene.web.status()["pages"] == 2:
                for _ in range(MOST_WAITING // 2):
                    scene.watchers(StateChanged("local", 0, "x" * 5000))
                scene.service.set_volume(35)
                assert (await until_told(other, "volume_changed"))[-1]["percent"] == 35
        await until(lambda: scene.web.status()["queued"] == 0)
        assert (await scene.get("/healthz")).status == 200
        await deaf.close()


async def test_there_are_only_so_many_pages(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        pages = [await opened(scene) for _ in range(MOST_PAGES)]
        await until(lambda: scene.web.status()["pages"] == MOST_PAGES)
        answer = await scene.get("/api/live")
        assert (answer.status, "already" in (await answer.json())["error"]) == (503, True)
        await pages[0].close()
        await until(lambda: scene.web.status()["pages"] < MOST_PAGES)
        assert (await (await opened(scene)).receive_json())["event"] == "hello"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.text(max_size=2000) | st.binary(max_size=2000))
def test_a_page_that_talks_is_shown_out(tmp_path: Path, said: str | bytes) -> None:
    async def main() -> None:
        async with serving(tmp_path) as scene:
            page = await opened(scene)
            await (page.send_str(said) if isinstance(said, str) else page.send_bytes(said))
            while (await page.receive(60)).type is WSMsgType.TEXT:
                pass
            assert page.close_code in {1008, 1009}
            await until(lambda: scene.web.status()["pages"] == 0)

    asyncio.run(main())

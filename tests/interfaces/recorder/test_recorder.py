"""The recorder follows conversations, writes what happened, and holds nothing when it is off."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from tests.interfaces.recorder.scene import NOON, REPLY, Scene, at_once, during
from tests.virtual_conversation import CLOCK, FailingModel
from voicebot.audio import samples_from_ms
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import run_virtual
from voicebot.config.recorder import RecorderSettings
from voicebot.engines.scripted import hum
from voicebot.interfaces.recorder.file import read_recording
from voicebot.interfaces.recorder.recording import Recording, RecordingError
from voicebot.interfaces.recorder.table_check import check_table
from voicebot.turn.table import State


def told(recording: Recording, name: str) -> list[dict[str, Any]]:
    events = [dict(record.event) for record in recording.records if record.event is not None]
    return [event for event in events if event["event"] == name]


def test_a_conversation_is_written_as_it_happened_and_the_table_decides_the_same_again(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.speak()
        scene.port.say(hum(samples_from_ms(1000)))
        await scene.until(State.SPEAKING)
        scene.port.say(hum(samples_from_ms(1500)))  # speech over the reply
        await CLOCK.sleep_s(6)
        await scene.service.say("Dinner is ready.")
        recording = await scene.saved()
        assert (recording.header.reason, recording.header.audio, recording.sounds) == ("asked for", {}, {})
        assert [turn["reply"] for turn in told(recording, "turn_ended")][:1] == [REPLY]
        assert all("soft_end" in turn["marks"] for turn in told(recording, "turn_ended")[:1])
        decided = [record.decision for record in recording.records if record.decision is not None]
        assert {"speech started", "soft end", "end of turn", "prompted", "reply ended"} <= {
            one.event for one in decided
        }
        assert {record.session for record in recording.records if record.decision is not None} == {"1-local"}
        assert [one.at_sample for one in decided] == sorted(one.at_sample for one in decided)
        ages_s = [record.ago_s for record in recording.records]
        assert ages_s == sorted(ages_s, reverse=True)
        check = check_table(recording)
        assert (check.decisions, check.differences) == (len(decided), [])

    scene = during(tmp_path, script)
    assert scene.files == ["recording-20261122T120000Z.jsonl"]
    assert (scene.folder / scene.files[0]).stat().st_mode & 0o777 == 0o600
    assert scene.folder.stat().st_mode & 0o777 == 0o700


def test_the_sound_of_both_sides_is_where_it_was_on_the_timeline(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.speak(1000)
        recording = await scene.saved()
        (turn,) = told(recording, "turn_ended")
        span, sound = recording.header.audio["1-local"], recording.sounds["1-local"]
        assert sound.shape == (span.samples, 2)
        microphone, speaker = sound[:, 0], sound[:, 1]
        loud = np.flatnonzero(np.abs(microphone.astype(int)) > 1000) + span.start_sample
        assert abs(int(loud[-1]) - turn["speech_end_sample"]) < samples_from_ms(60)
        assert np.flatnonzero(np.abs(speaker.astype(int)) > 328)[0] + span.start_sample == turn["marks"]["audible"]
        assert recording.speech_ends("1-local") == [turn["speech_end_sample"] - span.start_sample]

    assert during(tmp_path, script, audio=True).files == ["recording-20261122T120000Z.zip"]


def test_a_muted_microphone_is_recorded_as_silence(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        scene.service.mute(muted=True)
        scene.port.say(hum(samples_from_ms(1000)))
        await CLOCK.sleep_s(1.5)
        sound = (await scene.saved()).sounds["1-local"]
        assert sound[: samples_from_ms(400), 0].any(), "the quiet room, before"
        assert not sound[samples_from_ms(520) :].any()

    during(tmp_path, script, audio=True)


def test_only_the_latest_minutes_are_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.speak()
        await CLOCK.sleep_s(50)
        await scene.speak()
        await CLOCK.sleep_s(30)
        recording = await scene.saved()
        assert [turn["turn"] for turn in told(recording, "turn_ended")] == [2]
        assert recording.records[0].ago_s <= 60
        assert recording.header.audio["1-local"].samples <= samples_from_ms(60_000)
        assert check_table(recording).differences == []
        await CLOCK.sleep_s(600)
        assert scene.recorder.status()["memory_mb"] < 10

    during(tmp_path, script, minutes=1, audio=True)


def test_who_comes_again_under_a_name_is_another_one(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for _ in range(2):
            async with scene.service.open_session("kitchen", ReplayPort(CLOCK)):
                asking = asyncio.ensure_future(scene.service.ask("Who?", "kitchen"))
                while scene.service.sessions["kitchen"].state is not State.SPEAKING:
                    await CLOCK.sleep_s(0.01)
            assert asking.cancelled() or asking.done()
        recording = await scene.saved()
        assert {record.session for record in recording.records} >= {"2-kitchen", "3-kitchen"}
        assert check_table(recording).differences == []

    during(tmp_path, script)


def test_a_turn_that_failed_is_written_by_itself_once_in_so_many_minutes(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.speak()
        await scene.speak()
        await CLOCK.sleep_s(1)
        (file,) = scene.files
        recording = read_recording(scene.folder / file)
        assert recording.header.reason == "a turn ended with an error"
        assert told(recording, "turn_ended")[-1]["error"] == "the language model failed."

    during(tmp_path, script, slm=FailingModel(failures=2), on_error=True)


def test_a_turn_that_failed_is_not_written_unless_that_is_wanted(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.speak()
        await CLOCK.sleep_s(1)

    assert during(tmp_path, script, slm=FailingModel()).files == []


def test_what_can_not_be_written_is_one_sentence_and_the_recorder_goes_on(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        scene.folder.write_text("in the way")
        with pytest.raises(RecordingError, match=r"^the recording can't be written \(File exists\)\.$"):
            await scene.saved()
        scene.folder.unlink()
        assert (await scene.saved()).header.schema_ == 1

    during(tmp_path, script)


def test_nothing_is_held_once_it_has_ended(tmp_path: Path) -> None:
    async def main() -> None:
        scene = Scene(tmp_path, RecorderSettings(enabled=True, audio=True))
        async with scene.service.open_session("local", scene.port) as session:
            assert session.machine.observer is None, "it is not on"
            running = asyncio.create_task(scene.recorder.run())
            await scene.service.ask("Who?")
            assert session.machine.observer is not None
            assert scene.service.status()["recorder"]["memory_mb"] > 0
            running.cancel()
            await asyncio.wait([running])
            assert session.machine.observer is None
            assert scene.recorder.status()["memory_mb"] == 0
            assert "recorder" not in scene.service.status()
            assert scene.service.save_recording is None
            await scene.service.ask("Who?")
            assert scene.recorder.status()["memory_mb"] == 0
            with pytest.raises(RecordingError, match="nothing is recorded"):
                await scene.recorder.save()

    with patch("asyncio.to_thread", at_once):
        run_virtual(main())


def test_while_it_is_off_it_only_removes_what_is_too_old(tmp_path: Path) -> None:
    async def main() -> None:
        scene = Scene(tmp_path, RecorderSettings(retention_hours=1))
        scene.folder.mkdir()
        for minutes in (30, 90):
            when = NOON - timedelta(minutes=minutes)
            file = scene.folder / f"recording-{when:%Y%m%dT%H%M%SZ}.zip"
            file.touch()
            os.utime(file, (when.timestamp(), when.timestamp()))
        running = asyncio.create_task(scene.recorder.run())
        await CLOCK.sleep_s(1)
        assert scene.files == ["recording-20261122T113000Z.zip"]
        assert scene.service.save_recording is None
        (scene.folder / scene.files[0]).unlink()
        await running  # nothing is left to be removed

    with patch("asyncio.to_thread", at_once):
        run_virtual(main())


async def test_only_one_is_written_at_a_time_and_who_leaves_does_not_end_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path, RecorderSettings(enabled=True))
    running = asyncio.create_task(scene.recorder.run())
    await asyncio.sleep(0)
    assert scene.service.save_recording is not None
    first = asyncio.create_task(scene.recorder.save())
    await asyncio.sleep(0)
    with pytest.raises(RecordingError, match="being written already"):
        await scene.recorder.save()
    first.cancel()
    while not scene.recorder.status()["last_file"]:
        await CLOCK.sleep_s(0.001)
    assert (await asyncio.to_thread(read_recording, Path(scene.recorder.status()["last_file"]))).header.minutes == 10
    running.cancel()
    await asyncio.wait([running])

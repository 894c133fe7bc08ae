"""What of the assistant's events is told, and in which words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.interfaces.mqtt.scene import turn
from voicebot.events import (
    Event,
    FramesDropped,
    PartiallyTranscribed,
    StateChanged,
    Transcribed,
    TurnCommitted,
    TurnEnergy,
    WorkerChanged,
)
from voicebot.interfaces.mqtt import payloads
from voicebot.interfaces.mqtt.news import News
from voicebot.interfaces.mqtt.topics import Message, Topics

SCHEMAS = Path(__file__).parents[3] / "docs/schemas/mqtt.json"
TOPICS = Topics("box")
MODELS: dict[str, type[BaseModel]] = {
    TOPICS.state: payloads.State,
    TOPICS.partial: payloads.Transcript,
    TOPICS.final: payloads.Transcript,
    TOPICS.reply: payloads.Reply,
    TOPICS.latency: payloads.Latency,
    TOPICS.energy: payloads.Energy,
    TOPICS.turn: payloads.Turn,
    TOPICS.error: payloads.Failure,
}


def told(*events: Event, news: News | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Return topics and payloads, each valid by its model."""
    news = news or News(TOPICS)
    messages: list[Message] = []
    for event in events:
        messages += [*news.live(event), *news.lasting(event)]
    for message in messages:
        MODELS[message.topic].model_validate_json(message.payload)
    return [(message.topic.removeprefix("box/"), json.loads(message.payload)) for message in messages]


def states(*events: Event, news: News | None = None) -> list[str]:
    return [payload["state"] for topic, payload in told(*events, news=news) if topic == "state"]


def at(state: str, session: str = "local") -> StateChanged:
    return StateChanged(session, 0, state)


def test_the_documented_schemas_are_those_of_the_code() -> None:
    made = json.dumps(payloads.json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMAS.read_text() == made, "write json_schema() of voicebot/interfaces/mqtt/payloads.py to that file"


def test_it_begins_with_what_there_is() -> None:
    news = News(TOPICS, muted=True, sessions={"local": "idle", "kitchen": "overlap"})
    assert json.loads(news.state().payload) == {
        "state": "speaking",
        "sessions": {"local": "idle", "kitchen": "speaking"},
    }
    assert states(at("closed", "kitchen"), news=news) == ["muted"]


def test_a_dead_worker_shows_until_another_is_ready() -> None:
    changes = ["loading", "ready", "died", "loading", "ready"]
    assert states(*[WorkerChanged("asr", change, 1, "") for change in changes]) == [
        *("idle", "idle", "broken", "broken", "idle"),
    ]


def test_a_worker_that_died_is_an_error_event() -> None:
    topic, payload = told(WorkerChanged("asr", "died", None, "killed by signal 9"))[-1]
    assert topic == "event/error"
    assert (payload["stage"], payload["message"], payload["turn"]) == ("asr", "killed by signal 9", None)


def test_a_transcript_is_final_with_its_commit() -> None:
    heard: list[Event] = [
        PartiallyTranscribed("local", 1, 320, "wha"),
        Transcribed("local", 1, 1, "what"),
        Transcribed("local", 1, 2, "what time"),
        TurnCommitted("local", 1, 2, 0),
    ]
    assert [(topic, payload["revision"], payload["text"]) for topic, payload in told(*heard)] == [
        ("transcript/partial", None, "wha"),
        ("transcript/partial", 1, "what"),
        ("transcript/partial", 2, "what time"),
        ("transcript/final", 2, "what time"),
    ]


def test_a_commit_of_what_was_not_heard_is_no_transcript() -> None:
    assert told(TurnCommitted("local", 1, 1, 0)) == []
    assert [topic for topic, _ in told(Transcribed("local", 1, 1, "what"), TurnCommitted("local", 1, 2, 0))] == [
        "transcript/partial"
    ]


def test_a_turn_is_told_whole_and_named_for_good() -> None:
    before = datetime.now(UTC)
    first, second = (dict(told(turn(number)))["event/turn"] for number in (1, 2))
    assert (first["user"], first["reply"], first["voice_to_voice_ms"]) == ("what time is it", "It is noon.", 500.0)
    assert first["id"] != second["id"]
    assert abs((datetime.fromisoformat(first["at"]) - before).total_seconds()) < 60


def test_a_turn_has_its_reply_and_latency() -> None:
    assert [topic for topic, _ in told(turn(user=""))] == ["reply", "latency", "event/turn"]
    assert [topic for topic, _ in told(turn(user="", source="say"))] == ["reply", "event/turn"]
    assert [topic for topic, _ in told(turn(user="", marks={}))] == ["reply", "event/turn"]


def test_each_turn_has_one_transcript_spoken_or_typed() -> None:
    spoken: list[Event] = [Transcribed("local", 1, 1, "hello"), TurnCommitted("local", 1, 1, 0), turn(1, user="hello")]
    typed: list[Event] = [TurnCommitted("local", 2, 1, 0), turn(2, user="good bye")]
    finals = [payload for topic, payload in told(*spoken, *typed) if topic == "transcript/final"]
    assert [(payload["turn"], payload["text"]) for payload in finals] == [(1, "hello"), (2, "good bye")]


def test_a_turn_that_failed_is_an_error_event_too() -> None:
    error = dict(told(turn(error="the language model failed.")))["event/error"]
    assert (error["session"], error["turn"], error["message"]) == ("local", 1, "the language model failed.")


def test_without_texts_nothing_that_was_said_is_told() -> None:
    news = News(TOPICS, texts=False)
    events: list[Event] = [
        PartiallyTranscribed("local", 1, 320, "what time"),
        Transcribed("local", 1, 1, "what time is it"),
        TurnCommitted("local", 1, 1, 0),
        turn(),
    ]
    assert [topic for topic, _ in told(*events, news=news)] == ["latency", "event/turn"]
    assert "noon" not in json.dumps(told(*events, news=news))
    assert "what time" not in json.dumps(told(*events, news=news))


def test_energy_is_summed_up() -> None:
    payload = told(TurnEnergy("local", 1, 7.5, measured=False), TurnEnergy("local", 2, 2.5, measured=False))[-1][1]
    assert (payload["joules"], payload["total_joules"], payload["measured"]) == (2.5, 10.0, False)


def test_nothing_spoken_is_kept_by_the_broker() -> None:
    news = News(TOPICS)
    heard: list[Event] = [
        PartiallyTranscribed("local", 1, 320, "h"),
        Transcribed("local", 1, 1, "hi"),
        TurnCommitted("local", 1, 1, 0),
    ]
    messages = [
        message for event in [*heard, turn(), at("idle")] for message in [*news.live(event), *news.lasting(event)]
    ]
    assert {message.topic for message in messages if message.retain} == {TOPICS.state}


def test_other_events_are_not_told() -> None:
    assert told(FramesDropped("local", 3)) == []

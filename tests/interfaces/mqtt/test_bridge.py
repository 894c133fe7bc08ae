"""The assistant and a real mosquitto: what goes out, what comes in, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.interfaces.mqtt.broker import Mosquitto, running
from tests.interfaces.mqtt.home_assistant import understand
from tests.interfaces.mqtt.scene import REPLY, Assistant, Reader, assistant, bridge_settings, reader, turn, until
from tests.replayed import SCRIPTED
from tests.virtual_conversation import LEAD_IN_S
from voicebot.audio import samples_from_ms
from voicebot.config.wake import WakeSettings
from voicebot.engines.scripted import hum
from voicebot.events import AttentionChanged, Event, TurnEnergy, WorkerChanged
from voicebot.interfaces.mqtt import payloads

TELLING: dict[str, type[BaseModel]] = {
    "state": payloads.State,
    "transcript/partial": payloads.Transcript,
    "transcript/final": payloads.Transcript,
    "reply": payloads.Reply,
    "latency": payloads.Latency,
    "energy": payloads.Energy,
    "power": payloads.Power,
    "temperature": payloads.Temperature,
    "result": payloads.Result,
    "event/turn": payloads.Turn,
    "event/error": payloads.Failure,
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
async def ears(broker: Mosquitto) -> AsyncIterator[Reader]:
    async with reader(broker.port) as ears:
        yield ears


@pytest.fixture
async def box(broker: Mosquitto, ears: Reader, tmp_path: Path) -> AsyncIterator[Assistant]:
    assert ears.messages == []  # who reads along has read from the beginning
    async with assistant(tmp_path, bridge_settings(broker.port), temperature_c=41.25) as box:
        await box.connected()
        yield box


async def test_a_spoken_turn_is_told_from_its_first_word_to_its_end(box: Assistant, ears: Reader) -> None:
    await asyncio.sleep(LEAD_IN_S)
    box.port.say(hum(samples_from_ms(1200)))
    spoken = await ears.reads_about("voicebot/event/turn", source="slm")
    await until(lambda: ears.payloads("voicebot/latency"))
    box.watchers(TurnEnergy("local", 1, 3.0, measured=False))
    box.watchers(WorkerChanged("asr", "died", None, "killed"))
    await ears.reads_about("voicebot/event/error", stage="asr")
    await ears.reads_about("voicebot/energy", joules=3.0)
    assert (spoken["reply"], spoken["sequence"]) == (REPLY, 1)
    spoken_words = ears.objects("voicebot/transcript/partial")
    assert [told["revision"] for told in spoken_words] == [None, 1]
    final = ears.objects("voicebot/transcript/final")
    assert [told["text"] for told in final] == [spoken["user"]]
    states = [told["state"] for told in ears.objects("voicebot/state")]
    assert states == ["idle", "listening", "thinking", "speaking", "idle", "broken"]
    for message in ears.messages:
        if model := TELLING.get(str(message.topic).removeprefix("voicebot/")):
            model.model_validate_json(bytes(message.payload))


async def test_availability_follows_the_bridge(
    broker: Mosquitto, ears: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with assistant(tmp_path, bridge_settings(broker.port)) as box:
        await box.connected()
        await ears.reads("voicebot/availability", "online")
    await ears.reads("voicebot/availability", "offline")
    assert caplog.records == []


async def test_who_comes_later_finds_the_state_and_nothing_spoken(
    box: Assistant, ears: Reader, broker: Mosquitto
) -> None:
    box.watchers(turn())
    await ears.reads_about("voicebot/event/turn", turn=1)
    await ears.reads("voicebot/volume", "100")
    async with reader(broker.port, "voicebot/#") as late:
        await until(lambda: len(late.messages) >= 5)
        kept = {str(message.topic).removeprefix("voicebot/") for message in late.messages}
    assert kept == {"availability", "state", "muted", "volume", "temperature"}
    assert late.objects("voicebot/temperature") == [{"celsius": 41.2}]


@pytest.mark.usefixtures("box")
async def test_a_text_is_said_and_another_answered(ears: Reader) -> None:
    await ears.send("voicebot/command/say", "Dinner is ready.")
    said = await ears.reads_about("voicebot/event/turn", source="say")
    await ears.send("voicebot/command/ask", '{"text": "is it", "session": "local", "id": "7"}')
    result = await ears.reads_about("voicebot/result", command="ask")
    assert (said["heard"], result) == ("Dinner is ready.", {"command": "ask", "id": "7", "error": None, "reply": REPLY})


async def test_switches_are_switched_and_tell_it(box: Assistant, ears: Reader) -> None:
    await ears.send("voicebot/command/mute", "ON")
    await ears.reads("voicebot/muted", "ON")
    assert box.service.muted
    await ears.send("voicebot/command/volume", "40")
    await ears.reads("voicebot/volume", "40")
    assert box.service.volume == 40
    box.service.mute(muted=False)
    box.service.set_volume(70)
    await ears.reads("voicebot/muted", "OFF")
    await ears.reads("voicebot/volume", "70")


async def test_it_listens_while_the_button_is_pressed(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    pipeline = SCRIPTED.model_copy(update={"wake": WakeSettings(mode="push")})
    attentive: list[bool] = []

    def note(event: Event) -> None:
        if isinstance(event, AttentionChanged):
            attentive.append(event.attentive)

    async with assistant(tmp_path, bridge_settings(broker.port), pipeline=pipeline) as box:
        await box.connected()
        box.service.watch(
            lambda event: attentive.append(event.attentive) if isinstance(event, AttentionChanged) else None
        )
        await ears.send("voicebot/command/listen", "PRESS")
        await until(lambda: attentive == [True])
        await ears.send("voicebot/command/listen", "OFF")
        await until(lambda: attentive == [True, False])
        await ears.send("voicebot/command/listen", '{"session": "attic", "id": "9"}')
        wrong = await ears.reads_about("voicebot/result", id="9")
    assert "no session 'attic'" in wrong["error"]


async def test_a_reply_is_stopped(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    reply = "This is a long reply. " * 20
    async with assistant(tmp_path, bridge_settings(broker.port), reply=reply) as box:
        await box.connected()
        await ears.send("voicebot/command/ask", "tell me a story")
        await ears.reads_about("voicebot/state", state="speaking")
        await ears.send("voicebot/command/stop", "PRESS")
        ended = await ears.reads_about("voicebot/event/turn", interrupted=True)
    assert ended["heard"] != ended["reply"]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("command", "payload", "why"),
    [
        ("sing", "", "no command 'sing'"),
        ("volume", "200", "0 to 100"),
        ("say", "", "empty"),
        ("ask", '{"text": "hi", "session": "attic"}', "no session 'attic'"),
        ("stop", '{"session": "attic"}', "no session 'attic'"),
        ("say", "x" * 1001, "1000 are the most"),
    ],
)
async def test_what_is_wrong_with_a_command_is_told(ears: Reader, command: str, payload: str, why: str) -> None:
    await ears.send(f"voicebot/command/{command}", payload)
    assert why in (await ears.reads_about("voicebot/result", command=command))["error"]


async def test_a_command_that_the_broker_had_kept_is_ignored(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    await ears.send("voicebot/command/mute", "ON", retain=True)
    async with assistant(tmp_path, bridge_settings(broker.port)) as box:
        await box.connected()
        await ears.send("voicebot/command/volume", "30")
        await ears.reads("voicebot/volume", "30")
        assert not box.service.muted


async def test_commands_that_come_too_fast_are_dropped(
    box: Assistant, ears: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        await ears.client.publish("voicebot/command/volume", str(number % 100))
    await until(lambda: box.status["commands_dropped"])
    box.watchers(turn())
    await ears.reads_about("voicebot/event/turn", turn=1)
    assert [record.message for record in caplog.records if "too fast" in record.message] != []
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("box")
async def test_no_command_is_larger_than_the_broker_may_send(ears: Reader) -> None:
    await ears.send("voicebot/command/say", "x" * 1_000_000)
    await ears.send("voicebot/command/volume", "20")
    await ears.reads_about("voicebot/result", command="volume")
    assert [told["command"] for told in ears.objects("voicebot/result")] == ["volume"]


async def test_home_assistant_is_told_of_the_box_whenever_it_starts(box: Assistant, ears: Reader) -> None:
    topic = "homeassistant/device/voicebot/config"
    await until(lambda: ears.payloads(topic))
    components = understand(topic, ears.payloads(topic)[0]).components
    assert {"temperature", "state", "mute"} <= set(components)
    box.watchers(turn())
    await until(lambda: ears.payloads("voicebot/latency"))
    before = {name: len(ears.payloads(f"voicebot/{name}")) for name in ("state", "muted", "volume", "reply", "latency")}
    await ears.send("homeassistant/status", "online")
    await until(lambda: len(ears.payloads(topic)) == 2)
    await until(lambda: all(len(ears.payloads(f"voicebot/{name}")) > count for name, count in before.items()))
    assert len(ears.payloads("voicebot/event/turn")) == 1


async def test_without_a_prefix_home_assistant_is_told_nothing(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    async with assistant(tmp_path, bridge_settings(broker.port, discovery_prefix="")) as box:
        await box.connected()
        await ears.reads("voicebot/volume", "100")
    assert {str(message.topic).split("/")[0] for message in ears.messages} == {"voicebot"}


async def test_what_the_box_takes_while_it_is_idle_is_told_once_it_is_known(
    broker: Mosquitto, ears: Reader, tmp_path: Path
) -> None:
    topic = "homeassistant/device/voicebot/config"
    energy: dict[str, object] = {"idle_w": None, "measured": True}
    async with assistant(tmp_path, bridge_settings(broker.port), processor={"energy": energy}) as box:
        await box.connected()
        await until(lambda: ears.payloads(topic))
    assert "idle_power" in understand(topic, ears.payloads(topic)[0]).components
    assert ears.payloads("voicebot/power") == []
    energy["idle_w"] = 2.345
    async with assistant(tmp_path, bridge_settings(broker.port), processor={"energy": energy}):
        told = await ears.reads_about("voicebot/power", idle_w=2.3)
    assert told == {"idle_w": 2.3, "measured": True}


async def test_a_box_without_a_thermometer_announces_none(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    async with assistant(tmp_path, bridge_settings(broker.port)) as box:
        await box.connected()
        topic = "homeassistant/device/voicebot/config"
        await until(lambda: ears.payloads(topic))
    assert "temperature" not in understand(topic, ears.payloads(topic)[0]).components


async def test_a_box_that_dies_is_unavailable(broker: Mosquitto, ears: Reader, tmp_path: Path) -> None:
    """The broker says so in its stead, where the connection just breaks."""
    async with assistant(tmp_path, bridge_settings(broker.port)) as box:
        await box.connected()
        await ears.reads("voicebot/availability", "online")
        async with reader(broker.port, "nothing", identifier="voicebot"):  # it takes the box's place
            await until(lambda: "offline" in ears.payloads("voicebot/availability"))
        await until(lambda: ears.payloads("voicebot/availability")[-1] == "online")


async def test_it_can_be_ended_at_any_moment(broker: Mosquitto, tmp_path: Path) -> None:
    for delay_ms in range(0, 60, 2):
        async with assistant(tmp_path, bridge_settings(broker.port)):
            await asyncio.sleep(delay_ms / 1000)

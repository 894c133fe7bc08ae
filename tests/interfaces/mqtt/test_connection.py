"""Brokers that are away, refuse, are not who they should be, or say nothing at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interfaces.mqtt.broker import PASSWORD, USER, Mosquitto, free_port, running, with_password, with_tls
from tests.interfaces.mqtt.scene import REPLY, WATCHER, assistant, bridge_settings, reader, turn, until
from voicebot.config.mqtt import MqttSettings


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One with users, where the box may do everything below its own topic, and be seen by Home Assistant."""
    folder = tmp_path_factory.mktemp("guarded")
    acl = ("topic readwrite voicebot/#", "topic write homeassistant/device/+/config", "topic read homeassistant/status")
    with running(folder / "broker", *with_password(folder, *acl)) as broker:
        yield broker


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[Mosquitto]:
    with running(certificates / "broker", *with_tls(certificates)) as broker:
        yield broker


@pytest.fixture(scope="module")
def for_known_clients(certificates: Path, encrypted: Mosquitto) -> Iterator[Mosquitto]:
    assert encrypted.port  # it has the certificates made
    files = [f"{option} {certificates}/{name}" for option, name in (("cafile", "ca.pem"), ("keyfile", "server.key"))]
    demands = ("require_certificate true", "allow_anonymous true", f"certfile {certificates}/server.pem")
    with running(certificates / "strict", *files, *demands) as broker:
        yield broker


async def connects(folder: Path, settings: MqttSettings) -> None:
    async with assistant(folder, settings) as box:
        await box.connected()
        assert box.status["problem"] is None


async def complains(folder: Path, settings: MqttSettings, caplog: pytest.LogCaptureFixture) -> str:
    """Return what is logged while a connection is tried some times; assert that it is one line."""
    async with assistant(folder, settings) as box:
        await until(lambda: caplog.records)
        await asyncio.sleep(0.5)
        assert box.status["problem"] is not None
        assert not box.status["connected"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1, lines
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    return lines[0]


def secret(folder: Path, text: str) -> Path:
    (folder / "password").write_text(text)
    return folder / "password"


async def test_a_user_with_a_password_is_let_in(guarded: Mosquitto, tmp_path: Path) -> None:
    password = secret(tmp_path, PASSWORD + "\n")
    await connects(tmp_path, bridge_settings(guarded.port, user=USER, password_file=str(password)))


async def test_the_password_may_be_a_systemd_credential(
    guarded: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    await connects(tmp_path, bridge_settings(guarded.port, user=USER, password_file=secret(tmp_path, PASSWORD).name))


async def test_a_wrong_password_is_said(guarded: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = bridge_settings(guarded.port, user=USER, password_file=str(secret(tmp_path, "sesame")))
    assert "refuses the user or the password; see mqtt.user" in await complains(tmp_path, settings, caplog)


async def test_a_password_that_is_nowhere_is_said(
    guarded: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = bridge_settings(guarded.port, user=USER, password_file=str(tmp_path / "none"))
    assert "mqtt.password_file can't be read (No such file" in await complains(tmp_path, settings, caplog)


async def test_what_the_broker_does_not_let_it_publish_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = with_password(tmp_path, "topic readwrite voicebot/#", "topic deny voicebot/event/#")
    password = str(secret(tmp_path, PASSWORD))
    with running(tmp_path / "broker", *options) as broker:
        settings = bridge_settings(broker.port, user=USER, password_file=password, discovery_prefix="")
        async with assistant(tmp_path, settings) as box:
            await box.connected()
            for number in range(3):
                box.watchers(turn(number))
            await until(lambda: box.status["publications_refused"] == 3)
            await until(lambda: box.status["events_waiting"] == 0)
    assert [record.getMessage() for record in caplog.records] == [
        "the MQTT broker refuses some of what this user publishes; let it write to voicebot/#"
    ]


async def test_a_certificate_of_a_known_signer_will_do(
    encrypted: Mosquitto, certificates: Path, tmp_path: Path
) -> None:
    await connects(tmp_path, bridge_settings(encrypted.port, tls=True, ca=f"{certificates}/ca.pem"))


async def test_a_broker_that_nobody_vouches_for_is_refused(
    encrypted: Mosquitto, certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = bridge_settings(encrypted.port, tls=True, ca=f"{certificates}/stranger.pem")
    said = await complains(tmp_path, settings, caplog)
    assert "is not trusted" in said
    assert "mqtt.ca is the file of who signed it" in said


async def test_a_certificate_for_another_host_is_refused(
    certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = (f"cafile {certificates}/ca.pem", f"certfile {certificates}/ca.pem", f"keyfile {certificates}/ca.key")
    with running(tmp_path / "other", *files, "allow_anonymous true") as broker:
        settings = bridge_settings(broker.port, tls=True, ca=f"{certificates}/ca.pem")
        assert "is not trusted (IP address mismatch" in await complains(tmp_path, settings, caplog)


async def test_a_client_with_a_certificate_is_let_in(
    for_known_clients: Mosquitto, certificates: Path, tmp_path: Path
) -> None:
    files = {"ca": "ca.pem", "certificate": "client.pem", "key": "client.key"}
    own = {name: f"{certificates}/{file}" for name, file in files.items()}
    await connects(tmp_path, bridge_settings(for_known_clients.port, tls=True, **own))


async def test_a_client_without_the_certificate_that_is_asked_for_is_told_so(
    for_known_clients: Mosquitto, certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = bridge_settings(for_known_clients.port, tls=True, ca=f"{certificates}/ca.pem")
    assert "certificate required" in (await complains(tmp_path, settings, caplog)).lower()


async def test_files_that_are_no_certificates_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = bridge_settings(free_port(), tls=True, ca=str(secret(tmp_path, "no certificate")))
    assert "mqtt.ca, certificate or key can't be used" in await complains(tmp_path, settings, caplog)


async def test_tls_where_there_is_none_is_said(
    guarded: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = await complains(tmp_path, bridge_settings(guarded.port, tls=True), caplog)
    assert f"the MQTT broker at 127.0.0.1:{guarded.port} hangs up; does it speak TLS there?" in said


async def test_no_tls_where_there_is_some_is_said(
    encrypted: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = await complains(tmp_path, bridge_settings(encrypted.port), caplog)
    assert "did not take the connection" in said


async def test_a_name_that_nobody_has_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = bridge_settings(1883, host="broker.invalid")
    assert "broker.invalid:1883 can't be reached" in await complains(tmp_path, settings, caplog)


async def test_without_a_broker_the_conversation_goes_on_and_events_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = bridge_settings(free_port())
    async with assistant(tmp_path, settings) as box:
        assert (await box.service.ask("is it")).reply == REPLY
        await until(lambda: box.status["events_waiting"] == 1)
        assert box.status["outages"] == 1
    assert len(caplog.records) == 1
    assert "can't be reached (Connection refused)" in caplog.text


async def test_a_broker_that_says_nothing_holds_up_nobody(tmp_path: Path) -> None:
    async def listen_in_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen_in_silence, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        async with assistant(tmp_path, bridge_settings(port)) as box:
            assert (await box.service.ask("is it")).reply == REPLY
            assert not box.status["connected"]


async def test_what_happened_while_the_broker_was_away_arrives_later(tmp_path: Path) -> None:
    options = with_password(tmp_path, "topic readwrite #")
    password = str(secret(tmp_path, PASSWORD))
    broker = Mosquitto(tmp_path / "broker", *options)
    settings = bridge_settings(broker.port, user=USER, password_file=password)
    async with assistant(tmp_path, settings) as box:
        for number in range(20):
            box.watchers(turn(number))
        await until(lambda: box.status["events_waiting"] == 20)
    broker.start()
    try:
        async with reader(broker.port, **WATCHER) as ears, assistant(tmp_path, settings) as box:
            await until(lambda: len(ears.payloads("voicebot/event/turn")) == 20)
            assert [told["turn"] for told in ears.objects("voicebot/event/turn")] == list(range(20))
            await until(lambda: box.status["events_waiting"] == 0)
    finally:
        broker.stop()

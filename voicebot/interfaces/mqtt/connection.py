"""One connection to the broker, by aiomqtt, and what can be wrong with it in one sentence each."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from voicebot.config.mqtt import MqttSettings
from voicebot.errors import VoicebotError
from voicebot.interfaces.mqtt.topics import Message, Topics

KEEPALIVE_S: Final = 30
"""A broker that has gone without a word is noticed after one and a half of it."""
_ANSWER_S: Final = 5.0
_ALERT_S: Final = 0.2
"""With TLS 1.3 a server refuses the client's certificate only after the handshake."""
_FAREWELL_S: Final = 0.5
_MOST_WAITING: Final = 64
_LARGEST_PASSWORD: Final = 65_536
_ENVELOPE: Final = 4096
"""Of a packet, what is not its payload."""
_BAD_PASSWORD: Final = {134, 135}
_WRONG_VERSION: Final = 132
_TAKEN_OVER: Final = 142

Result = TypeVar("Result")

_quiet = logging.getLogger("voicebot.interfaces.mqtt.library")
_quiet.setLevel(logging.CRITICAL)  # it has a line for each packet, and another for each attempt


class BrokerError(VoicebotError):
    """There is no connection to the broker, or there is no longer one."""

    def __init__(self, sentence: str, *, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.lasting = lasting
        """It will not pass by itself: somebody has to mend a setting."""


class BrokerClient(aiomqtt.Client):
    """Can always be cancelled, and tells what the broker does not let it publish, which aiomqtt takes for published."""

    on_refused: Callable[[], None] | None = None

    async def _wait_for(self, fut: Awaitable[Result], timeout: float | None) -> Result:  # noqa: ASYNC109 - as it is there
        """Do it without asyncio.wait_for, which aiomqtt uses: before Python 3.12 that may lose a cancellation."""
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("it does not answer in time") from None

    def _on_publish(
        self,
        client: PahoClient,
        userdata: Any,  # noqa: ANN401 - as it is in paho
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        if reason_code.is_failure and self.on_refused is not None:
            self.on_refused()
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def abandon(self) -> None:
        """Close a connection that was given up before the broker took it; aiomqtt leaves it open."""
        if isinstance(connection := self._client.socket(), socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class _Secrets:
    password: str | None
    tls: ssl.SSLContext | None


@asynccontextmanager
async def connect(settings: MqttSettings, will: Message, largest_payload: int) -> AsyncGenerator[BrokerClient, None]:
    """Be connected inside the block. Commands that come for more than 64 before one is taken are dropped.

    Raises BrokerError when it can't be; aiomqtt.MqttError comes from the client's methods when it is lost.
    """
    secrets = await asyncio.to_thread(_secrets, settings)
    await _reach(settings, secrets.tls)
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = largest_payload + _ENVELOPE
    client = BrokerClient(
        settings.host,
        settings.port,
        username=settings.user or None,
        password=secrets.password,
        logger=_quiet,
        identifier=Topics(settings.topic).device_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
        keepalive=KEEPALIVE_S,
        timeout=_ANSWER_S,
        max_queued_incoming_messages=_MOST_WAITING,
        properties=limits,
        tls_context=secrets.tls,
    )
    try:
        await client.__aenter__()
    except aiomqtt.MqttError as error:
        client.abandon()
        raise _refusal(settings, error) from error
    except asyncio.CancelledError:
        client.abandon()
        raise
    try:
        yield client
    finally:
        client.timeout = _FAREWELL_S
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


def lost(settings: MqttSettings, error: aiomqtt.MqttError) -> BrokerError:
    """Return why there is no longer a connection."""
    cause = error.__cause__ if isinstance(error.__cause__, aiomqtt.MqttCodeError) else error
    code = getattr(cause, "rc", None)
    if isinstance(code, ReasonCode) and code.value == _TAKEN_OVER:
        return BrokerError(
            f"another client has taken this one's place at {_place(settings)}; give each box an mqtt.topic of its own.",
            lasting=True,
        )
    if isinstance(code, ReasonCode):
        return BrokerError(f"{_place(settings)} has hung up, or the network ({str(code).lower()}).")
    return BrokerError(f"the connection to {_place(settings)} was lost ({_words(cause)}).")


def _secrets(settings: MqttSettings) -> _Secrets:
    """Read the files that the settings name, anew each time: they may be renewed. Blocks."""
    password, tls = None, None
    if settings.password_file:
        try:
            with _path(settings.password_file).open(encoding="utf-8") as file:
                password = file.read(_LARGEST_PASSWORD).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BrokerError(f"mqtt.password_file can't be read ({_words(error)}).", lasting=True) from error
    if settings.tls:
        try:
            tls = ssl.create_default_context(cafile=_path(settings.ca) if settings.ca else None)
            if settings.certificate:
                tls.load_cert_chain(_path(settings.certificate), _path(settings.key), password=_no_passphrase)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise BrokerError(
                f"mqtt.ca, certificate or key can't be used ({_words(error)}); they are PEM files.", lasting=True
            ) from error
    return _Secrets(password, tls)


def _path(name: str) -> Path:
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), Path(name).expanduser())


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, and nobody to type it")  # else OpenSSL asks on the terminal


async def _reach(settings: MqttSettings, tls: ssl.SSLContext | None) -> None:
    """See whether a broker answers at all. Raises BrokerError.

    aiomqtt connects in a thread that can't be cancelled, and that the loop's end would wait for: a broker which is
    switched off would hold up the end of the service for some seconds.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=tls)
            try:
                if tls is not None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_ALERT_S):
                            await reader.read(1)
            finally:
                writer.close()
    except TimeoutError as error:
        raise BrokerError(f"{_place(settings)} does not answer.") from error
    except ssl.SSLCertVerificationError as error:
        raise BrokerError(
            f"the certificate of {_place(settings)} is not trusted ({error.verify_message}); mqtt.ca is the file of "
            "who signed it.",
            lasting=True,
        ) from error
    except ssl.SSLError as error:
        raise BrokerError(
            f"{_place(settings)} refuses TLS ({_words(error)}); see mqtt.port, tls, certificate and key.", lasting=True
        ) from error
    except ConnectionResetError as error:
        hint = "; does it speak TLS there?" if tls is not None else "."
        raise BrokerError(f"{_place(settings)} hangs up{hint}") from error
    except (OSError, ValueError) as error:
        raise BrokerError(f"{_place(settings)} can't be reached ({_words(error)}).") from error


def _refusal(settings: MqttSettings, error: aiomqtt.MqttError) -> BrokerError:
    code = getattr(error, "rc", None)
    value = code.value if isinstance(code, ReasonCode) else None
    if value in _BAD_PASSWORD:
        sentence = f"{_place(settings)} refuses the user or the password; see mqtt.user and mqtt.password_file."
        return BrokerError(sentence, lasting=True)
    if value == _WRONG_VERSION:
        return BrokerError(f"{_place(settings)} does not speak MQTT 5, which is needed.", lasting=True)
    return BrokerError(f"{_place(settings)} did not take the connection ({_words(error)}); see mqtt.port and tls.")


def _place(settings: MqttSettings) -> str:
    return f"the MQTT broker at {settings.host}:{settings.port}"


def _words(error: BaseException) -> str:
    """Return what an error says, without its number and the address, which are known."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if number := re.search(r"\[Errno (\d+)\]", str(error)):  # asyncio's own have other words, or several numbers
        name = getattr(error, "filename", None)
        return os.strerror(int(number[1])) + (f": {name}" if name else "")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

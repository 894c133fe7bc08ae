"""Carries out what comes in over MQTT, and tells what became of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from voicebot.clock import Watch
from voicebot.errors import UsageError, VoicebotError
from voicebot.interfaces.mqtt.board import Board
from voicebot.interfaces.mqtt.commands import parse_command
from voicebot.interfaces.mqtt.payloads import (
    ListenCommand,
    MuteCommand,
    Result,
    StopCommand,
    TextCommand,
    VolumeCommand,
)
from voicebot.interfaces.mqtt.topics import Message, Topics
from voicebot.interfaces.rate import Rate
from voicebot.interfaces.service import Service

_COMMANDS_PER_S: Final = 10.0
_MOST_UNDER_WAY: Final = 16
"""Texts that wait to be said or answered; a session takes fewer."""

_log = logging.getLogger(__name__)


class RemoteControl:
    """Texts are said in tasks of `group`, since each takes as long as its turn; all else is done at once."""

    def __init__(
        self, service: Service, topics: Topics, board: Board, clock: Watch, group: asyncio.TaskGroup, *, texts: bool
    ) -> None:
        self.dropped = 0
        """Commands that came too fast."""
        self._service = service
        self._topics = topics
        self._board = board
        self._rate = Rate(_COMMANDS_PER_S, clock)
        self._group = group
        self._texts = texts
        self._under_way = 0

    def obey(self, name: str, payload: bytes) -> None:
        """Do what a payload asks of a command, or say what is wrong with it."""
        if not self._rate.take():
            if not self.dropped:
                _log.warning("MQTT commands come too fast (%g a second are taken); some are dropped", _COMMANDS_PER_S)
            self.dropped += 1
            return
        try:
            command = parse_command(name, payload)
        except UsageError as error:
            self._tell(name, None, error=error)
            return
        if isinstance(command, TextCommand):
            self._prompt(name, command)
            return
        try:
            self._act(command)
        except VoicebotError as error:
            self._tell(name, command.id, error=error)
        else:
            self._tell(name, command.id)

    def _act(self, command: StopCommand | ListenCommand | MuteCommand | VolumeCommand) -> None:
        match command:
            case StopCommand():
                self._service.stop(command.session)
            case ListenCommand():
                self._service.listen(command.session, pressed=command.pressed)
            case MuteCommand():
                self._service.mute(muted=command.muted)
            case VolumeCommand():
                self._service.set_volume(command.volume)

    def _prompt(self, name: str, command: TextCommand) -> None:
        if self._under_way >= _MOST_UNDER_WAY:
            self._tell(name, command.id, error=VoicebotError("too many texts wait to be spoken already."))
            return
        self._under_way += 1
        self._group.create_task(self._speak(name, command), name=f"mqtt {name}")

    async def _speak(self, name: str, command: TextCommand) -> None:
        speak = self._service.say if name == "say" else self._service.ask
        try:
            turn = await speak(command.text, command.session)
        except VoicebotError as error:
            self._tell(name, command.id, error=error)
        except asyncio.CancelledError:  # the session has ended, or all of it does
            self._tell(name, command.id, error=VoicebotError("the session has ended."))
            raise
        else:
            failure = None if turn.error is None else VoicebotError(turn.error)
            self._tell(name, command.id, error=failure, reply=turn.reply if name == "ask" and self._texts else None)
        finally:
            self._under_way -= 1

    def _tell(
        self, name: str, request: str | None, *, error: VoicebotError | None = None, reply: str | None = None
    ) -> None:
        result = Result(command=name[:20], id=request, error=None if error is None else str(error), reply=reply)
        self._board.put(Message(self._topics.result, result.model_dump_json(), lasting=False))

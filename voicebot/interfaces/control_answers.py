"""Does what was asked for over the control socket, and says what came of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from voicebot.errors import UsageError, VoicebotError
from voicebot.interfaces.control_requests import (
    SCHEMA,
    EventsRequest,
    ListenRequest,
    MuteRequest,
    PromptRequest,
    RecordingRequest,
    ReloadRequest,
    Request,
    StatusRequest,
    StopRequest,
    VolumeRequest,
)
from voicebot.interfaces.event_json import event_json
from voicebot.interfaces.service import Service

_log = logging.getLogger(__name__)
Answer = dict[str, Any]
Reload = Callable[[], Awaitable[list[str]]]
"""Reads the settings again, and returns sentences of what needs a restart."""


def done(result: Mapping[str, Any]) -> Answer:
    """Return the answer to a request that was granted."""
    return {"schema": SCHEMA, "ok": True, "result": dict(result)}


def failed(error: VoicebotError) -> Answer:
    """Return the answer to one that was not."""
    return {"schema": SCHEMA, "ok": False, "error": str(error), "exit_code": error.exit_code}


async def answer(request: Request, service: Service, reload: Reload) -> Answer:
    """Do it, and return the answer whatever comes of it. Only the end of a conversation cancels it."""
    try:
        return done(await _do(request, service, reload))
    except VoicebotError as error:
        return failed(error)
    except Exception:  # noqa: BLE001 - whatever it is, the daemon goes on
        _log.exception("the request %s failed", request.request)
        return failed(VoicebotError("the daemon failed at this request; its log says more."))


async def _do(  # noqa: C901, PLR0911 - one for each request
    request: Request, service: Service, reload: Reload
) -> Mapping[str, Any]:
    match request:
        case StatusRequest():
            status = service.status()
            return status if request.request == "status" else {"sessions": status["sessions"]}
        case StopRequest():
            return {"stopped": service.stop(request.session)}
        case ListenRequest():
            return {"session": service.listen(request.session, pressed=request.request == "listen")}
        case MuteRequest():
            service.mute(muted=request.request == "mute")
            return {"muted": service.muted}
        case VolumeRequest():
            service.set_volume(request.percent)
            return {"volume": service.volume}
        case PromptRequest():
            prompt = service.say if request.request == "say" else service.ask
            return {"turn": event_json(await prompt(request.text, request.session))}
        case ReloadRequest():
            return {"needs_restart": await reload()}
        case RecordingRequest():
            if service.save_recording is None:
                raise VoicebotError("nothing is recorded; set recorder.enabled = true, then run `voicebot reload`.")
            return await service.save_recording()
        case EventsRequest():
            raise UsageError("events are a stream, and no single answer.")

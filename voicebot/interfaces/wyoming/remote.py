"""Recognition and synthesis by Wyoming services, on another machine say: here the daemon is the client.

Each request has a connection of its own, as Home Assistant's have: one that is given up is closed at once, and a
service that was away is found by the next request. Nothing is connected to before the first one, and never anything
but the URI of the stage's settings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import numpy as np
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeVoice

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, first_audible_sample, samples_from_ms, silence
from voicebot.config.pipeline import AsrSettings, TtsSettings
from voicebot.config.wyoming import RemotableSettings
from voicebot.engines.protocols import Speech, Transcript
from voicebot.errors import EngineError
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.wire import EventStream, GoneError, ProtocolError, text_of

_log = logging.getLogger(__name__)
_FORM: Final = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}
_CHUNK_SAMPLES: Final = samples_from_ms(250)
_READ_AHEAD_BYTES: Final = 1 << 20
"""A service may send a whole clause long before it is played, and some give up on who does not take it."""
_MOST_EVENTS: Final = 10_000
"""In answer to one request. Audio comes in ten to fifty events for each second of it."""
_LONGEST_TRANSCRIPT: Final = 2000
"""In characters. In the 30 s that a request has at most people say 600."""
_LONGEST_QUOTE: Final = 200
_UNSAID_LOGPROB: Final = -0.4
"""The protocol does not tell how sure a recogniser is. So neither doubt (barge_in.doubtful_logprob) nor certainty
(barge_in.certain_logprob) is read out of it, and what the words are decides."""
_LONGEST_SPEECH_S: Final = 10.0
_LONGEST_LETTER_S: Final = 0.5
"""What is spoken lasts no longer than both together, the latter for each letter. People take 0.06 s for one."""


class RemoteAsr:
    """Speech to text by a service."""

    def __init__(self, settings: AsrSettings) -> None:
        self._settings = settings
        self._service = _Service(settings)
        if settings.leaves_box:
            _log.warning("all that is heard is sent to %s to be recognised, and not encrypted", settings.uri)

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """See pipeline.stages.Asr. Raises EngineError for all that goes wrong; a cancel closes the connection."""
        del thorough, within_s  # the protocol has no words for them
        limit_ms = self._settings.answer_timeout_ms
        try:
            async with asyncio.timeout(limit_ms / 1000):
                text = await self._transcribe(pcm)
        except TimeoutError as error:
            raise self._service.error(f"gave no transcript within {limit_ms} ms") from error
        return Transcript(text, _UNSAID_LOGPROB, 0.0, window_s=len(pcm) / SAMPLE_RATE_HZ, fallback=False)

    async def _transcribe(self, pcm: Pcm) -> str:
        wanted = Transcribe(self._settings.remote_model or None, self._settings.language)
        async with self._service.asked() as answer:
            answer.stream.send(wanted, AudioStart(**_FORM))
            for at in range(0, len(pcm), _CHUNK_SAMPLES):
                answer.stream.send(AudioChunk(**_FORM, audio=pcm[at : at + _CHUNK_SAMPLES].tobytes()))
                await answer.stream.flush()
            answer.stream.send(AudioStop())
            await answer.stream.flush()
            transcript = await answer.until("transcript")  # partials are passed over
            return " ".join(text_of(transcript, _LONGEST_TRANSCRIPT).split())


class RemoteTts:
    """Clauses to speech by a service."""

    def __init__(self, settings: TtsSettings) -> None:
        self._settings = settings
        self._service = _Service(settings)
        if settings.leaves_box:
            _log.warning("all that is said is sent to %s to be spoken, and not encrypted", settings.uri)

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """See pipeline.stages.Tts. Raises EngineError for all that goes wrong; leaving closes the connection."""
        voice = SynthesizeVoice(self._settings.remote_model) if self._settings.remote_model else None
        left = round((_LONGEST_SPEECH_S + _LONGEST_LETTER_S * len(text)) * SAMPLE_RATE_HZ)
        audio, lead = IncomingAudio(), _Lead(self._settings.lead_silence_ms if first else None)
        async with self._service.asked() as answer:
            answer.stream.send(Synthesize(text, voice))
            await answer.stream.flush()
            over = False
            while not over:
                event = await answer.until("audio-chunk", "audio-stop", within_ms=self._settings.answer_timeout_ms)
                over = AudioStop.is_type(event.type)
                pcm = audio.finish() if over else audio.feed(event)
                left -= len(pcm)
                if left < 0:
                    raise self._service.error(f"speaks far longer than {len(text)} letters take")
                if len(pcm := lead.cut(pcm)):
                    yield Speech(pcm)


async def offered_programs(stage: str, settings: RemotableSettings) -> tuple[str, ...]:
    """Return the names of the programs that a service has for a stage, as "asr". Raises EngineError."""
    service = _Service(settings)
    async with service.asked() as answer:
        answer.stream.send(Describe())
        info = await answer.until("info", within_ms=settings.answer_timeout_ms)
    programs = info.data.get(stage)
    named = programs if isinstance(programs, list) else []
    return tuple(_quoted(one.get("name")) for one in named if isinstance(one, dict))


class _Service:
    """Where the requests go, and how its errors are told."""

    def __init__(self, settings: RemotableSettings) -> None:
        self._uri = settings.uri
        self._address = settings.address
        self._connect_ms = settings.connect_timeout_ms

    @asynccontextmanager
    async def asked(self) -> AsyncGenerator[_Answer, None]:
        """Give a connection for one request. Raises EngineError for what goes wrong with it."""
        host, port = self._address.host, self._address.port
        try:
            async with asyncio.timeout(self._connect_ms / 1000):
                reader, writer = await asyncio.open_connection(host, port, limit=_READ_AHEAD_BYTES)
        except TimeoutError as error:
            raise self.error(f"is away: it was not connected to within {self._connect_ms} ms") from error
        except OSError as error:
            raise self.error(f"is away ({error.strerror or error})") from error
        try:
            yield _Answer(EventStream(reader, writer), self)
        except (ProtocolError, GoneError) as error:
            raise self.error(f"can't be talked to: {str(error).rstrip('.')}") from error
        finally:
            writer.transport.abort()  # what was not sent yet, or not read, is of no use to anybody

    def error(self, what: str) -> EngineError:
        return EngineError(f"the Wyoming service {self._uri} {what}.")


class _Answer:
    """What a service says to one request."""

    def __init__(self, stream: EventStream, service: _Service) -> None:
        self.stream = stream
        self._service = service
        self._events = 0

    async def until(self, *kinds: str, within_ms: float | None = None) -> Event:
        """Return the next event of one of those kinds; others are left alone, as the protocol wants it.

        Raises EngineError when it is an error, does not come or not in time; ProtocolError.
        """
        try:
            async with asyncio.timeout(None if within_ms is None else within_ms / 1000):
                while (event := await self._next()).type not in kinds:
                    pass
        except TimeoutError as error:
            raise self._service.error(f"sent no {kinds[0]} for {within_ms:.0f} ms") from error
        return event

    async def _next(self) -> Event:
        event = await self.stream.read()
        self._events += 1
        if event is None:
            raise self._service.error("has closed the connection before it had answered")
        if self._events > _MOST_EVENTS:
            raise self._service.error(f"answered with more than {_MOST_EVENTS} events")
        if Error.is_type(event.type):
            raise self._service.error(f"failed: {_quoted(event.data.get('text'))}")
        return event


class _Lead:
    """Cuts the silence in front of a reply, all of which the user would wait, but for `kept_ms` of it."""

    def __init__(self, kept_ms: float | None) -> None:
        """Cut nothing when `kept_ms` is None."""
        self._kept = samples_from_ms(kept_ms or 0)
        self._silent = kept_ms is not None
        self._held = silence(0)

    def cut(self, pcm: Pcm) -> Pcm:
        """Return what is left of the next audio, and of what was held back."""
        if not self._silent:
            return pcm
        held = np.concatenate((self._held, pcm))
        start = first_audible_sample(held)
        self._silent = start is None
        held = held[max(0, (len(held) if start is None else start) - self._kept) :]
        self._held = held
        return silence(0) if self._silent else held


def _quoted(said: object) -> str:
    """Return the beginning of what a service says about itself, on one line."""
    return "".join(sign for sign in " ".join(str(said).split())[:_LONGEST_QUOTE] if sign.isprintable())

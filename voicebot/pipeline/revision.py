"""One version of the user's side of a turn, and all work on it: recognise, respond, speak, play.

Nothing of it is audible or remembered before `commit`. `cancel` ends every part of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voicebot.assistant.history import History
from voicebot.audio import Pcm, ms_from_samples, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import VoicebotError
from voicebot.events import ClauseSynthesised, Observer, ReplyAudible, Transcribed
from voicebot.latency.marks import Marks
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.play import Player
from voicebot.pipeline.recognize import recognize
from voicebot.pipeline.respond import respond
from voicebot.pipeline.speak import ClauseAudio, speak
from voicebot.pipeline.stages import Stages
from voicebot.turn.chunker import ClauseRules
from voicebot.turn.heard import HeardReply
from voicebot.turn.table import TurnEvent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a revision works with; the same for all of a session's."""

    session: str
    stages: Stages
    settings: PipelineSettings
    history: History
    playback: PlaybackBuffer
    now_sample: Callable[[], int]
    observer: Observer


class Revision:
    """The work on one revision. `run` is its one task; `report` tells the session what happened."""

    def __init__(
        self,
        around: Surroundings,
        turn: int,
        number: int,
        pcm: Pcm,
        report: Callable[[Revision, TurnEvent], None],
    ) -> None:
        self.turn = turn
        self.number = number
        self.text = ""
        self.error: str | None = None
        self.reply = HeardReply()
        self.marks = Marks()
        self._around = around
        self._pcm = pcm
        self._report = report
        self._committed = asyncio.Event()
        self._player = Player(around.playback, self, self._on_played)
        self._task: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin the work in a task that the group owns."""
        self._task = group.create_task(self._run(), name=f"turn {self.turn} revision {self.number}")

    def commit(self) -> None:
        """Let the reply be heard, or report at once that the work on it has failed."""
        self._mark("committed")
        self._committed.set()
        if self.error is not None:
            self._report(self, TurnEvent.FAILED)

    def cancel(self) -> None:
        """Stop every part of the work; nothing of it is played after this."""
        self._player.stop()
        if self._task is not None:
            self._task.cancel()

    def apologize(self, group: asyncio.TaskGroup) -> None:
        """Play the apology instead of what is left of the reply."""
        self.cancel()
        self._player = Player(self._around.playback, (self, "apology"), self._on_apology_played)
        self._task = group.create_task(self._play_apology(), name=f"turn {self.turn} apology")

    async def _run(self) -> None:
        event = await self._work()
        if event is not TurnEvent.FAILED or self._committed.is_set():
            self._report(self, event)

    async def _work(self) -> TurnEvent:
        try:
            self.text = await recognize(self._around.stages.asr, self._pcm)
            self._mark("asr_final")
            self._around.observer(Transcribed(self._around.session, self.turn, self.number, self.text))
            if not self.text:
                return TurnEvent.NOTHING_SAID
            await self._answer()
        except* VoicebotError as errors:
            self.error = "; ".join(str(error) for error in errors.exceptions)
        # Nothing is awaited after an error: before Python 3.13 a task group forgets a cancellation that came with it.
        return TurnEvent.REPLY_ENDED if self.error is None else TurnEvent.FAILED

    async def _answer(self) -> None:
        settings = self._around.settings
        rules = ClauseRules(**settings.clauses.model_dump())
        clauses = Channel[str](settings.playback.clauses_waiting)
        audio = Channel[ClauseAudio](settings.playback.clauses_waiting)
        messages = self._around.history.messages(self.text)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                respond(self._around.stages.slm, messages, settings.slm.max_tokens, rules, clauses, self._mark)
            )
            group.create_task(speak(self._around.stages.tts, clauses, audio, self.reply, self._mark, self._on_clause))
            group.create_task(self._player.play(audio, self._committed, samples_from_ms(settings.playback.ahead_ms)))

    async def _play_apology(self) -> None:
        audio = Channel[ClauseAudio](1)
        await audio.send(ClauseAudio(0, self._around.stages.apology))
        await audio.close()
        await self._player.play(audio, self._committed, samples_from_ms(self._around.settings.playback.ahead_ms))
        self._report(self, TurnEvent.REPLY_ENDED)

    def _mark(self, name: str) -> None:
        self.marks.note(name, self._around.now_sample())

    def _on_clause(self, text: str, samples: int) -> None:
        self._around.observer(ClauseSynthesised(self._around.session, self.turn, text, ms_from_samples(samples)))

    def _on_played(self, clause: int, stretch: Played) -> None:
        self.reply.add_played(clause, stretch.samples)
        self._on_audible(stretch)

    def _on_apology_played(self, clause: int, stretch: Played) -> None:
        del clause
        self._on_audible(stretch)

    def _on_audible(self, stretch: Played) -> None:
        if stretch.audible_sample is not None and "audible" not in self.marks.samples:
            self.marks.note("audible", stretch.audible_sample)
            self._around.observer(ReplyAudible(self._around.session, self.turn, stretch.audible_sample))
            self._report(self, TurnEvent.REPLY_AUDIBLE)

"""One person's conversation through one microphone and speaker.

One task owns the turn machine. What happens, from the microphone or from the work on a revision, is decided by the
table without waiting for anything; the actions that it returns are then carried out here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from voicebot.assistant.history import History
from voicebot.audio import ms_from_samples, samples_from_ms
from voicebot.audio_io.port import AudioPort
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import IllegalEventError, VoicebotError
from voicebot.events import (
    Event,
    FramesDropped,
    Interrupted,
    Observer,
    StateChanged,
    TurnCommitted,
    TurnDiscarded,
    TurnEnded,
)
from voicebot.latency.marks import over_budget, stage_durations_ms
from voicebot.pipeline.listen import Listener
from voicebot.pipeline.revision import Revision, Surroundings
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import Action, State, TurnEvent, TurnMachine

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    number: int
    onset_sample: int
    speech_end_sample: int = 0
    revisions: int = 0


class Session:
    """A conversation. `run` is its owner; `stop` may be called at any time from the same thread."""

    def __init__(
        self, name: str, port: AudioPort, stages: Stages, settings: PipelineSettings, observer: Observer
    ) -> None:
        self.name = name
        self.history = History(settings.slm.system_prompt)
        self._port = port
        self._stages = stages
        self._settings = settings
        self._observer = observer
        self._machine = TurnMachine()
        self._listener = Listener(stages.make_gate(), stages.make_detector(), settings.endpoint)
        self._around = Surroundings(name, stages, settings, self.history, port.playback, port.now_sample, self._publish)
        self._turn = _Turn(0, 0)
        self._onset_sample = 0
        self._revision: Revision | None = None
        self._ducked_sample: int | None = None
        self._warming: asyncio.Task[None] | None = None
        self._dropped_frames = 0
        self._actions: dict[Action, Callable[[int], None]] = {
            Action.OPEN_TURN: self._open_turn,
            Action.START_REVISION: self._start_revision,
            Action.DROP_REVISION: self._drop_revision,
            Action.COMMIT: self._commit,
            Action.DISCARD_TURN: self._discard_turn,
            Action.DUCK: self._duck,
            Action.UNDUCK: self._unduck,
            Action.INTERRUPT: self._interrupt,
            Action.CLOSE_TURN: self._close_turn,
            Action.APOLOGIZE: self._apologize,
        }

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._machine.state

    async def run(self) -> None:
        """Listen and answer until the microphone ends; then leave nothing running."""
        async with asyncio.TaskGroup() as self._group:
            self._warm_prefix()
            while (frame := await self._port.next_frame()) is not None:
                for heard in self._listener.hear(frame):
                    if heard.event is TurnEvent.SPEECH_STARTED:
                        self._onset_sample = heard.at_sample
                    self._on(heard.event, heard.at_sample)
                self._report_drops()
            self.stop()
            if self._warming is not None:
                self._warming.cancel()

    def stop(self) -> None:
        """Stop the reply, or forget what is being said, as if the user had pressed a button."""
        self._ducked_sample = None  # it is not the user's voice that ends the reply
        self._on(TurnEvent.STOP, self._port.now_sample())

    def _on(self, event: TurnEvent, at_sample: int) -> None:
        before = self._machine.state
        try:
            actions = self._machine.on(event)
        except IllegalEventError as error:
            _log.error("%s: %s", self.name, error)
            return
        for action in actions:
            self._actions[action](at_sample)
        if self._machine.state is not before:
            self._publish(StateChanged(self.name, self._port.now_sample(), self._machine.state.value))

    def _on_revision(self, revision: Revision, event: TurnEvent) -> None:
        if revision is self._revision:
            self._on(event, self._port.now_sample())

    def _open_turn(self, at_sample: int) -> None:
        del at_sample  # where the reply ended, if the speech began before that
        self._turn = _Turn(self._turn.number + 1, self._onset_sample)

    def _start_revision(self, at_sample: int) -> None:
        turn = self._turn
        turn.revisions += 1
        turn.speech_end_sample = at_sample
        now = self._port.now_sample()
        start = turn.onset_sample - samples_from_ms(self._settings.endpoint.pre_roll_ms)
        pcm = self._listener.utterance(start, now)
        if self._warming is not None:
            self._warming.cancel()
        self._revision = Revision(self._around, turn.number, turn.revisions, pcm, self._on_revision)
        self._revision.marks.note("soft_end", now)
        self._revision.start(self._group)

    def _drop_revision(self, at_sample: int) -> None:
        del at_sample
        if self._revision is not None:
            self._revision.cancel()
            self._revision = None

    def _commit(self, at_sample: int) -> None:
        del at_sample
        if self._revision is not None:
            now = self._port.now_sample()
            self._publish(TurnCommitted(self.name, self._turn.number, self._turn.revisions, now))
            self._revision.commit()

    def _discard_turn(self, at_sample: int) -> None:
        self._drop_revision(at_sample)
        self._publish(TurnDiscarded(self.name, self._turn.number, self._port.now_sample()))

    def _duck(self, at_sample: int) -> None:
        del at_sample
        self._ducked_sample = self._port.now_sample()
        self._port.playback.set_gain(self._settings.barge_in.duck_gain)

    def _unduck(self, at_sample: int) -> None:
        del at_sample
        self._ducked_sample = None
        self._port.playback.set_gain(1.0)

    def _interrupt(self, at_sample: int) -> None:
        now = self._port.now_sample()
        if self._ducked_sample is not None:
            self._publish(Interrupted(self.name, self._turn.number, at_sample, self._ducked_sample, now))
        self._end_turn(interrupted=True)

    def _close_turn(self, at_sample: int) -> None:
        del at_sample
        self._end_turn(interrupted=False)

    def _apologize(self, at_sample: int) -> None:
        del at_sample
        if self._revision is not None:
            _log.info("%s: turn %d failed: %s", self.name, self._turn.number, self._revision.error)
            self._revision.apologize(self._group)

    def _end_turn(self, *, interrupted: bool) -> None:
        revision, turn = self._revision, self._turn
        if revision is None:
            return
        revision.cancel()
        self._revision = None
        self._unduck(0)
        heard = revision.reply.heard
        self.history.add(revision.text, heard)
        marks = revision.marks.samples
        durations_ms = stage_durations_ms(marks, turn.speech_end_sample)
        audible = marks.get("audible")
        total_ms = None if audible is None else ms_from_samples(audible - turn.speech_end_sample)
        self._publish(
            TurnEnded(
                session=self.name,
                turn=turn.number,
                revisions=turn.revisions,
                user=revision.text,
                reply=revision.reply.text,
                heard=heard,
                source="slm",
                interrupted=interrupted,
                speech_end_sample=turn.speech_end_sample,
                marks=marks,
                stage_ms=durations_ms,
                over_budget=over_budget(durations_ms, total_ms, self._settings.budget),
                error=revision.error,
            )
        )
        self._warm_prefix()

    def _warm_prefix(self) -> None:
        """Let the language model take in the conversation so far while nobody waits for it."""
        self._warming = self._group.create_task(self._prefill(), name=f"{self.name} prefill")

    async def _prefill(self) -> None:
        with contextlib.suppress(VoicebotError):
            await self._stages.slm.prefill(self.history.messages())

    def _report_drops(self) -> None:
        if self._port.dropped_frames != self._dropped_frames:
            self._dropped_frames = self._port.dropped_frames
            self._publish(FramesDropped(self.name, self._dropped_frames))

    def _publish(self, event: Event) -> None:
        self._observer(event)

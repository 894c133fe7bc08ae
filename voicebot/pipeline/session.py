"""One person's conversation through one microphone and speaker.

One task owns the turn machine. What happens, from the microphone or from the work on a revision, is decided by the
table without waiting for anything; the actions that it returns are then carried out here.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from voicebot.assistant.history import History
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, ms_from_samples, samples_from_ms
from voicebot.audio_io.port import AudioPort
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import IllegalEventError
from voicebot.events import (
    Event,
    FramesDropped,
    Observer,
    Resumed,
    StateChanged,
    TurnCommitted,
    TurnDiscarded,
    TurnEnded,
)
from voicebot.latency.work import WorkLedger
from voicebot.pipeline.attentive import AttentiveListener
from voicebot.pipeline.clean import FrontEnd
from voicebot.pipeline.compact import Compactor
from voicebot.pipeline.earcons import Earcons
from voicebot.pipeline.openers import Openers
from voicebot.pipeline.overlap import Overlap
from voicebot.pipeline.partials import Partial, Partials, ReadAlong
from voicebot.pipeline.prompts import FOR_EVER_S, Prompts
from voicebot.pipeline.revision import Revision, Surroundings
from voicebot.pipeline.rules import barge_in_rules, eagerness_rules, endpoint_rules
from voicebot.pipeline.sense import Sense
from voicebot.pipeline.stages import Stages
from voicebot.pipeline.turn import Turn
from voicebot.pipeline.warm import Warming
from voicebot.pipeline.weigh import unfinished
from voicebot.turn.activity import VoiceEvent
from voicebot.turn.eagerness import Eagerness
from voicebot.turn.endpoint import EndOfTurn, Evidence
from voicebot.turn.table import Action, State, TurnEvent, TurnMachine

_log = logging.getLogger(__name__)


class Session:
    """A conversation. `run` is its owner; `stop` may be called at any time from the same thread."""

    def __init__(
        self, name: str, port: AudioPort, stages: Stages, settings: PipelineSettings, observer: Observer
    ) -> None:
        self.name = name
        self.history = History(settings.slm.system_prompt)
        self.work = WorkLedger()
        self._port = port
        self._stages = stages
        self._settings = settings
        self._observer = observer
        self.machine = TurnMachine()
        self._prompts = Prompts()
        self._listener = AttentiveListener(name, stages, settings, self._prompts, lambda: self.state, self._publish)
        self.attention = self._listener.attention
        barge_in = barge_in_rules(settings.barge_in)
        self._overlap = Overlap(port.playback, port.now_sample, settings.barge_in, barge_in)
        self._end_of_turn = EndOfTurn(endpoint_rules(settings.endpoint, settings.barge_in.commands))
        self._eagerness = Eagerness(eagerness_rules(settings.speculation))
        self._front_end = FrontEnd(port.playback, settings.hearing)
        self._openers = Openers(stages.openers, settings.openers, settings.earcons)
        self.earcons = Earcons(port.playback, settings.earcons)
        self._partials = Partials(stages.asr, self.work, self._on_partial)
        self._read_along = ReadAlong(name, self._publish)
        self._warming = Warming(name, stages.slm, self.work)
        self._sense = Sense(name, stages.slm, self.history, self.work)
        self._compactor = Compactor(
            name, stages.slm, self.history, settings.history, settings.slm, self.work, self._warm_history
        )
        self._around = Surroundings(
            *(name, stages, settings, self.history, barge_in, port.playback, self.work, port.now_sample),
            *(self._publish, self._on_revision, self._on_evidence),
        )
        self._turn = Turn(0, 0)
        self._onset_sample = self._stopped_sample = 0
        self._revision: Revision | None = None
        self._noise_goes_on = False
        """Sound over the reply was judged to be no speech, and may not have ended."""
        self._dropped_frames = 0
        self._actions: dict[Action, Callable[[int], None]] = {
            Action.OPEN_TURN: self._open_turn,
            Action.START_REVISION: self._start_revision,
            Action.START_PROMPTED: self._start_prompted,
            Action.DROP_REVISION: self._drop_revision,
            Action.COMMIT: self._commit,
            Action.DISCARD_TURN: self._discard_turn,
            Action.DUCK: lambda _: self._overlap.duck(),
            Action.UNDUCK: lambda _: self._overlap.forget(),
            Action.PAUSE: self._pause,
            Action.RESUME: self._resume,
            Action.INTERRUPT: self._interrupt,
            Action.CLOSE_TURN: self._close_turn,
            Action.APOLOGIZE: self._apologize,
        }

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self.machine.state

    @property
    def turn(self) -> int | None:
        """The number of the turn that is under way; None while there is none."""
        return None if self.state is State.IDLE else self._turn.number

    async def run(self) -> None:
        """Listen and answer until the microphone ends; then leave nothing running."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._converse()
        finally:
            self._prompts.cancel()

    async def _converse(self) -> None:
        self._warm_history()
        while (frame := await self._port.next_frame()) is not None:
            clean = self._front_end.clean(frame)
            for heard in self._listener.hear(clean, echo=self._front_end.leaking):
                self._hear(heard)
            self._look()
            self._weigh_again()
            self._cover_wait()
            self._use_quiet()
            self._report_drops()
        self.stop()
        self._partials.cancel()
        self._compactor.cancel()
        self._warming.cancel()

    def stop(self) -> None:
        """Stop the reply, or forget what is being said, as if the user had pressed a button."""
        self._overlap.forget()  # it is not the user's voice that ends the reply
        self._stopped_sample = self._port.now_sample()
        self._on(TurnEvent.STOP, self._stopped_sample)

    def listen(self, *, pressed: bool = True) -> None:
        """Listen for a while to who speaks, without a wake word, or no longer; as if a button were pressed."""
        self._listener.press(self._port.now_sample(), pressed=pressed)

    def ask(self, text: str, longest_wait_s: float = FOR_EVER_S) -> asyncio.Future[TurnEnded]:
        """Answer a text aloud once nobody speaks; the result is the whole turn. Raises BusyError and EndedError."""
        return self._prompts.add(text, asked=True, longest_wait_s=longest_wait_s)

    def say(self, text: str, longest_wait_s: float = FOR_EVER_S) -> asyncio.Future[TurnEnded]:
        """Say a text once nobody speaks; the result is the whole turn. Raises BusyError and EndedError."""
        return self._prompts.add(text, asked=False, longest_wait_s=longest_wait_s)

    def _hear(self, heard: VoiceEvent) -> None:
        if heard.event is TurnEvent.SPEECH_CONFIRMED and heard.at_sample < self._stopped_sample:
            return  # what was being said when the button was pressed is forgotten
        if heard.event is TurnEvent.SPEECH_STARTED:
            self._noise_goes_on = False
            if self.state is not State.WEIGHING:  # there it goes on, and what was said before belongs to it
                self._onset_sample = heard.at_sample
            if self.state in {State.PENDING, State.THINKING} and self._prompts.current is None:
                self._end_of_turn.went_on(ms_from_samples(heard.at_sample - self._turn.speech_end_sample))
            elif self.state is not State.WEIGHING:
                self._listener.activity.turn_began(heard.at_sample)
        self._on(heard.event, heard.at_sample)

    def _on(self, event: TurnEvent, at_sample: int) -> None:
        before = self.machine.state
        try:
            actions = self.machine.on(event)
        except IllegalEventError as error:
            _log.error("%s: %s", self.name, error)
            return
        for action in actions:
            self._actions[action](at_sample)
        if self.machine.state is not before:
            self._set_soft_end()
            self._publish(StateChanged(self.name, self._port.now_sample(), self.machine.state.value))

    def _set_soft_end(self) -> None:
        """Over a reply nothing is gained by an early soft end, and half of a "stop" would be judged."""
        over_reply = self.state in {State.SPEAKING, State.OVERLAP, State.PAUSED, State.WEIGHING}
        soft_end_ms = self._settings.barge_in.soft_end_ms if over_reply else self._eagerness.soft_end_ms
        self._listener.activity.set_soft_end(soft_end_ms)

    def _on_revision(self, revision: Revision, event: TurnEvent) -> None:
        if revision is self._revision:
            self._on(event, self._port.now_sample())

    def _on_evidence(self, revision: Revision, evidence: Evidence) -> None:
        if revision is self._revision and self.state is State.PENDING:
            needed_ms = self._end_of_turn.needed_ms(evidence)
            self._turn.in_doubt = needed_ms > self._settings.endpoint.doubt_ms
            _log.debug("%s: %s asks for %.0f ms of silence", self.name, evidence, needed_ms)
            for heard in self._listener.activity.need_silence(needed_ms):
                self._hear(heard)

    def _look(self) -> None:
        """See what has been said so far when that is of use: over a reply often, else now and then."""
        activity, now, latest = self._listener.activity, self._port.now_sample(), self._partials.latest
        unseen_ms = ms_from_samples(now - max(self._onset_sample, latest.until_sample))
        match self.state:
            case State.PAUSED:
                seen = latest.until_sample > self._onset_sample
                settings = self._settings.barge_in
                due = unseen_ms >= (settings.look_every_ms if seen else settings.first_look_ms)
            case State.WEIGHING:
                due = latest.until_sample < activity.speech_end_sample
                if not due:  # it saw all of the speech before that was known to have paused
                    self._judge(latest)
            case State.LISTENING:
                every_ms = self._settings.speculation.partial_every_ms
                # Each look begins at the onset; ever further apart, looks at a long speech stay in proportion to it.
                seen_ms = ms_from_samples(max(0, latest.until_sample - self._turn.onset_sample))
                due = activity.speaking and every_ms > 0 and unseen_ms >= max(every_ms, seen_ms / 2)
            case _:
                due = False
        if due and not self._partials.looking:
            begin = self._turn.onset_sample if self.state is State.LISTENING else self._onset_sample
            self._partials.look(self._group, self._utterance(begin, now), now)

    def _cover_wait(self) -> None:
        if self.state is State.THINKING and self._revision is not None:
            waited = self._port.now_sample() - self._turn.speech_end_sample
            self._revision.cover_wait(lambda: self._openers.due(self._turn.number, waited))

    def _use_quiet(self) -> None:
        """While nobody speaks, take up a text that waits for that, or else make room in the history."""
        quiet, now = self.state is State.IDLE and not self._listener.activity.near_speech, self._port.now_sample()
        if self._prompts.take(self.state, quiet=quiet) is not None:
            self._on(TurnEvent.PROMPTED, now)
            quiet = False
        self._compactor.look(self._group, now, quiet=quiet)

    def _weigh_again(self) -> None:
        """Once in a long pause, judge the voice with what came after the soft end."""
        revision, now = self._revision, self._port.now_sample()
        if revision is None or revision.weighed_again or not self._turn.in_doubt or self.state is not State.PENDING:
            return
        if ms_from_samples(now - self._turn.speech_end_sample) >= self._settings.endpoint.weigh_again_ms:
            revision.weighed_again = True
            revision.weigh_again(self._group, self._utterance(self._turn.onset_sample, now))

    def _on_partial(self, partial: Partial) -> None:
        if self.state in {State.PAUSED, State.WEIGHING}:
            self._judge(partial)
        elif self.state is State.LISTENING and partial.said.text:
            self._read_along.tell(self._turn.number, partial)
            self._warming.warm(self._group, self.history.messages(unfinished(partial.said.text)))

    def _judge(self, partial: Partial, text_end: float | None = None) -> None:
        """Decide by what was recognised whether the reply is to be stopped."""
        revision = self._revision
        if revision is None:
            return
        speech_end = self._listener.activity.speech_end_sample
        ended = self.state is State.WEIGHING and partial.until_sample >= speech_end
        event = self._overlap.judge(partial, revision, self._onset_sample, ended=ended, text_end=text_end)
        if event is not None:
            self._on(event, self._onset_sample)
        elif ended and text_end is None:
            self._sense.ask(self._group, partial, functools.partial(self._judge_sense, revision))

    def _judge_sense(self, revision: Revision, partial: Partial, text_end: float) -> None:
        if self._revision is revision and self.state is State.WEIGHING:
            self._judge(partial, text_end)

    def _stop_looking(self) -> None:
        self._partials.cancel()
        self._sense.cancel()

    def _utterance(self, begin_sample: int, end_sample: int) -> Pcm:
        pre_roll = samples_from_ms(self._settings.endpoint.pre_roll_ms)
        return self._listener.utterance(begin_sample - pre_roll, end_sample)

    def _open_turn(self, at_sample: int) -> None:
        del at_sample  # where the reply ended, if the speech began before that
        self._turn = Turn(self._turn.number + 1, self._onset_sample)

    def _start_revision(self, at_sample: int) -> None:
        del at_sample  # the onset, if the words over a reply have opened the turn
        turn, now = self._turn, self._port.now_sample()
        turn.revisions += 1
        turn.speech_end_sample = self._listener.activity.speech_end_sample
        self._partials.cancel()
        self._warming.cancel()
        pcm = self._utterance(turn.onset_sample, now)
        # The onset is noticed about as late as the end.
        speech_s = (now - turn.onset_sample) / SAMPLE_RATE_HZ
        said = self._overlap.take_words()
        self._revision = Revision(
            *(self._around, turn.number, turn.revisions, pcm, speech_s),
            said=said,
            draft=turn.draft,
            speech_end_sample=turn.speech_end_sample,
        )
        self._revision.marks.note("soft_end", now)
        turn.in_doubt = False
        self._revision.start(self._group)

    def _start_prompted(self, at_sample: int) -> None:
        prompt, turn = self._prompts.current, self._turn
        if prompt is None:
            return
        turn.onset_sample = turn.speech_end_sample = at_sample
        turn.revisions += 1
        self._warming.cancel()
        self._revision = Revision.of_prompt(self._around, turn.number, prompt)
        self._revision.start(self._group)

    def _drop_revision(self, _at_sample: int) -> None:
        if self._prompts.current is not None:  # the user was quicker, and his turn is this one
            self._prompts.put_back()
            self._turn.onset_sample = self._onset_sample
        if self._revision is not None:
            self._turn.draft = self._revision.drop()
            self._revision = None

    def _commit(self, _at_sample: int) -> None:
        if self._revision is not None:
            now = self._port.now_sample()
            self._publish(TurnCommitted(self.name, self._turn.number, self._turn.revisions, now))
            self._revision.commit()

    def _discard_turn(self, at_sample: int) -> None:
        self._drop_revision(at_sample)
        if self._turn.draft is not None:
            self._turn.draft.work.drop()
        self._partials.cancel()
        self._publish(TurnDiscarded(self.name, self._turn.number, self._port.now_sample()))

    def _pause(self, _at_sample: int) -> None:
        if self._revision is not None:
            self._overlap.pause(self._revision)

    def _resume(self, _at_sample: int) -> None:
        self._stop_looking()
        self._noise_goes_on = self._listener.activity.speaking
        if self._revision is not None:
            self._overlap.resume(self._revision)
            self._publish(Resumed(self.name, self._turn.number, self._port.now_sample()))

    def _interrupt(self, at_sample: int) -> None:
        self._stop_looking()
        interruption = self._overlap.interruption(self.name, self._turn.number, at_sample)
        if interruption is not None:
            self._publish(interruption)
        self._end_turn(interrupted=True)

    def _close_turn(self, _at_sample: int) -> None:
        self._end_turn(interrupted=False)
        if self._noise_goes_on and self._listener.activity.speaking:
            self._listener.activity.begin_anew()  # or the next question would be its continuation
        self._noise_goes_on = False

    def _apologize(self, _at_sample: int) -> None:
        if self._revision is not None:
            _log.info("%s: turn %d failed: %s", self.name, self._turn.number, self._revision.error)
            self._revision.apologize(self._group)

    def _end_turn(self, *, interrupted: bool) -> None:
        revision, turn = self._revision, self._turn
        if revision is None:
            return
        revision.cancel()
        self._revision = None
        self._overlap.forget()
        self._end_of_turn.turn_ended()
        revision.remember(self.history)
        ended = turn.ended(self.name, revision, self._settings.budget, interrupted=interrupted)
        self._prompts.turn_ended(ended)
        self._publish(ended)
        self._eagerness.turn_ended(self.work.cpu_s, self.work.wasted_cpu_s)
        self._set_soft_end()
        self._compactor.turn_ended()
        self._warm_history()

    def _warm_history(self) -> None:
        self._warming.warm(self._group, self.history.messages())

    def _report_drops(self) -> None:
        if self._port.dropped_frames != self._dropped_frames:
            self._dropped_frames = self._port.dropped_frames
            self._publish(FramesDropped(self.name, self._dropped_frames))

    def _publish(self, event: Event) -> None:
        self._stages.attend(event)
        self.earcons.on(event)
        self._observer(event)

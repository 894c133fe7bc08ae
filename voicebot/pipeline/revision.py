"""One version of the user's side of a turn, and all work on it: recognise, weigh, respond, speak, play.

Nothing of it is audible or remembered before `commit`. `cancel` ends every part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from voicebot.assistant.history import History
from voicebot.audio import Pcm, ms_from_samples, samples_from_ms, silence
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import VoicebotError
from voicebot.events import (
    ClauseSynthesised,
    Observer,
    ReplyAudible,
    ReplyBegun,
    ReplySynthesised,
    Transcribed,
)
from voicebot.latency.marks import OPENER_MARK, Marks
from voicebot.latency.plan import planned
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.draft import Draft
from voicebot.pipeline.play import OPENER, Player
from voicebot.pipeline.prompts import Prompt
from voicebot.pipeline.recognize import Recognized, recognize
from voicebot.pipeline.respond import respond
from voicebot.pipeline.rules import clause_rules
from voicebot.pipeline.speak import ClauseAudio, speak
from voicebot.pipeline.stages import Stages
from voicebot.pipeline.understand import Request, understand
from voicebot.pipeline.weigh import weigh_text, weigh_voice
from voicebot.turn.barge_in import BargeInRules
from voicebot.turn.endpoint import Evidence
from voicebot.turn.heard import HeardReply
from voicebot.turn.table import TurnEvent

_HEAD_START_S: Final = 0.1
"""The voice is judged once the reply has begun, which leaves a core free, or after as long at the latest: until then
the language model has all of them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a revision works with; the same for all of a session's."""

    session: str
    stages: Stages
    settings: PipelineSettings
    history: History
    barge_in: BargeInRules
    playback: PlaybackBuffer
    ledger: WorkLedger
    now_sample: Callable[[], int]
    observer: Observer
    report: Callable[[Revision, TurnEvent], None]
    report_evidence: Callable[[Revision, Evidence], None]


class Revision:
    """The work on one revision, in one task. The session hears what happened by `report` and `report_evidence`."""

    def __init__(
        self,
        around: Surroundings,
        turn: int,
        number: int,
        pcm: Pcm,
        speech_s: float,
        *,
        said: Recognized | None = None,
        request: Request | None = None,
        draft: Draft | None = None,
        speech_end_sample: int | None = None,
    ) -> None:
        """`pcm`: the user's side of the turn, in which `speech_s` lie between the onset and the last speech.

        `said`: the words, where a look has found them already. `request`: what is to be done where that is known, as of
        a text that is to be said. `draft`: what was prepared for the one before.
        `speech_end_sample`: from where on the user waits; by default from this moment.
        """
        self.turn = turn
        self.number = number
        self.text = ""
        self.request = request
        self.error: str | None = None
        self.reply = HeardReply()
        self.marks = Marks()
        self.draft = draft
        self.weighed_again = False
        self.plan = around.stages.ladders.plan(self._left_s)
        self._around = around
        self._speech_end_sample = around.now_sample() if speech_end_sample is None else speech_end_sample
        self._pcm = pcm
        self._speech_s = speech_s
        self._said = said
        self._work = Work(around.ledger)
        self._committed = asyncio.Event()
        self._begun = asyncio.Event()
        self._apologizes = False
        self._player = Player(around.playback, self, self._on_played)
        self._task: asyncio.Task[None] | None = None
        self._weighing: asyncio.Task[None] | None = None
        self._evidence: Evidence | None = None

    @classmethod
    def of_prompt(cls, around: Surroundings, turn: int, prompt: Prompt) -> Revision:
        """Return the only revision of a turn that nobody spoke."""
        request = None if prompt.asked else Request("", reply=prompt.text)
        said = Recognized(prompt.text if prompt.asked else "", 0.0)
        return cls(around, turn, 1, silence(0), 0.0, said=said, request=request)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin the work in a task that the group owns."""
        self._task = group.create_task(self._run(), name=f"turn {self.turn} revision {self.number}")

    def commit(self) -> None:
        """Let the reply be heard, or report at once that the work on it has failed."""
        self._mark("committed")
        self._committed.set()
        if self._weighing is not None:
            self._weighing.cancel()  # there is nothing left to decide, and the reply's end would wait for it
        if self.error is not None:
            self._around.report(self, TurnEvent.FAILED)

    def weigh_again(self, group: asyncio.TaskGroup, pcm: Pcm) -> None:
        """Judge the voice by more of the audio: the burst of a final "k" comes after a silence of its own."""
        if self._evidence is not None and self._around.stages.turn is not None:
            work = self._weigh_again(self._evidence, pcm)
            self._weighing = group.create_task(work, name=f"turn {self.turn} weighed again")

    def cover_wait(self, opener: Callable[[], Pcm | None]) -> None:
        """Play an opener, if there is one, while no sound of a reply that takes thinking is there or about to be."""
        thinks = self.request is not None and self.request.reply is None and self.error is None
        if thinks and not self._sound_is_near() and OPENER_MARK not in self.marks.samples:
            pcm = opener()
            if pcm is not None:
                self._player.open(pcm)

    def pause(self) -> None:
        """Hold the reply where it is."""
        self._player.pause()

    def resume(self) -> None:
        """Go on with the reply from the first word that was not heard; with an apology from its beginning."""
        self._player.resume(*((0, 0) if self._apologizes else self.reply.rewind_to_word()))

    def cancel(self) -> None:
        """Stop every part of the work; nothing of it is played after this."""
        self._player.stop()
        for task in (self._task, self._weighing):
            if task is not None:
                task.cancel()

    def drop(self) -> Draft | None:
        """Cancel it, since the user has gone on; return what the next one may make use of."""
        self.cancel()
        self._work.drop()
        return self.draft

    def remember(self, history: History) -> None:
        """Add what was said, and of the reply what was heard, to the history; a mere "stop" is not worth it."""
        request = self.request
        if request is None or request.reply is None:
            history.add(self.text if request is None else request.text, self.reply.heard)
        elif request.reply:
            history.add(request.text, self.reply.heard, unsure=request.unsure)

    def apologize(self, group: asyncio.TaskGroup) -> None:
        """Play the apology instead of what is left of the reply; after `resume` where that is held."""
        self.cancel()
        held = self._player.paused
        self._apologizes = True
        self._player = Player(self._around.playback, (self, "apology"), self._on_apology_played)
        if held:
            self._player.pause()
        self._task = group.create_task(self._play_apology(), name=f"turn {self.turn} apology")

    async def _run(self) -> None:
        charged_to.set(self._work)
        planned.set(self.plan)
        event = await self._work_through()
        if event is not TurnEvent.FAILED or self._committed.is_set():
            self._around.report(self, event)
        else:
            self._around.report_evidence(self, Evidence(self.text))

    async def _work_through(self) -> TurnEvent:
        around = self._around
        try:
            said = self._said or await recognize(around.stages.asr, self._pcm)
            self.text = said.text
            self._mark("asr_final")
            if self.request is None:
                around.observer(Transcribed(around.session, self.turn, self.number, self.text))
                if not self.text:
                    return TurnEvent.NOTHING_SAID
            await self._answer(said)
        except* VoicebotError as errors:
            self.error = "; ".join(str(error) for error in errors.exceptions)
        # Nothing is awaited after an error: before Python 3.13 a task group forgets a cancellation that came with it.
        return TurnEvent.REPLY_ENDED if self.error is None else TurnEvent.FAILED

    async def _answer(self, said: Recognized) -> None:
        around, settings = self._around, self._around.settings
        clauses = Channel[str](settings.playback.clauses_waiting)
        audio = Channel[ClauseAudio](settings.playback.clauses_waiting)
        request = self.request or understand(said, around.history, settings.phrases, around.barge_in)
        self.request = request
        if self.draft is not None and self.draft.text != self.text:
            self.draft.work.drop()
            self.draft = None
        if self.draft is None:
            work = Work(around.ledger)
            self.draft = Draft(around.stages.slm, around.stages.tts, self.text, work, around.session)
        charged_to.set(self.draft.work)
        async with asyncio.TaskGroup() as group:
            # First, since the words have to be prefilled for it and the reply goes on from there.
            if request.reply == "":
                around.report_evidence(self, Evidence(self.text, 1.0))
            elif not self._committed.is_set():
                self._weighing = group.create_task(self._weigh(said, self.draft))
            if request.reply is None:
                if self.draft.shape is None:
                    self.draft.shape = self.plan.shape(len(request.text), settings.clauses, settings.slm.max_tokens)
                cut, max_tokens = self.draft.shape
                messages, rules = around.history.messages(request.text), clause_rules(cut, settings.endpoint)
                group.create_task(respond(self.draft, messages, max_tokens, rules, clauses, self._mark))
            else:
                self._begun.set()
                group.create_task(_say(request.reply, clauses))
            group.create_task(self._speak(self.draft, clauses, audio))
            group.create_task(self._player.play(audio, self._committed, samples_from_ms(settings.playback.ahead_ms)))

    async def _speak(self, draft: Draft, clauses: Channel[str], audio: Channel[ClauseAudio]) -> None:
        await speak(draft, clauses, audio, self.reply, self._mark, self._on_clause)
        self._around.observer(ReplySynthesised(self._around.session, self.turn))

    async def _weigh(self, said: Recognized, draft: Draft) -> None:
        around = self._around
        text = await weigh_text(around.stages.slm, around.history, draft, said, self._speech_s, around.session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEAD_START_S):
                await self._begun.wait()
        voice = await weigh_voice(around.stages.turn, self._pcm)
        self._evidence = replace(text, voice=voice)
        around.report_evidence(self, self._evidence)

    async def _weigh_again(self, evidence: Evidence, pcm: Pcm) -> None:
        charged_to.set(self._work)
        voice = await weigh_voice(self._around.stages.turn, pcm)
        if voice is not None:
            if evidence.voice is not None:
                # Silence alone makes the model surer, whether or not the speaker goes on.
                voice = replace(voice, end=min(voice.end, evidence.voice.end))
            self._around.report_evidence(self, replace(evidence, voice=voice))

    def _left_s(self) -> float:
        waited_ms = ms_from_samples(self._around.now_sample() - self._speech_end_sample)
        return (self._around.settings.budget.total_ms - waited_ms) / 1000

    def _sound_is_near(self) -> bool:
        marks = self.marks.samples
        if "tts_first_audio" in marks or "slm_first_clause" not in marks:
            return "tts_first_audio" in marks
        synthesizing_ms = ms_from_samples(self._around.now_sample() - marks["slm_first_clause"])
        return synthesizing_ms < self._around.settings.budget.tts_ms

    @property
    def source(self) -> str:
        """Where the reply came from; "say" for a text that somebody wanted to be said."""
        if self.request is None or self.request.reply is None:
            return "slm"
        return "intent" if self.request.text else "say"

    async def _play_apology(self) -> None:
        audio = Channel[ClauseAudio](1)
        await audio.send(ClauseAudio(0, self._around.stages.apology))
        await audio.close()
        await self._player.play(audio, self._committed, samples_from_ms(self._around.settings.playback.ahead_ms))
        self._around.report(self, TurnEvent.REPLY_ENDED)

    def _mark(self, name: str) -> None:
        self.marks.note(name, self._around.now_sample())
        if name == "slm_first_token":
            self._begun.set()
            self._around.observer(ReplyBegun(self._around.session, self.turn))

    def _on_clause(self, text: str, samples: int) -> None:
        self._around.observer(ClauseSynthesised(self._around.session, self.turn, text, ms_from_samples(samples)))

    def _on_played(self, clause: int, stretch: Played) -> None:
        if clause != OPENER:
            self.reply.add_played(clause, stretch.samples)
            self._on_audible(stretch)
        elif stretch.audible_sample is not None and OPENER_MARK not in self.marks.samples:
            self.marks.note(OPENER_MARK, stretch.audible_sample)
            self._around.report(self, TurnEvent.REPLY_AUDIBLE)

    def _on_apology_played(self, clause: int, stretch: Played) -> None:
        del clause
        self._on_audible(stretch)

    def _on_audible(self, stretch: Played) -> None:
        if stretch.audible_sample is not None and "audible" not in self.marks.samples:
            self.marks.note("audible", stretch.audible_sample)
            self._around.observer(ReplyAudible(self._around.session, self.turn, stretch.audible_sample))
            self._around.report(self, TurnEvent.REPLY_AUDIBLE)


async def _say(reply: str, clauses: Channel[str]) -> None:
    if reply:
        await clauses.send(reply)
    await clauses.close()

"""Whatever is heard and however the work goes, the turn machine is never asked for what it does not know.

Here voice activity and a model of a session drive the machine: revisions report only what a live revision could, as
pipeline/revision.py does, words are judged only while a reply is held, evidence counts only while a turn is pending,
and the machine's actions decide which revision lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio import samples_from_ms
from voicebot.turn.activity import ActivityRules, VoiceActivity, VoiceEvent
from voicebot.turn.table import Action, State, TurnEvent, TurnMachine

CHUNK = 512
NOTHING_SAID, FAILED = TurnEvent.NOTHING_SAID, TurnEvent.FAILED
REPLY_AUDIBLE, REPLY_ENDED, STOP = TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED, TurnEvent.STOP
HELD = {State.PAUSED, State.WEIGHING}
AUDIBLE = {State.SPEAKING, State.OVERLAP} | HELD


@dataclass
class FakeRevision:
    """What a revision's task has come to, and so what it may report next."""

    recognised: bool = False
    committed: bool = False
    audible: bool = False
    apologizing: bool = False
    held: bool = False

    def possible_reports(self) -> list[TurnEvent]:
        reports: list[TurnEvent] = []
        if not self.recognised:
            reports.append(NOTHING_SAID)
        if self.committed and not self.apologizing:
            reports.append(FAILED)
        if self.committed and (self.recognised or self.apologizing):
            reports.append(REPLY_AUDIBLE)
            reports += [] if self.held else [REPLY_ENDED]
        return reports


@dataclass
class FakeSession:
    """Carries out the machine's actions as pipeline/session.py does, with a revision that does nothing."""

    rules: ActivityRules
    machine: TurnMachine = field(default_factory=TurnMachine)
    revision: FakeRevision | None = None
    chunks: int = 0

    def __post_init__(self) -> None:
        self.activity = VoiceActivity(self.rules)

    def hear(self, probability: float, chunks: int) -> None:
        for _ in range(chunks):
            start, self.chunks = self.chunks * CHUNK, self.chunks + 1
            self.happened(self.activity.hear(start, start + CHUNK, probability, 60 * probability - 60))

    def happened(self, events: list[VoiceEvent]) -> None:
        for heard in events:
            self.on(heard.event)

    def on(self, event: TurnEvent) -> None:
        for action in self.machine.on(event):
            self.perform(action)
        self.check()

    def perform(self, action: Action) -> None:
        match action:
            case Action.OPEN_TURN:
                assert self.revision is None
            case Action.START_REVISION:
                assert self.revision is None
                self.revision = FakeRevision()
            case Action.DROP_REVISION | Action.DISCARD_TURN:
                assert self.revision is None or not self.revision.audible
                self.revision = None
            case Action.COMMIT:
                assert self.revision is not None
                self.revision.committed = True
            case Action.INTERRUPT | Action.CLOSE_TURN:
                assert self.revision is not None
                assert self.revision.committed
                self.revision = None
            case Action.APOLOGIZE:
                assert self.revision is not None
                self.revision.recognised = self.revision.apologizing = True
            case Action.PAUSE | Action.RESUME:
                assert self.revision is not None
                assert self.revision.held == (action is Action.RESUME)
                self.revision.held = action is Action.PAUSE
            case Action.DUCK | Action.UNDUCK:
                assert self.revision is not None

    def check(self) -> None:
        """The machine's state and the revision's life say the same."""
        state, revision = self.machine.state, self.revision
        assert (revision is not None) == (state in {State.PENDING, State.THINKING} | AUDIBLE)
        if revision is not None:
            assert revision.committed == (state is not State.PENDING)
            assert revision.audible == (state in AUDIBLE)
            assert revision.held == (state in HELD)

    def recognise(self) -> None:
        if self.revision is not None:
            self.revision.recognised = True

    def report(self, choice: int) -> None:
        """Let the live revision report one of the things that it could."""
        if self.revision is not None and (possible := self.revision.possible_reports()):
            event = possible[choice % len(possible)]
            self.revision.audible |= event is REPLY_AUDIBLE
            self.on(event)

    def judge(self, *, meant: bool) -> None:
        """Let what was recognised over a held reply decide."""
        if self.machine.state in HELD:
            self.on(TurnEvent.MEANT if meant else TurnEvent.NOT_MEANT)

    def weigh(self, needed_ms: float) -> None:
        """Let the evidence ask for that much silence."""
        if self.machine.state is State.PENDING:
            self.happened(self.activity.need_silence(needed_ms))


@st.composite
def rules(draw: st.DrawFn) -> ActivityRules:
    """Draw rules that config/pipeline.py would accept."""
    silence, speech = sorted(draw(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9))))
    return ActivityRules(
        sign_probability=draw(st.floats(0.05, 0.95)),
        speech_probability=speech,
        silence_probability=silence,
        echo_probability=draw(st.floats(0.05, 0.95)),
        silence_drop_db=draw(st.floats(3, 60)),
        onset_ms=draw(st.integers(32, 200)),
        confirm_ms=draw(st.integers(32, 600)),
        soft_end_ms=draw(st.integers(32, 400)),
        longest_silence_ms=draw(st.integers(96, 1000)),
        longest_turn_ms=draw(st.integers(2000, 4000)),
    )


Steps = list[tuple[str, float, int]]


def step(
    what: str, probabilities: st.SearchStrategy[float], numbers: st.SearchStrategy[int]
) -> st.SearchStrategy[Steps]:
    return st.tuples(st.just(what), probabilities, numbers).map(lambda drawn: [drawn])


SPEECH = step("hear", st.just(1.0), st.integers(1, 24))
SILENCE = step("hear", st.just(0.0), st.integers(1, 32))
WAVERING = step("hear", st.floats(0, 1), st.integers(1, 4))
RECOGNISED = step("recognise", st.just(0.0), st.just(0))
REPORTED = step("report", st.just(0.0), st.integers(0, 5))
STOPPED = step("stop", st.just(0.0), st.just(0))
JUDGED = step("judge", st.just(0.0), st.integers(0, 1))
WEIGHED = step("weigh", st.just(0.0), st.integers(0, 1200))
ANSWERED: st.SearchStrategy[Steps] = st.just(
    [("hear", 1.0, 20), ("hear", 0.0, 32), ("recognise", 0.0, 0), ("report", 0.0, 1)]
)
"""A question whose reply has become audible, from where it gets interesting."""
SCENE = st.one_of(
    SPEECH, SILENCE, WAVERING, RECOGNISED, REPORTED, ANSWERED, JUDGED, WEIGHED, st.one_of(SPEECH, STOPPED)
)
STEPS = st.lists(SCENE, min_size=20, max_size=60).map(lambda scenes: [step for scene in scenes for step in scene])


def play(session: FakeSession, steps: Steps) -> None:
    for what, probability, number in steps:
        match what:
            case "hear":
                session.hear(probability, number)
            case "report":
                session.report(number)
            case "recognise":
                session.recognise()
            case "judge":
                session.judge(meant=bool(number))
            case "weigh":
                session.weigh(number)
            case _:
                session.on(STOP)


@given(rules(), STEPS)
def test_no_conversation_leads_to_an_illegal_event(rules: ActivityRules, steps: Steps) -> None:
    play(FakeSession(rules), steps)


@given(rules(), STEPS, st.lists(st.integers(0, 5), min_size=4, max_size=4), st.booleans())
def test_silence_and_the_end_of_the_work_lead_back_to_idle(
    rules: ActivityRules, steps: Steps, reports: list[int], recognised: bool
) -> None:
    session = FakeSession(rules)
    play(session, steps)
    longest_ms = max(rules.longest_silence_ms, rules.soft_end_ms)
    session.hear(0.0, samples_from_ms(longest_ms) // CHUNK + 4)
    if recognised:
        session.recognise()
    for choice in [*reports, *[-1] * 3]:  # -1 is the last of the possible ones: the reply ends
        session.report(choice)
    session.recognise()
    session.report(-1)
    assert session.machine.state is State.IDLE
    assert not session.activity.near_speech


@given(rules(), STEPS)
def test_the_detector_is_awake_whenever_the_machine_waits_for_the_user(rules: ActivityRules, steps: Steps) -> None:
    session = FakeSession(rules)
    for step in steps:
        play(session, [step])
        if session.machine.state in {State.LISTENING, State.PENDING, State.OVERLAP} | HELD:
            assert session.activity.near_speech


@given(rules(), STEPS)
def test_stop_leads_to_idle_at_once(rules: ActivityRules, steps: Steps) -> None:
    session = FakeSession(rules)
    play(session, steps)
    session.on(STOP)
    assert session.machine.state is State.IDLE
    assert session.revision is None

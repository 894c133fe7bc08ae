"""Stages with a watch: what their requests cost is learnt, and a turn that would be late does with less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace

import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, understood
from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.clock import run_virtual
from voicebot.config.pipeline import ClauseSettings, LadderSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message, Speech, Transcript
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.errors import EngineError
from voicebot.events import ClauseSynthesised
from voicebot.latency.costs import Costs
from voicebot.latency.misses import Cause
from voicebot.latency.plan import Plan, planned
from voicebot.pipeline.budgeted import budgeted
from voicebot.pipeline.stages import Stages

SECOND = hum(SAMPLE_RATE_HZ)
ASKED = (Message("user", "What time is it in Paris?"),)
LADDER = LadderSettings()
REPLY = "one two three four five six seven eight nine ten eleven twelve."


@dataclass
class Ears:
    """Recognise in a second, and in six on the full window, which doubtful words want and have no time for in less."""

    doubtful: bool = False
    second_model: bool | None = None
    asked: list[float | None] = field(default_factory=list)

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        self.asked.append(within_s)
        wanted = thorough and self.doubtful
        hurried = wanted and within_s is not None and within_s < 6
        again = wanted and not hurried
        await CLOCK.sleep_s(6 if again else 1)
        speech_s = len(pcm) / SAMPLE_RATE_HZ
        return Transcript("Hello.", -0.1, 0.0, speech_s, again, hurried, self.second_model)


@dataclass
class Brain:
    """Begin after half a second, and go on with a word every tenth of one."""

    words: int = 20
    fails: bool = False
    left: int = 0

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        return len(messages) + len(session)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        return 0.25 * len(messages) + len(session)

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        try:
            for number in range(min(self.words, max_tokens)):
                await CLOCK.sleep_s(0.1 if number else 0.5)
                if self.fails:
                    raise EngineError("the brain failed.")
                yield f"{begun}{number}"
        finally:
            self.left += 1


class Mouth:
    """Speak a clause in two halves, a second each."""

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        for _ in range(2):
            await CLOCK.sleep_s(1)
            yield Speech(SECOND if first and text else SECOND[:10])


class OnePlan:
    """Stages under a plan of which the time that is left can be set."""

    def __init__(self, ears: Ears | None = None, brain: Brain | None = None, ladder: LadderSettings = LADDER) -> None:
        self.left_s = 100.0
        self.first_words = self.most_tokens = 0
        self.costs = Costs(CLOCK)
        self.ears = ears or Ears()
        plain = replace(scripted_stages(CLOCK), asr=self.ears, slm=brain or Brain(), tts=Mouth())
        self.stages = budgeted(plain, self.costs, ladder, CLOCK)
        self.plan = self.begin()

    def begin(self) -> Plan:
        self.plan = self.stages.ladders.plan(lambda: self.left_s)
        planned.set(self.plan)
        return self.plan

    async def hear(self, seconds: int = 1) -> Transcript:
        return await self.stages.asr.transcribe(hum(seconds * SAMPLE_RATE_HZ))

    async def reply(self, session: str = "talk") -> list[str]:
        return [piece async for piece in self.stages.slm.generate(ASKED, 30, session=session)]

    async def say(self, text: str, *, first: bool, listening_s: float = 0.0) -> int:
        heard = 0
        async for _ in self.stages.tts.synthesize(text, first=first):
            heard += 1
            await CLOCK.sleep_s(listening_s)
        return heard

    @property
    def spent(self) -> list[tuple[str, float, float]]:
        return [(one.stage, one.units, round(one.seconds, 6)) for one in self.plan.spent]


def under_plan(script: Callable[[OnePlan], Awaitable[None]], scene: Callable[[], OnePlan] = OnePlan) -> OnePlan:
    async def main() -> OnePlan:
        one = scene()
        await script(one)
        return one

    return run_virtual(main())


class TestWatch:
    def test_what_is_asked_is_answered_as_without_it(self) -> None:
        async def script(scene: OnePlan) -> None:
            assert (await scene.hear()).text == "Hello."
            assert await scene.reply() == [str(number) for number in range(20)]
            assert await scene.say("Hello.", first=True) == 2
            assert await scene.stages.slm.prefill(ASKED, session="talk") == 5
            assert await scene.stages.slm.end_probability(ASKED, session="talk") == 4.25

        under_plan(script)

    def test_every_request_is_timed(self) -> None:
        async def script(scene: OnePlan) -> None:
            await scene.hear(3)
            await scene.reply()
            await scene.say("Hello.", first=True)
            await scene.say("And goodbye.", first=False)

        asked = len(ASKED[-1].content) / 4
        found = under_plan(script).spent
        assert found == [("asr", 3, 1), ("slm_read", asked, 0.5), ("slm", 11, 1.1), ("tts_first", 6, 1)]

    def test_a_short_reply_is_timed_to_its_end(self) -> None:
        async def script(scene: OnePlan) -> None:
            await scene.reply()

        spent = under_plan(script, lambda: OnePlan(brain=Brain(words=4))).spent
        assert spent[1:] == [("slm", 3, 0.3)]

    def test_what_it_costs_is_learnt(self) -> None:
        async def script(scene: OnePlan) -> None:
            for seconds in (1, 2, 3, 4) * 10:
                await scene.hear(seconds)
                await scene.say("Hello." * seconds, first=False)

        costs = under_plan(script).costs
        assert costs.cost("asr").seconds(2, 1.0) == pytest.approx(1, rel=0.05)
        assert costs.cost("tts").seconds(12, 1.0) == pytest.approx(2, rel=0.05)

    def test_a_clause_that_had_to_wait_for_playback_says_nothing_of_synthesis(self) -> None:
        async def script(scene: OnePlan) -> None:
            before = scene.costs.cost("tts")
            await scene.say("Hello.", first=True, listening_s=1)
            assert scene.costs.cost("tts") == before

        under_plan(script)

    def test_what_the_assistant_writes_for_itself_is_not_timed(self) -> None:
        async def script(scene: OnePlan) -> None:
            assert len(await scene.reply("talk/summary")) == 20

        assert under_plan(script).spent == []

    def test_outside_a_plan_it_only_learns(self) -> None:
        async def script(scene: OnePlan) -> None:
            planned.set(None)
            before = scene.costs.cost("asr")
            await scene.hear()
            assert scene.costs.cost("asr") != before

        scene = under_plan(script)
        assert scene.spent == []
        assert scene.ears.asked == [None]

    def test_leaving_early_ends_the_work_behind_it_and_explains_a_late_one_after_it(self) -> None:
        brain = Brain()

        async def script(scene: OnePlan) -> None:
            async with aclosing(scene.stages.slm.generate(ASKED, 30)) as stream:
                async for _ in stream:
                    break
            assert brain.left == 1
            assert scene.costs.under_way("slm") == 0
            await scene.reply()
            await CLOCK.sleep_s(1)
            await scene.reply()
            causes = [one.cause for one in scene.plan.spent if one.stage == "slm_read"]
            assert causes == [None, Cause.CANCELLED, None]

        under_plan(script, lambda: OnePlan(brain=brain))

    def test_a_request_beside_another_is_not_what_it_costs(self) -> None:
        async def script(scene: OnePlan) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(scene.hear())
                group.create_task(scene.hear())
            assert [one.cause for one in scene.plan.spent] == [None, Cause.QUEUE]
            assert len(scene.costs.learnt) == 0  # it has no keys

        under_plan(script)

    def test_a_stage_that_rested_for_long_is_cold(self) -> None:
        async def script(scene: OnePlan) -> None:
            for rest_s in (10, 1000, 0):
                await scene.hear()
                await CLOCK.sleep_s(rest_s)
            assert [one.cause for one in scene.plan.spent] == [None, None, Cause.COLD]

        under_plan(script)

    def test_an_error_is_passed_on_and_teaches_nothing(self) -> None:
        async def script(scene: OnePlan) -> None:
            before = scene.costs.cost("slm_read")
            with pytest.raises(EngineError, match="the brain failed"):
                await scene.reply()
            assert scene.costs.cost("slm_read") == before
            assert scene.costs.under_way("slm") == 0

        under_plan(script, lambda: OnePlan(brain=Brain(fails=True)))


class TestRecognition:
    """It may take what is left when the reply's first sound has its time."""

    @staticmethod
    def heard(left_s: float, ears: Ears, ladder: LadderSettings = LADDER) -> OnePlan:
        async def script(scene: OnePlan) -> None:
            scene.left_s = left_s
            scene.begin()
            await scene.hear()

        return under_plan(script, lambda: OnePlan(ears, ladder=ladder))

    def test_doubtful_words_are_looked_at_again_when_there_is_time(self) -> None:
        scene = self.heard(12, Ears(doubtful=True))
        (within_s,) = scene.ears.asked
        assert within_s is not None
        assert 6 < within_s < 12
        assert [(one.seconds, one.cause) for one in scene.plan.spent] == [(6, Cause.SECOND_LOOK)]
        assert scene.plan.rungs == {}

    def test_the_turn_says_when_there_was_none(self) -> None:
        scene = self.heard(4, Ears(doubtful=True))
        assert [one.seconds for one in scene.plan.spent] == [1]
        assert scene.plan.rungs == {"recognition": "no full window"}

    @pytest.mark.parametrize(("looked", "rungs"), [(True, {}), (False, {"recognition": "no second model"}), (None, {})])
    def test_the_turn_says_when_the_larger_model_had_no_time(self, looked: bool | None, rungs: dict[str, str]) -> None:
        assert self.heard(12, Ears(second_model=looked)).plan.rungs == rungs

    def test_without_the_ladder_there_is_time_for_anything(self) -> None:
        scene = self.heard(-1, Ears(doubtful=True), LadderSettings(enabled=False))
        assert scene.ears.asked == [None]
        assert scene.plan.rungs == {}


class TestShape:
    """The first word takes half a second, each other a tenth of one, and so does the voice."""

    @staticmethod
    def shaped(left_s: float, *, first_words: int = 8, pressure: float = 0.0, crowded: bool = False) -> OnePlan:
        async def script(scene: OnePlan) -> None:
            for number in range(60):
                await scene.reply()
                scene.costs.took("tts_first", 6 * (1 + number % 8), 0.1)
            scene.left_s, scene.stages.ladders.pressure = left_s, pressure
            clauses = ClauseSettings(first_words=first_words)
            with scene.costs.asking("slm") if crowded else nullcontext():
                cut, scene.most_tokens = scene.begin().shape(24, clauses, 60)
            scene.first_words = cut.first_words
            kept = {"first_words": cut.first_words, "later_words": cut.later_words}
            assert cut == clauses.model_copy(update=kept)

        return under_plan(script)

    def test_with_time_a_reply_is_as_long_as_it_may_be(self) -> None:
        scene = self.shaped(10)
        assert (scene.first_words, scene.most_tokens, scene.plan.rungs) == (8, 60, {})

    @pytest.mark.parametrize(("left_s", "words"), [(1.5, 5), (0.1, 5), (-1.0, 5)])
    def test_with_less_its_first_clause_is_shorter(self, left_s: float, words: int) -> None:
        scene = self.shaped(left_s)
        assert (scene.first_words, scene.most_tokens) == (words, 60)
        assert scene.plan.rungs == {"first clause": f"{words} words"}

    def test_a_first_clause_that_is_short_already_is_not_made_longer(self) -> None:
        assert self.shaped(0.0, first_words=4).first_words == 4  # three would not cover the making of the next
        assert self.shaped(0.0, first_words=2).first_words == 2

    def test_heat_makes_replies_shorter_whatever_time_there_is(self) -> None:
        scene = self.shaped(100, pressure=0.6)
        assert (scene.first_words, scene.most_tokens) == (5, 30)
        assert scene.plan.rungs == {"first clause": "5 words", "reply": "short"}

    @pytest.mark.parametrize(("left_s", "most"), [(100.0, 60), (0.1, 30)])
    def test_who_is_late_while_others_are_answered_is_brief(self, left_s: float, most: int) -> None:
        assert self.shaped(left_s, crowded=True).most_tokens == most


def _talk(each_ms: Sequence[float]) -> tuple[Talk, Stages]:
    """Hold a conversation in which the language model takes so long for a word, turn by turn."""
    model = ScriptedModel(lambda _: REPLY)
    plain = scripted_stages(CLOCK, ScriptedRecognizer(understood), model)
    stages = budgeted(plain, Costs(CLOCK), LADDER, CLOCK)

    async def script(talk: Talk) -> None:
        for each in each_ms:
            model.pace = Pace(60, each)
            await talk.ask_ms(600)

    return converse(script, stages=stages), stages


class TestConversation:
    """Sessions on scripted engines, whose language model becomes slow in the middle."""

    def test_a_slow_model_makes_first_clauses_short_until_it_is_fast_again(self) -> None:
        talk, _ = _talk((*[10] * 4, *[90] * 8, *[10] * 30))
        words = [turn.ladder.get("first clause", "8 words") for turn in talk.turns]
        assert words[:4] == ["8 words"] * 4
        assert words[11] == "5 words"
        assert words[-1] == "8 words"
        assert all(turn.reply == REPLY for turn in talk.turns)
        clauses = [event.text for event in talk.of(ClauseSynthesised) if event.turn == 12]
        assert clauses[0] == "one two three four five"

    def test_what_was_late_is_told_with_its_cause_and_counted(self) -> None:
        talk, stages = _talk((*[10] * 4, 200))
        noticed = {"endpoint": "audio blocks"}
        assert [turn.missed for turn in talk.turns[:4]] == [noticed] * 4
        assert talk.turns[4].missed == {**noticed, "slm": "slow", "total": "slm"}
        misses = stages.ladders.misses
        assert misses.turns == 5
        assert misses.counts == {("endpoint", "audio blocks"): 5, ("slm", "slow"): 1, ("total", "slm"): 1}

    def test_each_turn_tells_what_was_predicted_and_what_it_took(self) -> None:
        talk, _ = _talk([10] * 60)
        told = talk.turns[-1].requests_ms
        assert [stage for stage, _, _ in told] == ["asr", "slm_read", "slm", "tts_first"]
        for _, careful_ms, took_ms in told:
            assert took_ms == pytest.approx(careful_ms, rel=0.25)

    def test_without_ladders_nothing_is_told(self) -> None:
        async def script(talk: Talk) -> None:
            await talk.ask_ms(600)

        turn = converse(script).turns[0]
        assert (turn.ladder, turn.requests_ms) == ({}, ())

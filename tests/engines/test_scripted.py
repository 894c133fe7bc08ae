"""Scripted engines keep the promises of the protocols, so that what is tested with them holds for real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ, Pcm, level_dbfs, silence
from voicebot.engines.protocols import (
    Computed,
    LanguageModel,
    Message,
    Piece,
    Recognizer,
    SlmRequest,
    Synthesizer,
    TurnModel,
    VoiceDetector,
    VoiceEnd,
    VoiceGate,
    Weighed,
)
from voicebot.engines.scripted import (
    LoudnessDetector,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedSessions,
    ScriptedSynthesizer,
    ScriptedTurn,
    hum,
)
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

HELLO = (Message("user", "hello you"),)


def test_they_are_what_the_pipeline_wants() -> None:
    recognizer: Recognizer = ScriptedRecognizer()
    model: LanguageModel = ScriptedSessions(ScriptedModel())
    synthesizer: Synthesizer = ScriptedSynthesizer()
    turn: TurnModel = ScriptedTurn()
    detector: VoiceDetector = LoudnessDetector()
    gate: VoiceGate = LoudnessDetector()
    assert all((recognizer, model, synthesizer, turn, detector, gate))


def test_the_recognizer_says_what_its_script_says(cancel: CancelFlag) -> None:
    assert ScriptedRecognizer().transcribe(hum(3 * SAMPLE_RATE_HZ), cancel).text == "an utterance of 3 seconds"
    assert ScriptedRecognizer(lambda pcm: str(len(pcm))).transcribe(hum(7), cancel).text == "7"


def test_a_hosted_model_gives_each_session_a_word_at_a_time(cancel: CancelFlag) -> None:
    model = ScriptedSessions(ScriptedModel())
    answers = [model.submit(SlmRequest("generate", HELLO, who, 2), cancel) for who in ("one", "other")]
    answers += [model.submit(SlmRequest(op, HELLO), cancel) for op in ("prefill", "end")]
    model.step()
    assert [list(answer.items) for answer in answers] == [
        *([Piece("You")], [Piece("You")]),
        *([Computed(0, 0)], [Weighed(1.0)]),
    ]
    while model.busy:
        model.step()
    assert [len(answer.items) for answer in answers] == [2, 2, 1, 1]
    assert all(answer.ended and answer.error is None for answer in answers)
    assert not model.rest()
    cancel.request()
    late = model.submit(SlmRequest("generate", HELLO, "", 2), cancel)
    model.step()
    assert late.ended
    assert isinstance(late.error, CancelledWorkError)


def test_the_model_replies_word_by_word_and_remembers_what_it_was_asked(cancel: CancelFlag) -> None:
    model = ScriptedModel()
    assert list(model.generate(HELLO, 10, cancel)) == ["You", " said:", " hello", " you."]
    assert list(model.generate(HELLO, 2, cancel)) == ["You", " said:"]
    assert model.requests == [HELLO, HELLO]
    assert list(model.generate(HELLO, 10, cancel, "You said:")) == [" hello", " you."]
    assert list(model.generate(HELLO, 1, cancel, "You said:")) == [" hello"]
    assert model.prefill(HELLO, cancel) == 0
    assert model.prefills == [HELLO]
    assert model.end_probability(HELLO, cancel) == 1.0
    assert ScriptedModel(finished=lambda messages: len(messages) / 4).end_probability(HELLO, cancel) == 0.25


def test_the_turn_model_judges_as_its_script_does(cancel: CancelFlag) -> None:
    assert ScriptedTurn().judge(hum(10), cancel).probability == 0.9
    script = ScriptedTurn(lambda pcm: VoiceEnd(0.1, 2.0, -len(pcm) / 16, 0.5))
    assert script.judge(hum(160), cancel) == VoiceEnd(0.1, 2.0, -10.0, 0.5)


def test_the_synthesizer_hums_as_long_as_the_text_is(cancel: CancelFlag) -> None:
    (speech,) = ScriptedSynthesizer(ms_per_letter=100).synthesize("1, 45", first=True, cancel=cancel)
    assert len(speech.pcm) == SAMPLE_RATE_HZ // 2
    assert level_dbfs(speech.pcm) == pytest.approx(-21, abs=0.2)
    assert speech.word_ends == (3200, 8000)


def test_the_synthesizer_fails_where_it_is_told_to(cancel: CancelFlag) -> None:
    with pytest.raises(EngineError, match="'five'"):
        list(ScriptedSynthesizer(fails_on="five").synthesize("four, five", first=True, cancel=cancel))


@pytest.mark.parametrize(
    "request_of",
    [
        lambda cancel: ScriptedRecognizer().transcribe(hum(10), cancel),
        lambda cancel: ScriptedModel().prefill(HELLO, cancel),
        lambda cancel: list(ScriptedModel().generate(HELLO, 10, cancel)),
        lambda cancel: ScriptedModel().end_probability(HELLO, cancel),
        lambda cancel: ScriptedTurn().judge(hum(10), cancel),
        lambda cancel: list(ScriptedSynthesizer().synthesize("hello", first=False, cancel=cancel)),
    ],
)
def test_every_request_can_be_cancelled(cancel: CancelFlag, request_of: Callable[[CancelFlag], object]) -> None:
    cancel.request()
    with pytest.raises(CancelledWorkError):
        request_of(cancel)


def test_a_reply_can_be_cancelled_between_words(cancel: CancelFlag) -> None:
    words: Iterator[str] = ScriptedModel().generate(HELLO, 10, cancel)
    next(words)
    cancel.request()
    with pytest.raises(CancelledWorkError):
        next(words)


@pytest.mark.parametrize(
    ("pcm", "speech"),
    [
        (hum(320), True),
        (silence(320), False),
        (np.full(FRAME_SAMPLES, -FULL_SCALE, np.int16), True),
        (np.full(FRAME_SAMPLES, 90, np.int16), False),
    ],
)
def test_what_is_loud_is_speech(pcm: Pcm, speech: bool) -> None:
    detector = LoudnessDetector()
    assert detector.opens(pcm) is speech
    assert detector.probability(pcm) == float(speech)
    detector.reset()

"""Smart Turn for real: a finished sentence sounds finished, one that is cut off does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm, silence
from voicebot.audio_io.wav import read_wav
from voicebot.engines.prosody import Prosody, prosody_at_end
from voicebot.engines.protocols import TurnModel
from voicebot.engines.scripted import hum
from voicebot.engines.smart_turn import WINDOW_SAMPLES, SmartTurn
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

HUMAN = Path(__file__).parents[2] / "fixtures" / "human"
READ_TO_THEIR_END = ("jfk", "ps_librivox_0870", "ps_librivox_0920", "ps_something", "ps_tidigits_2934z")
ROUNDING = 0.1
"""The model is quantised to 8 bits: a difference in the last place of its input moves its answer by so much."""


@pytest.fixture(scope="module")
def turn_model(turn_file: Path) -> TurnModel:
    return SmartTurn(turn_file, threads=1)


def sentence(name: str) -> Pcm:
    return read_wav(HUMAN / f"{name}.wav")


@pytest.mark.parametrize("name", READ_TO_THEIR_END)
def test_a_sentence_sounds_more_finished_than_one_that_is_cut_in_the_middle(
    turn_model: TurnModel, cancel: CancelFlag, name: str
) -> None:
    whole = sentence(name)
    finished = turn_model.judge(whole, cancel).probability
    cut = turn_model.judge(whole[: len(whole) * 3 // 5], cancel).probability
    assert finished > 0.7
    assert cut < 0.4


def test_the_prosody_stands_beside_the_probability(turn_model: TurnModel, cancel: CancelFlag) -> None:
    spoken = sentence("ps_tidigits_2934z")
    end, prosody = turn_model.judge(spoken, cancel), prosody_at_end(spoken)
    assert Prosody(end.pitch_semitones, end.level_db, end.change) == prosody


def test_only_the_last_8_seconds_count(turn_model: TurnModel, cancel: CancelFlag) -> None:
    window = sentence("jfk")[-WINDOW_SAMPLES:]
    longer = np.concatenate([hum(5 * SAMPLE_RATE_HZ), window])
    assert turn_model.judge(longer, cancel) == turn_model.judge(window, cancel)


@pytest.mark.parametrize("seconds", [1, 3, 6])
def test_silence_in_front_changes_nothing(turn_model: TurnModel, cancel: CancelFlag, seconds: int) -> None:
    spoken = sentence("ps_tidigits_2934z")
    later = np.concatenate([silence(seconds * SAMPLE_RATE_HZ), spoken])
    alone = turn_model.judge(spoken, cancel).probability
    assert turn_model.judge(later, cancel).probability == pytest.approx(alone, abs=ROUNDING)


def test_loudness_hardly_matters(turn_model: TurnModel, cancel: CancelFlag) -> None:
    spoken = sentence("ps_librivox_0870")
    quiet = (spoken // 8).astype(np.int16)
    alone = turn_model.judge(spoken, cancel).probability
    assert turn_model.judge(quiet, cancel).probability == pytest.approx(alone, abs=ROUNDING)


def test_two_threads_find_the_same(turn_file: Path, turn_model: TurnModel, cancel: CancelFlag) -> None:
    spoken = sentence("ps_something")
    alone = turn_model.judge(spoken, cancel).probability
    assert SmartTurn(turn_file, threads=2).judge(spoken, cancel).probability == pytest.approx(alone, abs=ROUNDING)


@pytest.mark.parametrize(
    "pcm",
    [
        silence(0),
        silence(1),
        silence(SAMPLE_RATE_HZ),
        hum(1),
        np.full(SAMPLE_RATE_HZ, -FULL_SCALE, np.int16),
        hum(60 * SAMPLE_RATE_HZ),
    ],
    ids=["nothing", "one zero", "silence", "one sample", "full scale", "a minute"],
)
def test_any_audio_has_a_probability(turn_model: TurnModel, cancel: CancelFlag, pcm: Pcm) -> None:
    assert 0 <= turn_model.judge(pcm, cancel).probability <= 1


def test_audio_that_may_not_be_written_to_will_do(turn_model: TurnModel, cancel: CancelFlag) -> None:
    received = np.frombuffer(sentence("ps_something").tobytes(), np.int16)
    assert turn_model.judge(received, cancel).probability > 0.7


def test_what_was_cancelled_before_it_began_is_not_done(turn_model: TurnModel, cancel: CancelFlag) -> None:
    cancel.request()
    with pytest.raises(CancelledWorkError):
        turn_model.judge(hum(SAMPLE_RATE_HZ), cancel)
    cancel.clear()
    assert 0 <= turn_model.judge(hum(SAMPLE_RATE_HZ), cancel).probability <= 1


def test_a_damaged_file_is_refused_in_one_sentence(turn_file: Path, damaged: Callable[[Path, str], Path]) -> None:
    folder = damaged(turn_file.parent, turn_file.name)
    with pytest.raises(EngineError, match=r"\.onnx.* \(.*\)\.$") as caught:
        SmartTurn(folder / turn_file.name, threads=1)
    assert "\n" not in str(caught.value)


def test_another_model_is_refused(voice_file: Path) -> None:
    with pytest.raises(EngineError, match=r"joe-medium\.onnx is no Smart Turn v3 model: its inputs are .*scales"):
        SmartTurn(voice_file, threads=1)

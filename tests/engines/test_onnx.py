"""A run of a graph can be stopped from another thread, and fails in voicebot's own words."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebot.engines.onnx import StoppableSession
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

LONG = 1200
"""So many phonemes are seconds of work."""


def phonemes(count: int) -> dict[str, NDArray[Any]]:
    """Return a voice's inputs for that many phonemes, without randomness."""
    return {
        "input": np.full((1, count), 20, np.int64),
        "input_lengths": np.array([count], np.int64),
        "scales": np.array([0, 1, 0], np.float32),
    }


@pytest.fixture(scope="module")
def session(voice_file: Path) -> StoppableSession:
    return StoppableSession(voice_file, threads=1)


def test_a_graph_has_inputs_and_outputs(session: StoppableSession, cancel: CancelFlag) -> None:
    assert set(session.inputs) == {"input", "input_lengths", "scales"}
    assert session.inputs["scales"] == (3,)
    (audio,) = session.run(phonemes(10), cancel)
    assert audio.dtype == np.float32
    assert audio.size > 1000


def test_a_run_is_stopped_from_another_thread(session: StoppableSession, cancel: CancelFlag) -> None:
    threads = threading.active_count()
    timer = threading.Timer(0.02, cancel.request)
    timer.start()
    with pytest.raises(CancelledWorkError, match=r"joe-medium\.onnx was stopped"):
        session.run(phonemes(LONG), cancel)
    timer.join()
    assert threading.active_count() == threads
    cancel.clear()
    assert session.run(phonemes(10), cancel)[0].size > 1000


def test_a_run_that_is_not_wanted_is_not_begun(session: StoppableSession, cancel: CancelFlag) -> None:
    cancel.request()
    with pytest.raises(CancelledWorkError):
        session.run({}, cancel)


@pytest.mark.parametrize("inputs", [{}, {**phonemes(10), "scales": np.zeros(3)}, {**phonemes(10), "more": np.zeros(3)}])
def test_wrong_inputs_are_an_engines_failure(
    session: StoppableSession, cancel: CancelFlag, inputs: dict[str, NDArray[Any]]
) -> None:
    with pytest.raises(EngineError, match=r"can't run en_US-joe-medium\.onnx"):
        session.run(inputs, cancel)


def test_a_graph_that_is_missing_is_an_engines_failure(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"can't load .*none\.onnx"):
        StoppableSession(tmp_path / "none.onnx", threads=1)

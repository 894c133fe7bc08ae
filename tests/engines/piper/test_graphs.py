"""A voice in two parts says what the whole voice says, and says it earlier."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.miniature_voice import FRAME_SAMPLES, inputs_of, miniature_voice, write_voice
from voicebot.engines.onnx import StoppableSession
from voicebot.engines.piper.graphs import CutGraph, Sentence, WholeGraph, load_graph
from voicebot.errors import CancelledWorkError
from voicebot.models.vocoder_cut import cut_voice
from voicebot.workers.flags import CancelFlag

Floats = NDArray[np.float32]


def write_parts(voice: Path) -> None:
    parts = cut_voice(voice.read_bytes())
    voice.with_name("v.encoder.onnx").write_bytes(parts.encoder.SerializeToString())
    voice.with_name("v.decoder.onnx").write_bytes(parts.decoder.SerializeToString())


def sound(sentence: Sentence) -> Floats:
    return np.concatenate(list(sentence.audio_from(0)))


def snr_db(whole: Floats, other: Floats) -> float:
    return float(10 * np.log10(np.sum(whole**2) / max(1e-12, np.sum((whole - other) ** 2))))


@pytest.fixture(scope="module")
def joe(voice_file: Path) -> tuple[WholeGraph, CutGraph]:
    cut = load_graph(voice_file, threads=2)
    assert isinstance(cut, CutGraph)
    return WholeGraph(StoppableSession(voice_file, threads=2)), cut


@pytest.mark.parametrize("phonemes", [3, 20, 61, 200])
def test_the_shipped_voice_sounds_as_the_whole_one(
    joe: tuple[WholeGraph, CutGraph], cancel: CancelFlag, phonemes: int
) -> None:
    ids = np.random.default_rng(phonemes).integers(3, 120, phonemes)
    spaced = np.insert(ids, range(phonemes), 0)
    inputs = {
        "input": spaced[None].astype(np.int64),
        "input_lengths": np.array([len(spaced)]),
        "scales": np.array([0, 1, 0], np.float32),  # without noise, so that both say the same
    }
    whole, cut = (graph.speak(inputs, cancel) for graph in joe)
    expected = sound(whole)
    pieces = list(cut.audio_from(0))
    assert snr_db(expected, np.concatenate(pieces)) >= 60
    assert len(pieces[0]) < 2 * 20 * 256
    start = len(expected) // 3
    assert snr_db(expected[start:], np.concatenate(list(cut.audio_from(start)))) >= 60
    np.testing.assert_array_equal(np.concatenate(list(whole.audio_from(start))), expected[start:])
    assert whole.durations is None
    assert cut.durations is not None
    assert len(cut.durations) == len(spaced)
    assert cut.durations.sum() == len(expected)


@pytest.mark.parametrize("speakers", [1, 3])
def test_a_voice_of_several_speakers_keeps_them_apart(tmp_path: Path, cancel: CancelFlag, speakers: int) -> None:
    voice = write_voice(tmp_path, miniature_voice(speakers=speakers))
    whole = load_graph(voice, threads=1)
    assert isinstance(whole, WholeGraph)
    write_parts(voice)
    cut = load_graph(voice, threads=1)
    assert isinstance(cut, CutGraph)
    ids = list(np.random.default_rng(4).integers(1, 50, 100))
    spoken = []
    for speaker in range(speakers):
        inputs = inputs_of(ids, speaker if speakers > 1 else None)
        spoken.append(sound(cut.speak(inputs, cancel)))
        assert snr_db(sound(whole.speak(inputs, cancel)), spoken[-1]) >= 60
        assert len(spoken[-1]) == 100 * FRAME_SAMPLES
    assert all(snr_db(spoken[0], other) < 50 for other in spoken[1:])


def test_a_voice_without_known_durations_speaks(tmp_path: Path, cancel: CancelFlag) -> None:
    voice = write_voice(tmp_path, miniature_voice(rounded_up=0))
    write_parts(voice)
    sentence = load_graph(voice, threads=1).speak(inputs_of([1, 2, 3]), cancel)
    assert sentence.durations is None
    assert len(sound(sentence)) == 3 * FRAME_SAMPLES


def test_every_window_can_be_cancelled(tmp_path: Path, cancel: CancelFlag) -> None:
    voice = write_voice(tmp_path, miniature_voice())
    write_parts(voice)
    graph = load_graph(voice, threads=1)
    sentence = graph.speak(inputs_of([1] * 400), cancel)
    audio = sentence.audio_from(0)
    next(audio)
    next(audio)
    cancel.request()
    with pytest.raises(CancelledWorkError):
        next(audio)
    with pytest.raises(CancelledWorkError):
        graph.speak(inputs_of([1]), cancel)


@pytest.mark.parametrize("part", ["v.encoder.onnx", "v.decoder.onnx"])
def test_where_a_part_is_missing_or_damaged_the_whole_voice_speaks(
    tmp_path: Path, cancel: CancelFlag, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    voice = write_voice(tmp_path / "whole", miniature_voice())
    write_parts(voice)

    def without_facts(path: Path) -> None:
        shutil.copyfile(voice, path)

    def cut_short(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:500])

    damages: list[Callable[[Path], None]] = [Path.unlink, cut_short]
    damages += [without_facts] if "decoder" in part else []
    for number, damage in enumerate(damages):
        folder = tmp_path / str(number)
        shutil.copytree(voice.parent, folder)
        damage(folder / part)
        graph = load_graph(folder / voice.name, threads=1)
        assert isinstance(graph, WholeGraph)
        assert len(sound(graph.speak(inputs_of([1, 2]), cancel))) == 2 * FRAME_SAMPLES
    assert caplog.text.count("v.onnx will speak a whole sentence at a time") == len(damages) - 1


def test_a_decoder_with_senseless_facts_is_not_used(tmp_path: Path) -> None:
    voice = write_voice(tmp_path, miniature_voice())
    parts = cut_voice(voice.read_bytes())
    voice.with_name("v.encoder.onnx").write_bytes(parts.encoder.SerializeToString())
    helper.set_model_props(parts.decoder, {"context_frames": "many", "frame_samples": "4"})
    voice.with_name("v.decoder.onnx").write_bytes(parts.decoder.SerializeToString())
    assert isinstance(load_graph(voice, threads=1), WholeGraph)

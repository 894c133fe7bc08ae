"""A voice's graph is cut where its vocoder begins, whatever its nodes are called, or not at all."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from tests.miniature_voice import (
    CHANNELS,
    FRAME_SAMPLES,
    REACH_FRAMES,
    conv,
    doubled,
    inputs_of,
    miniature_voice,
    node,
)
from voicebot.models.store import Store
from voicebot.models.vocoder_cut import NoCutError, cut_voice

IDS = list(range(1, 31))


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def facts(model: ModelProto) -> dict[str, str]:
    return {each.key: each.value for each in model.metadata_props}


@pytest.mark.parametrize("speakers", [1, 3])
def test_both_parts_together_are_the_voice(speakers: int) -> None:
    voice = miniature_voice(speakers=speakers)
    parts = cut_voice(voice.SerializeToString())
    inputs = inputs_of(IDS, 2 if speakers > 1 else None)
    (whole,) = session(voice).run(None, inputs)
    encoder, decoder = session(parts.encoder), session(parts.decoder)
    made = dict(zip([each.name for each in encoder.get_outputs()], encoder.run(None, inputs), strict=True))
    np.testing.assert_array_equal(made.pop(facts(parts.encoder)["durations"]), np.full((1, 1, 5), 2, np.float32))
    frames = encoder.get_outputs()[0]
    assert frames.shape == [1, CHANNELS, "frames"]
    assert len(made) == (2 if speakers > 1 else 1)
    np.testing.assert_allclose(decoder.run(None, made)[0], whole, atol=1e-6)
    assert {each.name for each in decoder.get_inputs()} == set(made)


def test_the_reach_is_what_the_decoder_has_to_see() -> None:
    parts = cut_voice(miniature_voice().SerializeToString())
    assert facts(parts.decoder) == {"context_frames": str(REACH_FRAMES), "frame_samples": str(FRAME_SAMPLES)}
    decoder = session(parts.decoder)
    name = decoder.get_inputs()[0].name
    frames = np.random.default_rng(2).standard_normal((1, CHANNELS, 40)).astype(np.float32)

    def middle(context: int) -> NDArray[np.float32]:
        """Return the samples of frames 20 to 24, seen with so many frames around them."""
        samples: NDArray[np.float32] = decoder.run(None, {name: frames[:, :, 20 - context : 24 + context]})[0].ravel()
        return samples[context * FRAME_SAMPLES : (context + 4) * FRAME_SAMPLES]

    np.testing.assert_allclose(middle(REACH_FRAMES), middle(16), atol=1e-6)
    assert np.abs(middle(REACH_FRAMES - 3) - middle(16)).max() > 1e-4


def test_a_voice_that_does_not_say_how_long_its_sounds_are_is_cut_all_the_same() -> None:
    for rounded_up in (0, 2):
        parts = cut_voice(miniature_voice(rounded_up=rounded_up).SerializeToString())
        assert facts(parts.encoder) == {}
        assert len(parts.encoder.graph.output) == 1


def normalised(source: str, output: str) -> list[NodeProto]:
    return [node("GlobalAveragePool", [source], "mean"), node("Add", ["mean", source], output)]


@pytest.mark.parametrize(
    ("output", "instead", "reason"),
    [
        ("loud", normalised("post", "loud"), "its vocoder has a GlobalAveragePool, which may look at the whole"),
        ("post", [conv("up2", "post", 5, strides=[2])], "Conv_post changes the number of frames"),
        ("post", [conv("up2", "post", 5, pads=[0, 0])], "Conv_post changes the number of frames"),
        ("post", [helper.make_node("Conv", ["up2", "post.weight"], ["post"])], "no convolution over time"),
        ("sum", [node("Add", ["up1", "mixed"], "sum")], "its vocoder has a Transpose"),
        ("sum", [doubled("up1", "up2"), node("Add", ["up2", "block"], "sum")], "joins two rates|no graph"),
        ("pre", [conv("latent", "pre", 1)], "0 convolutions begin its vocoder"),
    ],
)
def test_what_is_built_in_another_way_is_not_cut(output: str, instead: list[NodeProto], reason: str) -> None:
    model = miniature_voice(instead={output: instead}).SerializeToString()
    with pytest.raises(NoCutError, match=reason):
        cut_voice(model)


def test_a_voice_that_never_raises_the_rate_has_no_vocoder() -> None:
    plain = {name: [conv(source, name, 3)] for source, name in [("active", "up1"), ("sum", "up2")]}
    with pytest.raises(NoCutError, match="no vocoder"):
        cut_voice(miniature_voice(instead=plain).SerializeToString())


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"no graph at all", bytes(range(256)) * 10])
def test_what_is_no_graph_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(NoCutError) as caught:
        cut_voice(content)
    assert "\n" not in str(caught.value)


def test_the_shipped_voice_is_cut_with_the_reach_of_its_vocoder(store: Store) -> None:
    parts = cut_voice(store.path("piper-en_US-joe-medium").read_bytes())
    assert facts(parts.decoder) == {"context_frames": "12", "frame_samples": "256"}
    assert "durations" in facts(parts.encoder)
    assert parts.decoder.ByteSize() < parts.encoder.ByteSize()

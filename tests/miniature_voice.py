"""A graph built like a Piper voice's, but small: phoneme ids, frames, and a vocoder that doubles the rate twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

CHANNELS: Final = 4
FRAME_SAMPLES: Final = 4
REACH_FRAMES: Final = 7
"""3 for the first convolution, 1.5 and 0.75 for the upsamplings, 0.5 for each of the two others, in whole frames."""
RATE_HZ: Final = 16_000


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [output], name=f"{kind}_{output}", **attributes)


def conv(source: str, output: str, kernel: int, dilation: int = 1, **changed: Any) -> NodeProto:
    padding = (kernel - 1) * dilation // 2
    attributes = {"kernel_shape": [kernel], "dilations": [dilation], "strides": [1], "pads": [padding] * 2, **changed}
    return node("Conv", [source, f"{output}.weight"], output, **attributes)


def doubled(source: str, output: str) -> NodeProto:
    attributes = {"kernel_shape": [4], "strides": [2], "pads": [1, 1]}
    return node("ConvTranspose", [source, f"{output}.weight"], output, **attributes)


def miniature_voice(
    *, speakers: int = 1, instead: Mapping[str, Sequence[NodeProto]] | None = None, rounded_up: int = 1
) -> ModelProto:
    """Return a voice; `instead` gives other nodes in the place of the one that makes an output."""
    encoder = [
        node("Gather", ["emb.weight", "input"], "embedded"),
        node("Transpose", ["embedded"], "mixed", perm=[0, 2, 1]),
        node("Slice", ["scales", "one", "two"], "length"),
        *(node("Mul", ["lasting", "length"], f"width{n}") for n in range(rounded_up)),
        *(node("Ceil", [f"width{n}"], f"ceil{n}") for n in range(rounded_up)),
        node("Mul", ["mixed", "length"], "latent"),
    ]
    speaker = [
        node("Gather", ["speakers.weight", "sid"], "chosen"),
        node("Unsqueeze", ["chosen", "two"], "g"),
        conv("g", "cond", 1),
        node("Add", ["pre", "cond"], "begun"),
    ]
    decoder = [
        conv("latent", "pre", 7),
        *(speaker if speakers > 1 else [node("Identity", ["pre"], "begun")]),
        node("LeakyRelu", ["begun"], "active", alpha=0.1),
        doubled("active", "up1"),
        conv("up1", "block", 3, dilation=1),
        node("Add", ["up1", "block"], "sum"),
        doubled("sum", "up2"),
        conv("up2", "post", 5),
        node("Tanh", ["post"], "loud"),
        node("Unsqueeze", ["loud", "one"], "output"),
    ]
    nodes = [each for made in encoder + decoder for each in (instead or {}).get(made.output[0], [made])]
    random = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]]
    shapes = {name: (CHANNELS, CHANNELS, size) for name, size in [("pre", 7), ("up1", 4), ("block", 3), ("up2", 4)]}
    shapes |= {"post": (1, CHANNELS, 5), "cond": (CHANNELS, 3, 1), "speakers": (speakers, 3), "emb": (50, CHANNELS)}
    weights = {f"{name}.weight": 0.3 * random.standard_normal(shape) for name, shape in shapes.items()}
    weights["lasting"] = np.ones((1, 1, 5)) * 1.5
    constants = {"one": np.array([1]), "two": np.array([2])}
    initializers = [
        *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()),
        *(numpy_helper.from_array(value, name) for name, value in constants.items()),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("sid", TensorProto.INT64, [1]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "time"])
    graph = helper.make_graph(nodes, "miniature", inputs[: 2 + (speakers > 1)], [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def inputs_of(ids: Sequence[int], speaker: int | None = None) -> dict[str, Any]:
    """Return what the graph is given for these phonemes."""
    given = {"input": np.array([ids], np.int64), "scales": np.array([0, 1, 0], np.float32)}
    return given if speaker is None else given | {"sid": np.array([speaker], np.int64)}


def write_voice(folder: Path, model: ModelProto | bytes) -> Path:
    """Write the files of a voice that can be added to a store; return the graph's."""
    folder.mkdir(parents=True, exist_ok=True)
    voice = folder / "v.onnx"
    voice.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    config = {"audio": {"sample_rate": RATE_HZ}, "espeak": {"voice": "en-us"}, "phoneme_id_map": {}}
    (folder / "v.onnx.json").write_text(json.dumps(config | {"num_symbols": 50, "num_speakers": 1}))
    return voice

"""Cuts the graph of a Piper voice in front of its vocoder, so that speech can start inside a sentence.

Piper's voices are VITS (Kim, Kong and Son 2021, arXiv 2106.06103): an encoder that turns all phonemes of a sentence
into frames at once, and a vocoder, HiFi-GAN's generator (Kong, Kim and Bae 2020, arXiv 2010.05646), that turns frames
into samples. The vocoder is made of convolutions alone: run over some of the frames it gives the same samples, when it
sees as many frames around them as its convolutions reach.

Everything is found by what the nodes do, never by their names, which differ between exporters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.checker import ValidationError
from onnx.utils import Extractor

_SAMPLE_BY_SAMPLE: Final = {"LeakyRelu", "Add", "Mul", "Div", "Tanh", "Unsqueeze", "Identity", "Constant"}


class NoCutError(Exception):
    """This graph is no voice that can be cut; the message says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a voice.

    The encoder's first output holds the frames, (1, channels, frames). It has the decoder's other inputs among its
    outputs, and, where its metadata has `durations`, one of that name: frames for each phoneme id. The decoder is the
    vocoder; its metadata has `frame_samples`, samples for each frame, and `context_frames`, how far a sample depends
    on the frames before and after its own.
    """

    encoder: ModelProto
    decoder: ModelProto


def cut_voice(voice: bytes) -> Parts:
    """Cut the graph of a voice, an .onnx file's content. Raises NoCutError."""
    try:
        model = onnx.load_model_from_string(voice)
        return _cut(model)
    except (DecodeError, ValidationError, ValueError, KeyError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise NoCutError(f"it is no graph as Piper's voices have it ({type(error).__name__}: {reason})") from error


def _cut(model: ModelProto) -> Parts:
    graph = model.graph
    nodes, entries = _vocoder(graph)
    frames = [entry for entry in entries if _kernel(entry) > 1]
    if len(frames) != 1:
        raise NoCutError(f"{len(frames)} convolutions begin its vocoder where one is expected")
    latent = frames[0].input[0]
    reach, frame_samples = _reach(nodes, latent, graph.output[0].name)
    rounded_up = [node.output[0] for node in graph.node if node.op_type == "Ceil"]
    durations = rounded_up if len(rounded_up) == 1 else []

    inputs = list(dict.fromkeys([latent, *(entry.input[0] for entry in entries)]))
    channels = {entry.input[0]: _input_channels(graph, entry) for entry in entries}
    _describe(graph, {name: [1, channels[name], "frames" if name == latent else 1] for name in inputs})
    _describe(graph, {name: [1, 1, "phonemes"] for name in durations})
    extractor = Extractor(model)
    encoder = extractor.extract_model([each.name for each in graph.input], inputs + durations)
    decoder = extractor.extract_model(inputs, [graph.output[0].name])
    helper.set_model_props(encoder, dict(zip(["durations"], durations, strict=False)))
    helper.set_model_props(decoder, {"context_frames": str(math.ceil(reach)), "frame_samples": str(frame_samples)})
    for part in (encoder, decoder):
        onnx.checker.check_model(part)
    return Parts(encoder, decoder)


def _vocoder(graph: GraphProto) -> tuple[list[NodeProto], list[NodeProto]]:
    """Return the vocoder's nodes in the graph's order, and those of them, convolutions, that its inputs go into.

    Its inputs are the frames, and in voices of several speakers the speaker's embedding: what goes into convolutions
    that have no upsampling before them.
    """
    makers = {name: node for node in graph.node for name in node.output}
    upsampled: set[str] = set()
    for node in graph.node:
        if node.op_type == "ConvTranspose" or not upsampled.isdisjoint(node.input):
            upsampled.update(node.output)
    if graph.output[0].name not in upsampled:
        raise NoCutError("it has no vocoder: nothing in it raises the rate")
    found: set[str] = set()
    entries: list[NodeProto] = []
    waiting = [graph.output[0].name]
    while waiting:
        name = waiting.pop()
        if name not in makers or name in found:
            continue
        node = makers[name]
        found.update(node.output)
        if node.op_type == "Conv" and name not in upsampled:
            entries.append(node)
        elif node.op_type in _SAMPLE_BY_SAMPLE | {"Conv", "ConvTranspose"}:
            waiting += node.input
        else:
            raise NoCutError(f"its vocoder has a {node.op_type}, which may look at the whole sentence")
    return [node for node in graph.node if node.output[0] in found], entries


def _reach(nodes: list[NodeProto], latent: str, audio: str) -> tuple[Fraction, int]:
    """Return how many frames to either side a sample depends on at most, and the samples for each frame."""
    reaches, rates = {latent: Fraction(0)}, {latent: 1}
    for node in nodes:
        known = [name for name in node.input if name in reaches]
        if not known:
            continue
        if len({rates[name] for name in known}) > 1:
            raise NoCutError(f"its vocoder joins two rates in {node.name or node.op_type}")
        rate = rates[known[0]]
        added, factor = _widening(node) if node.op_type in {"Conv", "ConvTranspose"} else (Fraction(0), 1)
        for name in node.output:
            reaches[name] = max(reaches[each] for each in known) + added / rate
            rates[name] = rate * factor
    return reaches[audio], rates[audio]


def _widening(node: NodeProto) -> tuple[Fraction, int]:
    """Return how far a convolution reaches to a side at most, in its input's samples, and how it raises the rate."""
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    kernel, stride, dilation = _kernel(node), values.get("strides", [1])[0], values.get("dilations", [1])[0]
    span = (kernel - 1) * dilation
    padding = sum(values.get("pads", [0]))
    transposed = node.op_type == "ConvTranspose"
    kept = span + 1 - stride + values.get("output_padding", [0])[0] if transposed else span
    if padding != kept or (not transposed and stride != 1):
        raise NoCutError(f"{node.name or node.op_type} changes the number of frames")
    return (Fraction(span, stride), stride) if transposed else (Fraction(span, 2), 1)


def _kernel(node: NodeProto) -> int:
    shapes = [helper.get_attribute_value(each) for each in node.attribute if each.name == "kernel_shape"]
    if [len(shape) for shape in shapes] != [1]:
        raise NoCutError(f"{node.name or node.op_type} is no convolution over time alone")
    return int(shapes[0][0])


def _input_channels(graph: GraphProto, entry: NodeProto) -> int:
    weights = [each for each in graph.initializer if each.name == entry.input[1]]
    if not weights:
        raise NoCutError(f"{entry.name or entry.op_type} computes its weights")
    return int(weights[0].dims[1])


def _describe(graph: GraphProto, shapes: dict[str, list[int | str]]) -> None:
    """Give tensors between nodes the whole type that a part's inputs and outputs need; exporters leave it out."""
    others = [each for each in graph.value_info if each.name not in shapes]
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    del graph.value_info[:]
    graph.value_info.extend(others + described)

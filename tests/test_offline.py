"""Nothing calls home: libraries that would are told not to, before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import onnx
import pytest

_RUN: Final = """
import importlib, sys, time
importlib.import_module(sys.argv[2])
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
time.sleep(1)
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    nodes = [onnx.helper.make_node("Identity", ["x"], ["y"])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "same", [value], [out]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "same.onnx"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("module", ["voicebot", "voicebot.engines.onnx", "voicebot.workers.host"])
def test_onnxruntime_leaves_no_identifier_and_no_report(module: str, graph: Path, tmp_path: Path) -> None:
    """It keeps quiet in tests and CI by itself, so these signs of them are taken away."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _RUN, str(graph), module], env=environment, check=True, timeout=120)
    assert [path for path in home.rglob("*") if "onnxruntime" in path.name] == []

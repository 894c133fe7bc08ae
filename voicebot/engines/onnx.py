"""An onnxruntime session that shares the processor with other stages and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)

from voicebot.engines.protocols import Cancel
from voicebot.errors import CancelledWorkError, EngineError

_CANCEL_POLL_S: Final = 0.01
_RUN_ERRORS: Final = (Fail, InvalidArgument, RuntimeException, RuntimeError, ValueError)
_LOAD_ERRORS: Final = (*_RUN_ERRORS, InvalidGraph, InvalidProtobuf, NoSuchFile)


class StoppableSession:
    """A loaded graph. Raises EngineError when it does not load.

    `keep_memory`: what one run needs is kept for the next. It saves memory in the end where all inputs have one shape,
    and takes ever more where they vary.
    """

    def __init__(self, model: Path, threads: int, *, keep_memory: bool = False) -> None:
        self.model = model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the stage that needs them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = keep_memory
        # It is planned anew for each shape that is seen, and kept; Smart Turn's process is 45 MB smaller without.
        options.enable_mem_pattern = False
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise EngineError(f"onnxruntime can't load {model} ({error}).") from error

    @property
    def inputs(self) -> Mapping[str, tuple[int | str | None, ...]]:
        """Each input's shape by its name; a dimension that may vary is its name, or None."""
        return {each.name: tuple(each.shape) for each in self._session.get_inputs()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs' names, in the order in which `run` returns them."""
        return tuple(each.name for each in self._session.get_outputs())

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the graph's maker wrote into the file."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def run(self, inputs: Mapping[str, NDArray[Any]], cancel: Cancel) -> list[NDArray[Any]]:
        """Return the graph's outputs.

        Raises CancelledWorkError within one node of a cancel, EngineError when the run fails.
        """
        cancel.raise_if_requested()
        options = onnxruntime.RunOptions()
        try:
            with _stopping(options, cancel):
                outputs: list[NDArray[Any]] = self._session.run(None, dict(inputs), options)
        except _RUN_ERRORS as error:
            if cancel.requested():
                raise CancelledWorkError(f"the run of {self.model.name} was stopped on request.") from error
            raise EngineError(f"onnxruntime can't run {self.model.name} ({error}).") from error
        return outputs


@contextmanager
def _stopping(options: onnxruntime.RunOptions, cancel: Cancel) -> Iterator[None]:
    """Let onnxruntime know of a cancel while it runs.

    It looks at a flag of its run options before each node. A thread sets it, since the running one is inside the
    native call.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_CANCEL_POLL_S):
            if cancel.requested():
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="onnx-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()

"""Writes a GGUF again with its weights in another format, by llama.cpp's own quantiser."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import llama_cpp

from voicebot.errors import ModelError
from voicebot.models.download import part_of
from voicebot.models.formats import Format
from voicebot.models.importance import Importance
from voicebot.models.loaded_gguf import start_llama


def requantise(source: Path, target: Path, form: Format, importance: Importance, threads: int) -> None:
    """Write `source` to `target` in the format. `target` is whole or not there.

    Raises ModelError when the format is impossible for this model, or the disk is full.
    """
    start_llama()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = form.file_type
    params.nthread = threads
    params.allow_requantize = True
    # Both arrays end with an empty entry.
    overrides = (llama_cpp.llama_model_tensor_override * (len(form.overrides) + 1))()
    for override, (pattern, kind) in zip(overrides, form.overrides, strict=False):
        override.pattern, override.type = pattern.encode(), kind
    params.tt_overrides = overrides
    weights = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for weight, (name, values) in zip(weights, importance.items(), strict=False):
        weight.name, weight.size = name.encode(), values.size
        weight.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    if form.weighed and importance:
        params.imatrix = weights
    fresh = part_of(target)
    try:
        if llama_cpp.llama_model_quantize(str(source).encode(), str(fresh).encode(), ctypes.byref(params)):
            raise ModelError(f"{source.name} can't be written as {form.name}; check that the disk has room.")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError as error:
        raise ModelError(f"{target} can't be written ({error}); check the disk.") from error
    finally:
        fresh.unlink(missing_ok=True)

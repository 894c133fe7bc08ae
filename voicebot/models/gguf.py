"""Reads from a GGUF file's header what its KV cache costs, and how many layers it has.

The format: ggml's docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from voicebot.errors import ModelError

Value = int | float | bool | str | list["Value"]

_KV_ELEMENT_BYTES: Final = 2
_STRING_TYPE: Final = 8
_ARRAY_TYPE: Final = 9
_NUMBER_FORMATS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_LENGTH_MAX: Final = 1 << 26
_DAMAGE: Final = (OSError, struct.error, ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError)
"""How it shows, wherever a header is cut, changed, or nested without end."""


def kv_bytes_per_token(path: Path) -> int:
    """Return the bytes that a token takes in a KV cache of 16-bit elements; `ModelError` for no readable GGUF."""
    try:
        with path.open("rb") as file:
            header = _read_header(file)
        prefix = header["general.architecture"]
        layers = _integer(header[f"{prefix}.block_count"])
        heads = _integer(header[f"{prefix}.attention.head_count"])
        kv_heads = header.get(f"{prefix}.attention.head_count_kv", heads)
        head_size = _integer(header[f"{prefix}.embedding_length"]) // heads
        key = _integer(header.get(f"{prefix}.attention.key_length", head_size))
        value = _integer(header.get(f"{prefix}.attention.value_length", head_size))
        heads_in_all = sum(map(_integer, kv_heads)) if isinstance(kv_heads, list) else layers * _integer(kv_heads)
    except _DAMAGE as error:
        raise ModelError(f"{path} is not a readable GGUF language model ({error!r}); get it again.") from error
    return _KV_ELEMENT_BYTES * heads_in_all * (key + value)


def layer_count(path: Path) -> int:
    """Return how many layers the model has; `ModelError` for no readable GGUF."""
    try:
        with path.open("rb") as file:
            header = _read_header(file)
        return _integer(header[f"{header['general.architecture']}.block_count"])
    except _DAMAGE as error:
        raise ModelError(f"{path} is not a readable GGUF language model ({error!r}); get it again.") from error


def _integer(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no count")
    return value


def _read_header(file: BinaryIO) -> dict[str, Value]:
    magic, version, _tensors, entries = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in {2, 3}:
        raise ValueError("no GGUF of version 2 or 3")
    header: dict[str, Value] = {}
    for _ in range(min(entries, _LENGTH_MAX)):
        name = _read_string(file)
        header[name] = _read_value(file, _number(file, 4))
    return header


def _read_value(file: BinaryIO, kind: Value) -> Value:
    if kind == _STRING_TYPE:
        return _read_string(file)
    if kind == _ARRAY_TYPE:
        element, length = _number(file, 4), _length(file)
        return [_read_value(file, element) for _ in range(length)]
    return _number(file, _integer(kind))


def _number(file: BinaryIO, kind: int) -> Value:
    form = _NUMBER_FORMATS[kind]
    number: Value = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return number


def _length(file: BinaryIO) -> int:
    length = _integer(_number(file, 10))
    if length > _LENGTH_MAX:
        raise ValueError("a length beyond all reason")
    return length


def _read_string(file: BinaryIO) -> str:
    return file.read(_length(file)).decode("utf-8", "replace")

"""The formats that weights may be stored in, and which of them are worth trying on a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# From ggml.h (of one tensor) and llama.h (of a file), which keep their numbers: importing llama.cpp takes a while.
_Q4_0: Final = 2
_Q4_K: Final = 12
_Q8_0: Final = 8
_IQ4_NL: Final = 20
_FILE_Q8_0: Final = 7
_FILE_Q4_K_M: Final = 15

AS_INSTALLED: Final = "as installed"
_IN_BLOCKS: Final = r"^blk\..*"


@dataclass(frozen=True, slots=True)
class Format:
    """A way to store the weights: llama.cpp's `file_type`, and (pattern of tensors' names, type) where it differs.

    The first pattern that matches counts. `weighed`: the rounding follows the importance of the inputs.
    """

    name: str
    file_type: int
    overrides: tuple[tuple[str, int], ...] = ()
    weighed: bool = True


def _mix(name: str, *overrides: tuple[str, int]) -> Format:
    """Return a format of Q8_0 with these tensors in other types."""
    inner = tuple((rf"{_IN_BLOCKS}{tensors}.*\.weight$", kind) for tensors, kind in overrides)
    return Format(name, _FILE_Q8_0, inner)


# Q4_0, IQ4_NL and Q4_K have kernels for prefill that take eight rows at once; the five-bit types have none, and were
# ten times slower in a measurement. The inputs of ffn_down are the most uneven: it carries half of the loss.
FORMATS: Final = (
    Format("Q8_0", _FILE_Q8_0, weighed=False),
    _mix("Q8_0, gate IQ4_NL", ("ffn_gate", _IQ4_NL)),
    _mix("Q8_0, gate+up IQ4_NL", ("ffn_(gate|up)", _IQ4_NL)),
    _mix("Q8_0, gate+up IQ4_NL, down Q4_K", ("ffn_(gate|up)", _IQ4_NL), ("ffn_down", _Q4_K)),
    _mix("IQ4_NL, attention Q8_0", ("ffn_", _IQ4_NL)),
    _mix("IQ4_NL", ("", _IQ4_NL)),
    _mix("Q4_0, down Q8_0", ("ffn_down", _Q8_0), ("", _Q4_0)),
    _mix("Q4_0", ("", _Q4_0)),
    Format("Q4_K_M", _FILE_Q4_K_M),
)
"""All that `tune` tries, the most faithful first."""

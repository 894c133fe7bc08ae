"""The formats that weights may be stored in, and which of them are worth trying on a box."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def formats(layers: int) -> tuple[Format, ...]:
    """Return all that is worth trying for a model of so many layers, the most faithful first.

    Q4_0, IQ4_NL and Q4_K have prefill kernels that take eight rows at once, Q8_0 has a good one, and the five-bit
    types have none worth using. In SmolLM2-135M ffn_down alone is a third of what Q4_0 loses, while Q4_K, with a scale
    and an offset per 32 weights as in the Q4_1 that it comes from, costs it almost nothing.
    """
    last = "|".join(map(str, range(layers - layers // 5, layers)))
    gate_and_up, down = ("ffn_(gate|up)", _IQ4_NL), ("ffn_down", _Q4_K)
    kept = (rf"^blk\.({last})\.ffn_(gate|up).*\.weight$", _Q8_0)
    early = _mix("Q8_0, early gate+up IQ4_NL, down Q4_K", gate_and_up, down)
    return (
        Format("Q8_0", _FILE_Q8_0, weighed=False),
        _mix("Q8_0, up IQ4_NL, down Q4_K", ("ffn_up", _IQ4_NL), down),
        _mix("Q8_0, gate+up IQ4_NL", gate_and_up),
        replace(early, overrides=(kept, *early.overrides)),
        _mix("Q8_0, gate+up IQ4_NL, down Q4_K", gate_and_up, down),
        _mix("Q4_0, down Q8_0", ("ffn_down", _Q8_0), ("", _Q4_0)),
        _mix("IQ4_NL", ("", _IQ4_NL)),
        _mix("Q4_0", ("", _Q4_0)),
        Format("Q4_K_M", _FILE_Q4_K_M),
    )

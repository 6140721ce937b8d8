"""State that is coded in bytes, as the CPU executors take it: tile by tile, through scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays import dynamic8
from gpuopt.arrays.dynamic8 import BLOCK, sections
from gpuopt.executors.layout import ParamView, new_coded
from gpuopt.tracing.operands import Operand, state
from gpuopt.tracing.program import UpdateProgram

__all__ = ["NUMPY", "Codec", "Coded", "coded_states", "stored"]


class Codec(NamedTuple):
    """Functions that take codes, what blocks tell, and flat float32 numbers.

    They decode into these numbers; or encode them, and they are lost.
    """

    decode: Callable[[Any, Any, Any], None]
    encode: Callable[[Any, Any, Any], None]


NUMPY = Codec(dynamic8.decode, dynamic8.encode)


class Coded:
    """The state of some elements, from the first of a block on.

    It is not an array of the compute dtype, so it is copied into scratch, and back.

    Attributes
    ----------
    stored : array
        Its bytes, if it is all of an array's.
    """

    __slots__ = ("_codec", "_codes", "_tops", "stored")
    ndim, dtype = 1, np.dtype(np.uint8)

    def __init__(self, codec: Codec, codes: Any, tops: Any, stored: Any = None) -> None:
        self._codec, self._codes, self._tops, self.stored = codec, codes, tops, stored

    def part(self, first: int, size: int) -> Coded:
        """So many elements, from `first` on."""
        blocks = slice(first // BLOCK, -(-(first + size) // BLOCK))
        return Coded(self._codec, self._codes[first : first + size], self._tops[blocks])

    def load(self, values: Any) -> None:
        """Decode into `values`."""
        self._codec.decode(self._codes, self._tops, values)

    def store(self, values: Any) -> None:
        """Encode `values`, which are lost."""
        self._codec.encode(self._codes, self._tops, values)


def coded_states(
    program: UpdateProgram, views: Sequence[ParamView], codec: Callable[[], Codec]
) -> list[dict[Operand, Coded]]:
    """For each array the state that is coded in bytes."""
    made = [new_coded(np, program, view.size) for view in views]
    found = codec() if any(made) else NUMPY
    return [{state(name): Coded(found, *sections(x), x) for name, x in own.items()} for own in made]


def stored(coded: dict[Operand, Coded]) -> dict[str, Any]:
    """The bytes of each state of an array, by name."""
    return {array.name: each.stored for array, each in coded.items()}

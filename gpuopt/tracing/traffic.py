"""How many bytes a step reads and writes."""

from __future__ import annotations

from gpuopt.tracing.printing import format_expr
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["bytes_an_element"]

_FIRST = ("t == 1", "where(t == 1, 1, 0)")
"""What says, for readers, that an array is stored in the first step alone."""


def bytes_an_element(program: UpdateProgram) -> tuple[int, int]:
    """The bytes an element of a step in float32, and those of them that reductions read.

    Those for functions of whole arrays, and those of the first step alone, are not counted.
    """
    stages = sum(map(_moved, program.stages))
    return stages + _moved(program.update), stages


def _moved(kernel: Kernel) -> int:
    rare = {place for place, asked in kernel.only_if.items() if format_expr(asked) in _FIRST}
    stores = (place for place in kernel.stores if place.array not in rare)
    return 4 * sum(place.kind in ("param", "grad", "state") for place in (*kernel.loads, *stores))

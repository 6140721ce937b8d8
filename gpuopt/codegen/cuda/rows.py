"""From a `Kernel` to the text of a CUDA kernel that updates some rows where they are."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.elementwise import KernelWriter, Others
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.program import Kernel

__all__ = ["rows_source"]

_INPUTS: list[tuple[str, np.dtype[Any] | None]] = [
    ("int64 width", None),
    ("int64 count", None),
    ("raw float64 which", np.dtype(np.float64)),
]
"""The elements of a row; how many rows there are; which they are, and then the numbers of each."""


@functools.lru_cache(maxsize=512)
def rows_source(
    kernel: Kernel,
    numbers: tuple[Operand, ...],
    p: np.dtype[Any],
    g: np.dtype[Any],
    others: Others = (),
) -> KernelSource:
    """The source of `kernel` for rows; see `gpuopt.codegen.cuda.elementwise.kernel_source`.

    It runs for each element of the gradients of some rows, and reads an array of these rows, of
    which each has one of each of the `numbers`.
    """
    return _RowsWriter(kernel, numbers, p, g, others).rows()


class _RowsWriter(KernelWriter):
    """Writes references to an element of a row, and what updates it."""

    def __init__(
        self,
        kernel: Kernel,
        numbers: tuple[Operand, ...],
        p: np.dtype[Any],
        g: np.dtype[Any],
        others: Others,
    ) -> None:
        super().__init__(kernel, p, g, others, stored=False)
        self._numbers = numbers
        self.dtypes |= dict.fromkeys(numbers, self.compute)

    def rows(self) -> KernelSource:
        scalars, comments = self._scalars()
        self._statements()
        found, arrays = self._arrays()
        lines = [*comments, *map(self._number, range(len(self._numbers)))]
        for array in (*found, *arrays):
            index = "i" if array == GRAD else "at"
            lines.append(f"auto& {self._parameter(array)} = {self._rows(array)}[{index}];")
        body = [
            "const ptrdiff_t row = i / width, at = (ptrdiff_t)which[row] * width + i % width;",
            *["if (row < count) {", *(f"  {line}" for line in (*lines, *self.lines)), "}"],
        ]
        inputs = [*_INPUTS, *map(self._declared, found), *scalars]
        outputs, name = [*map(self._declared, arrays)], self._name("_rows")
        return KernelSource.of(inputs, outputs, body, name, found, arrays)

    def _number(self, n: int) -> str:
        """The line that reads what is one number for all of a row."""
        name = self._parameter(self._numbers[n])
        return f"const {self.real} {name} = ({self.real})which[{n + 1} * count + row];"

    def _rows(self, array: Operand) -> str:
        """The name of the kernel's parameter for a whole array."""
        return f"{self.array(array)}_rows"

    def _declared(self, array: Operand) -> tuple[str, np.dtype[Any] | None]:
        return f"raw {self.dtypes[array].name} {self._rows(array)}", self.dtypes[array]

"""From a `Kernel` with state in 8 bits to the text of a CUDA kernel that updates many arrays.

It is that of `gpuopt.codegen.cuda.table` in all but one thing: a warp takes a block of 256 elements
and computes all of it before it stores any, for the largest decides how the others are encoded.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from gpuopt.arrays.dynamic8 import BLOCK
from gpuopt.codegen.cuda.elementwise import Others
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.codegen.cuda.table import UpdateWriter, update_chunk
from gpuopt.codegen.order import LANES
from gpuopt.tracing.operands import PARAM, Operand
from gpuopt.tracing.program import Kernel

__all__ = ["coded_source"]

_WARP = 32
_COUNT = BLOCK // _WARP
_REST = "for (int k = 0; k < n && k < left; ++k)"


@functools.lru_cache(maxsize=512)
def coded_source(
    kernel: Kernel,
    states: tuple[str, ...],
    p: np.dtype[np.generic],
    g: np.dtype[np.generic],
    others: Others = (),
    stored: bool = False,
) -> KernelSource:
    """The source of `kernel`, as by `gpuopt.codegen.cuda.table.table_source`."""
    return _CodedWriter(kernel, p, g, others, stored, states).update()


class _CodedWriter(UpdateWriter):
    """Writes what goes through a chunk block by block; the last one may be short."""

    arguments = "auto width, ptrdiff_t at, int left"

    def _chunk(self, used: Sequence[Operand]) -> list[str]:
        chunk, size = update_chunk(self.dtypes[PARAM]), self.cell("size")
        addresses = " | ".join(map(self.cell, used))
        return [
            f"const ptrdiff_t first = (i / {LANES} - {self.cell('chunk')}) * {chunk};",
            f"const ptrdiff_t end = first + {chunk}, stop = {size} < end ? {size} : end;",
            f"const bool aligned = (({addresses}) & 15) == 0;",
            "#pragma unroll 1",
            f"ptrdiff_t block = first + lane / {_WARP} * {BLOCK};",
            f"for (; block < stop; block += {LANES // _WARP * BLOCK}) {{",
            f"  const ptrdiff_t at = block + lane % {_WARP} * {_COUNT};",
            f"  if (aligned && block + {BLOCK} <= stop) {{",
            f"    update(Width<{_COUNT}, 16>(), at, {_COUNT});",
            "  } else {",
            f"    update(Width<{_COUNT}, 0>(), at, (int)(stop - at));",
            "  }",
            "}",
        ]

    def _moved(self, used: Sequence[Operand]) -> list[str]:
        """The lines that load arrays: element by element where the block is short."""
        lines = list[str]()
        for array in used:
            name = self._parameter(array)
            lines.append(f"Several<{self.kind(array)}, n, bytes> {name} = {{}};")
            if array in self.read:
                lines += [
                    f"if (bytes) {name}.load({name}_at + at);",
                    f"else {_REST} {name}.item[k] = {name}_at[at + k];",
                ]
        return lines

    def _update(self, used: Sequence[Operand]) -> None:
        """The lines that load, compute, pack and store the elements of a thread."""
        before = ["const int n = decltype(width)::count, bytes = decltype(width)::bytes;"]
        before += self._moved(used)
        coded = [self._parameter(array) for array in self.changed if array in self.coded]
        before += [f"unsigned {name}_new[n], {name}_told = 0;" for name in coded]
        self._element()
        loop = ["#pragma unroll", "for (int k = 0; k < n; ++k) {"]
        loop += [*(f"  {line}" for line in self.lines), "}"]
        for name in coded:
            loop += [
                f"{name}_told = told_by_warp({name}_told);",
                "#pragma unroll",
                "for (int k = 0; k < n; ++k)",
                f"  {name}.item[k] = encoded({name}_new[k], {name}_told);",
            ]
        self.lines = [*before, *loop]
        for array in self.changed:
            self.lines += self._kept(array)

    def _store(self, array: Operand, index: str = "") -> None:
        if array not in self.coded:
            super()._store(array, index)
            return
        name, (new,) = self._parameter(array), self.new(array)
        self.lines += [
            f"{name}_new[k] = k < left ? prefix_of({new}) : 0u;",
            f"{name}_told = joined({name}_told, told_by({name}_new[k]));",
        ]

    def _kept(self, array: Operand) -> list[str]:
        """The lines that store the elements of an array, and what its block tells."""
        name = self._parameter(array)
        lines = [
            f"{self.asks(array)}{{",
            f"  if (bytes) {name}.store({name}_at + at);",
            f"  else {_REST} {name}_at[at + k] = {name}.item[k];",
        ]
        if array in self.coded:
            lines.append(
                f"  if (lane % {_WARP} == 0) {name}_tops[at / {BLOCK}] = "
                f"(unsigned short){name}_told;"
            )
        return [*lines, "}"]

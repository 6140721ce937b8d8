"""From a `Kernel` to the text of a CUDA kernel that updates many arrays at once, found by a table
of addresses.

Each 256 threads take a chunk of one array. A thread loads 16 bytes of the narrowest array, and as
many elements of the others, of all arrays before it stores any; what is left at the end of an
array, and arrays that do not begin at a multiple of 16 bytes, go element by element. The formula is
written once, for any number of elements.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gpuopt.arrays.dynamic8 import BLOCK
from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.elementwise import KernelWriter, Others
from gpuopt.codegen.cuda.parts import part
from gpuopt.codegen.cuda.printer import TYPES
from gpuopt.codegen.cuda.source import PREAMBLE, KernelSource
from gpuopt.codegen.order import LANES
from gpuopt.tracing.operands import GRAD, PARAM, Operand, state
from gpuopt.tracing.program import Kernel

__all__ = ["TableWriter", "columns", "table_source", "update_chunk"]

_HEADERS = {
    "float16": "#include <cupy/float16.cuh>\n",
    "bfloat16": "#include <cupy/bfloat16.cuh>\n",
}


def update_chunk(p: np.dtype[Any]) -> int:
    """How many elements of a parameter a chunk has."""
    return tuning.UPDATE_CHUNK // p.itemsize


def columns(others: Others, states: Sequence[str]) -> list[str | Operand]:
    """What a row of the table holds of an array, in order; where its gradient is stands elsewhere,
    since it may move.

    The number of elements, its first chunk and its number in the optimizer come first; then its
    first chunk of a reduction and where that has room for sums; then addresses.
    """
    return [
        "size",
        "chunk",
        "number",
        "fold",
        "room",
        PARAM,
        *(array for array, _ in others),
        *map(state, states),
    ]


@functools.lru_cache(maxsize=512)
def table_source(
    kernel: Kernel,
    states: tuple[str, ...],
    p: np.dtype[Any],
    g: np.dtype[Any],
    others: Others = (),
    stored: bool = False,
) -> KernelSource:
    """The source of `kernel` for many contiguous arrays; as
    `gpuopt.codegen.cuda.elementwise.kernel_source` for one.

    Its loop is over `LANES` for each chunk. It takes the array of each chunk, the rows of the table
    (with the `columns` of `others` and of all `states`), the address of each array's gradient (0
    where it has none), the scalars and parts of seeds; scalars that are `stored` lie in a row for
    each array.
    """
    return UpdateWriter(kernel, p, g, others, stored, states).update()


def _moves() -> str:
    """How a kernel moves 16 bytes at a time."""
    text = part("moves")
    return "\n" + (text.replace("st.global", "st.global.cs") if tuning.STREAMING_STORES else text)


class TableWriter(KernelWriter):
    """Writes what finds its arrays by a table."""

    tables: ClassVar[list[tuple[str, Any]]] = [
        ("raw int32 chunk", np.dtype(np.int32)),
        ("raw int64 rows", np.dtype(np.int64)),
        ("raw int64 gradients", np.dtype(np.int64)),
    ]
    """The first arguments."""

    def __init__(
        self,
        kernel: Kernel,
        p: np.dtype[Any],
        g: np.dtype[Any],
        others: Others,
        stored: bool,
        states: Sequence[str],
    ) -> None:
        super().__init__(kernel, p, g, others, stored)
        self.coded = {state(s.name) for s in kernel.states if s.coded}
        self.dtypes |= dict.fromkeys(self.coded, np.dtype(np.uint8))
        self._place = columns(others, states)

    def cell(self, column: str | Operand) -> str:
        """What the table holds of the array."""
        return "g_at" if column == GRAD else f"row[{self._place.index(column)}]"

    def kind(self, array: Operand) -> str:
        """The type of an array's elements."""
        return TYPES[self.dtypes[array].name]

    def point(self, used: Sequence[Operand]) -> None:
        """The lines that name the addresses of arrays, and the array's number where that is
        asked.
        """
        for array in used:
            const, name = "" if array in self.changed else "const ", self._parameter(array)
            kind = f"{const}{self.kind(array)}*"
            self.lines.append(f"{kind} const {name}_at = ({kind}){self.cell(array)};")
            if array in self.coded:
                kind, bytes_ = f"{const}unsigned short*", f"({self.cell('size')} + {BLOCK - 1})"
                where = f"{self.cell(array)} + {bytes_} / {BLOCK} * {BLOCK}"
                self.lines.append(f"{kind} const {name}_tops = ({kind})({where});")
        if self.kernel.random:
            self.lines.append(f"const int array_number = {self.cell('number')};")

    def _load(self, array: Operand, element: str = "{}") -> None:
        if array in self.coded:
            name = self._parameter(array)
            old = f"decoded({element.format(name)}, {name}_tops[at / {BLOCK}])"
            self.lines.append(f"const {self.real} {self.operand(array, 'old')} = {old};")
        else:
            super()._load(array, element)

    def for_each(self, lines: list[str], taken: str = "g_at != 0") -> list[str]:
        """The lines that run others for the array of a chunk, if it is `taken`."""
        return [
            f"const int leaf = chunk[i / {LANES}], lane = i % {LANES};",
            f"const long long* const row = &rows[leaf * {len(self._place)}];",
            "const long long g_at = gradients[leaf];",
            *(f"if ({taken}) {{", *(f"  {line}" for line in lines), "}"),
        ]

    def preamble(self, used: Sequence[Operand]) -> str:
        """What the body uses, with the headers of types that CuPy does not see."""
        return (
            "".join(
                _HEADERS[n]
                for n in dict.fromkeys(self.dtypes[a].name for a in used)
                if n in _HEADERS
            )
            + PREAMBLE
            + (f"\n{part('dynamic8')}" if self.coded.intersection(used) else "")
        )


class UpdateWriter(TableWriter):
    """Writes what updates a chunk of an array."""

    arguments = "auto width, ptrdiff_t at"
    """What the lines of `_update` are given."""

    def update(self) -> KernelSource:
        kernel = self.kernel
        moved = [*self.read, *self.changed]
        first = [PARAM] if PARAM in moved or not moved else []  # nothing moves: a state may change
        used = list(dict.fromkeys([*first, *moved]))
        scalars, comments = self._scalars(first=kernel.accept is not None, row="leaf")
        self.point(used)
        given, self.lines = self.lines, []
        self._update(used)
        given += [
            f"const auto update = [&]({self.arguments}) {{",
            *(f"  {line}" for line in self.lines),
            "};",
        ]
        given += self._chunk(used)
        taken = (
            "g_at != 0"
            if kernel.accept is None or not self.stored
            else f"g_at != 0 && {self._stored(0, 'leaf')} != 0"
        )
        inside = tuple(array for array in used if array not in self.inputs)
        reads = tuple(array for array in used if array in self.inputs)
        lines = [*comments, *self.for_each(given, taken)]
        return KernelSource.of(
            [*self.tables, *scalars, *self._seeds()],
            [],
            lines,
            self._name(),
            reads,
            inside,
            self.preamble(used) + _moves(),
        )

    def _chunk(self, used: list[Operand]) -> list[str]:
        """The lines that go through a chunk: by 16 bytes where every address allows it, then one by
        one.
        """
        narrow = min(
            self.dtypes[array].itemsize
            for array in used
            if array not in self.inputs or array == GRAD
        )
        count, addresses, size = (
            max(1, 16 // narrow) * tuning.VECTORS,
            " | ".join(map(self.cell, used)),
            self.cell("size"),
        )
        aligned, many = f"(({addresses}) & 15) == 0", f"Width<{count}, 16>()"
        chunk = update_chunk(self.dtypes[PARAM])
        return [
            f"const ptrdiff_t first = (i / {LANES} - {self.cell('chunk')}) * {chunk};",
            f"const ptrdiff_t end = first + {chunk}, stop = {size} < end ? {size} : end;",
            f"const ptrdiff_t whole = {aligned} ? stop - (stop - first) % {count} : first;",
            "#pragma unroll 1",
            f"for (ptrdiff_t at = first + lane * {count}; at < whole; at += {LANES * count}) {{",
            f"  update({many}, at);",
            "}",
            "#pragma unroll 1",
            f"for (ptrdiff_t at = whole + lane; at < stop; at += {LANES}) {{",
            "  update(Width<1, 0>(), at);",
            "}",
        ]

    def _element(self) -> None:
        """The lines that load, compute and store one of some elements in registers."""
        for array in self.read:
            self._load(array, "{}.item[k]")
        self._randomize("at + k")
        self._compute()
        for array in self.changed:
            self._store(array, ".item[k]")

    def _update(self, used: list[Operand]) -> None:
        """The lines that load, compute and store some elements."""
        before = ["const int n = decltype(width)::count, bytes = decltype(width)::bytes;"]
        before += [
            f"Several<{self.kind(array)}, n, bytes> {self._parameter(array)};" for array in used
        ]
        loaded = [self._parameter(array) for array in used if array in self.read]
        before += [f"{name}.load({name}_at + at);" for name in loaded]
        self._element()
        after = [
            f"{self.asks(array)}{self._parameter(array)}.store({self._parameter(array)}_at + at);"
            for array in self.changed
        ]
        loop = [
            "#pragma unroll",
            "for (int k = 0; k < n; ++k) {",
            *(f"  {x}" for x in self.lines),
            "}",
        ]
        self.lines = [*before, *loop, *after]

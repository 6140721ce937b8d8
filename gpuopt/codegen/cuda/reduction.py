"""From a stage of an `UpdateProgram` to the text of a CUDA kernel that reduces arrays.

The order of additions is that of `gpuopt.executors.fold`. One launch computes every level of a sum:
the pattern is that of the sample threadFenceReduction of NVIDIA's cuda-samples, with a ticket for
each sum of each level in place of one for the grid. Each thread adds some lanes of one chunk. Then
it takes a ticket; the thread that takes the last ticket of these sums computes the next level. The
result does not depend on the order of arrival, and every ticket is reset to 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.elementwise import PREAMBLE, KernelSource, KernelWriter, Others
from gpuopt.codegen.cuda.printer import identifier
from gpuopt.codegen.cuda.table import TYPES, TableWriter
from gpuopt.codegen.order import LANES, ROWS, chunks
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.program import Kernel

__all__ = ["fold_space", "reduction_source", "reductions_source", "threads"]

_WARP = 32
"""Threads that load together; lanes of a thread lie so far apart."""

# The fences: a thread writes its part (`keep`), then a fence, then takes a ticket, so that whoever
# sees the ticket sees the part. The thread with the last ticket fences again before it reads the
# others' parts, which are read as volatile, past the cache of its multiprocessor. The last thread
# of some lanes takes a ticket of the array in the same way; the last of these adds all lanes.
_CLIMB = """\
ptrdiff_t level = 0, here = ({elements} + {chunk} - 1) / {chunk}, mine = at_chunk;
bool last = true;
while (true) {{
{keep}
  if (here == 1) break;
  __threadfence();
  const ptrdiff_t above = mine / {rows}, next = level + here, left = here - above * {rows};
  const int members = left < {rows} ? (int)left : {rows};
  int* const ticket = &tickets[room + (next + above) * {lanes} + lane];
  if (atomicAdd(ticket, 1) != members - 1) {{ last = false; break; }}
  __threadfence();
  *ticket = 0;
{clear}
  #pragma unroll {unroll}
  for (int row = 0; row < members; ++row) {{
    const ptrdiff_t from = room + (level + above * {rows} + row) * {lanes} + lane;
{again}
  }}
  level = next; here = (here + {rows} - 1) / {rows}; mine = above;
}}
if (last) {{
  __threadfence();
  if (atomicAdd(&tickets[room], 1) == {threads} - 1) {{
    __threadfence();
    tickets[room] = 0;
{total}
  }}
}}"""


def threads() -> int:
    """How many threads reduce a chunk."""
    return LANES // tuning.LANES_A_THREAD


def fold_space(size: int) -> int:
    """How many lanes, on all levels together, the reduction of `size` elements needs."""
    rows = [chunks(size)]
    while rows[-1] > 1:
        rows.append(chunks(rows[-1] * LANES))
    return sum(rows) * LANES


@functools.lru_cache(maxsize=512)
def reduction_source(
    stage: Kernel, p: np.dtype[Any], g: np.dtype[Any], others: Others = (), stored: bool = False
) -> KernelSource:
    """The kernel that reduces one array, for dtypes as in
    `gpuopt.codegen.cuda.elementwise.kernel_source`.

    Its loop is over `threads` for each chunk. It takes what it reads, scalars, parts of seeds
    and the array's number if there are random numbers, the number of elements, how far the lanes of
    two reductions are apart, then lanes, tickets (0 before and after), and a float64 for each
    total.
    """
    return _OneWriter(stage, p, g, others, stored).reduction()


@functools.lru_cache(maxsize=512)
def reductions_source(
    stage: Kernel,
    states: tuple[str, ...],
    p: np.dtype[Any],
    g: np.dtype[Any],
    others: Others = (),
    stored: bool = False,
) -> KernelSource:
    """The kernel that reduces many arrays in C order, as `gpuopt.codegen.cuda.table.table_source`
    finds them.

    After tables and scalars it takes how far the lanes of two reductions are apart, lanes, tickets,
    and for each total a row with a float64 for each array of the optimizer.
    """
    return _ManyWriter(stage, p, g, others, stored, states).reduction()


def _each(name: str, count: int, lines: list[str]) -> list[str]:
    """The lines that run others for so many numbers."""
    loop = f"for (int {name} = 0; {name} < {count}; ++{name}) {{"
    return ["#pragma unroll", loop, *_indented(lines), "}"]


def _rows(size: int) -> int:
    """How many rows of a thread's lanes are loaded at once, of so many bytes an element."""
    return max(1, tuning.IN_FLIGHT // (tuning.LANES_A_THREAD * max(size, 1)))


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


class _ReductionWriter(KernelWriter):
    def _reduced(self, element: str) -> list[str]:
        """The lines that add some lanes of a chunk, and go on with the sums of which they are the
        last parts.

        The next rows are loaded while those before are added. A load is made or not, without a
        branch, so that all of them wait together.
        """
        read = {self._parameter(array): self.dtypes[array] for array in self.read}
        lanes, rows = tuning.LANES_A_THREAD, _rows(sum(x.itemsize for x in read.values()))
        for array in self.read:
            self._load(array, "from.{}[k]")
        self._randomize("first + place")
        self._compute()
        adds = [*self.lines, *self._adds(lambda _, reduction: self.value(reduction.args[0], "add"))]
        loads = [f"to.{name}[k] = {element.format(name)};" for name in read]
        fields = [f"{TYPES[read[name].name]} {name}[{lanes * rows}];" for name in read]
        place = f"const int j = k % {lanes}, place = top + k / {lanes} * {LANES} + j * {_WARP};"
        check, many = [place, "if (place < end) {"], lanes * rows
        load, add = (_each("k", many, [*check, *_indented(x), "}"]) for x in (loads, adds))
        return [
            f"const int lane = thread / {_WARP} * {_WARP * lanes} + thread % {_WARP};",
            f"const ptrdiff_t first = at_chunk * {LANES * ROWS} + lane, rest = elements - first;",
            f"const int whole = {LANES * ROWS} - lane, end = rest < whole ? (int)rest : whole;",
            *(f"{self.real} t{k}[{lanes}];" for k, _ in enumerate(self.kernel.reductions)),
            *self._cleared(),
            f"struct Loaded {{ {' '.join(fields)} }} now, then;",
            *("const auto load = [&](Loaded& to, int top) {", *_indented(load), "};"),
            *("const auto add = [&](const Loaded& from, int top) {", *_indented(add), "};"),
            "load(now, 0);",
            "#pragma unroll 1",
            f"for (int top = 0; top < end; top += {rows * LANES}) {{",
            *(f"  load(then, top + {rows * LANES});", "  add(now, top);", "  now = then;", "}"),
            *self._climb(),
        ]

    def _adds(self, part: Callable[[int, Expr], str]) -> list[str]:
        """The lines that add a part of each reduction to the sum of its lane `j`."""
        found = enumerate(self.kernel.reductions)
        add = ((k, REDUCTIONS[r.op].op.cuda, part(k, r)) for k, r in found)
        return [f"t{k}[j] = {cuda.format(f't{k}[j]', x, T=self.real)};" for k, cuda, x in add]

    def _cleared(self) -> list[str]:
        """The lines that begin all sums."""
        nothing = [self.literal(REDUCTIONS[r.op].nothing) for r in self.kernel.reductions]
        lines = [f"t{k}[j] = {value};" for k, value in enumerate(nothing)]
        return _each("j", tuning.LANES_A_THREAD, lines)

    def _text(
        self, inputs: list[tuple[str, Any]], lines: list[str], preamble: str = PREAMBLE
    ) -> KernelSource:
        outputs: list[tuple[str, Any]] = [(f"raw {self.compute.name} lanes", self.compute)]
        outputs += [("raw int32 tickets", np.dtype(np.int32))]
        count, total = len(self.kernel.reductions), np.dtype(np.float64)
        outputs += [(f"raw float64 total_{k}", total) for k in range(count)]
        name = f"gpuopt_{identifier(self.kernel.name).lower()}_reduction_{self.dtypes[PARAM].name}"
        given, reads = [*inputs, ("int64 lane_stride", None)], tuple(self.read)
        return KernelSource.of(given, outputs, lines, name, reads, preamble=preamble)

    def _climb(self) -> list[str]:
        """The sums of sums, level by level."""
        from_lanes = f"((const volatile {self.real}*)&lanes[0])[{{0}} + {{1}} * lane_stride]"
        count, lanes, total = len(self.kernel.reductions), tuning.LANES_A_THREAD, list[str]()
        to = f"room + (level + mine) * {LANES} + lane + j * {_WARP}"
        keep = [f"lanes[{to} + {k} * lane_stride] = t{k}[j];" for k in range(count)]
        again = self._adds(lambda k, _: from_lanes.format(f"from + j * {_WARP}", k))
        for k, op in enumerate(reduction.op for reduction in self.kernel.reductions):
            value = f"(double){from_lanes.format(f'room + level * {LANES} + n', k)}"
            add = REDUCTIONS[op].op.cuda.format(f"sum_{k}", value, T="double")
            total += [
                f"double sum_{k} = {'0.0' if op == 'sum' else '-1.0 / 0.0'};",
                f"#pragma unroll {tuning.LANES_IN_FLIGHT}",
                f"for (int n = 0; n < {LANES}; ++n) sum_{k} = {add};",
                f"total_{k}[array_total] = sum_{k};",
            ]
        parts = {"keep": _each("j", lanes, keep), "clear": self._cleared()}
        parts["again"], parts["total"] = _indented(_each("j", lanes, again)), _indented(total)
        written = {name: "\n".join(_indented(lines)) for name, lines in parts.items()}
        return _CLIMB.format(
            **written,
            elements="(elements > 0 ? elements : 1)",
            chunk=LANES * ROWS,
            rows=ROWS,
            lanes=LANES,
            threads=threads(),
            unroll=_rows(self.compute.itemsize * count),
        ).splitlines()


class _OneWriter(_ReductionWriter):
    def reduction(self) -> KernelSource:
        scalars, comments = self._scalars()
        given, self.lines = self.lines, []
        given += [
            f"const ptrdiff_t at_chunk = i / {threads()}, thread = i % {threads()};",
            "const ptrdiff_t room = 0, array_total = 0;",
        ]
        inputs = [
            (f"raw {self.dtypes[array].name} {self._parameter(array)}", self.dtypes[array])
            for array in self.read
        ]
        numbers = [("int32 array_number", None)] if self.kernel.random else []
        return self._text(
            [*inputs, *scalars, *self._seeds(), *numbers, ("int64 elements", None)],
            [*comments, *given, *self._reduced("{}[first + place]")],
        )


class _ManyWriter(TableWriter, _ReductionWriter):
    def reduction(self) -> KernelSource:
        scalars, comments = self._scalars(row="leaf")
        self.point(self.read)
        given, self.lines = self.lines, []
        given += [
            f"const ptrdiff_t at_chunk = i / {threads()} - {self.cell('fold')};",
            f"const ptrdiff_t elements = {self.cell('size')}, room = {self.cell('room')};",
            f"const ptrdiff_t array_total = {self.cell('number')};",
        ]
        body = [*given, *self._reduced("from_global({}_at + first + place)")]
        lines = [*comments, *self.for_each(body, threads=threads())]
        inputs = [*self.tables, *scalars, *self._seeds()]
        return self._text(inputs, lines, self.preamble(self.read))

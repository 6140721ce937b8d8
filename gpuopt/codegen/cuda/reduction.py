"""From a stage of an `UpdateProgram` to the text of a CUDA kernel that reduces arrays.

The order of additions is that of `gpuopt.executors.fold`. One launch computes every level of a sum:
the pattern is that of the sample threadFenceReduction of NVIDIA's cuda-samples, with a ticket for
each sum of each level in place of one for the grid. Each thread adds one lane of one chunk. Then it
takes a ticket; the thread that takes the last ticket of a sum computes the next level. The result
does not depend on the order of arrival, and every ticket is reset to 0.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.elementwise import KernelWriter, Others
from gpuopt.codegen.cuda.source import PREAMBLE, KernelSource
from gpuopt.codegen.cuda.table import TableWriter
from gpuopt.codegen.order import LANES, ROWS, chunks
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.program import Kernel

__all__ = ["fold_space", "reduction_source", "reductions_source"]

# The fences: a thread writes its part (`keep`), then a fence, then takes a ticket, so that whoever
# sees the ticket sees the part. The thread with the last ticket fences again before it reads the
# others' parts, which are read as volatile, past the cache of its multiprocessor. The last thread
# of a lane takes a ticket of the array in the same way; the last of these adds the lanes.
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
  for (int row = 0; row < members; ++row) {{
    const ptrdiff_t from = room + (level + above * {rows} + row) * {lanes} + lane;
{again}
  }}
  level = next; here = (here + {rows} - 1) / {rows}; mine = above;
}}
if (last) {{
  __threadfence();
  if (atomicAdd(&tickets[room], 1) == {lanes} - 1) {{
    __threadfence();
    tickets[room] = 0;
{total}
  }}
}}"""


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

    Its loop is over `LANES` lanes for each chunk. It takes what it reads, scalars, parts of seeds
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


class _ReductionWriter(KernelWriter):
    def _reduced(self, element: str) -> list[str]:
        """The lines that add a lane of a chunk, and continue the sum whose last part it is."""
        reductions, kinds = (
            list(enumerate(self.kernel.reductions)),
            [reduction.op for reduction in self.kernel.reductions],
        )
        for array in self.read:
            self._load(array, element)
        self._randomize("at")
        self._compute()
        adds = [
            f"t{k} = {self._add(r.op, f't{k}', self.value(r.args[0], 'add'))};"
            for k, r in reductions
        ]
        return [
            f"const ptrdiff_t first = at_chunk * {LANES * ROWS} + lane;",
            *(
                f"{self.real} t{k} = {self.literal(REDUCTIONS[op].nothing)};"
                for k, op in enumerate(kinds)
            ),
            f"const ptrdiff_t rest = (elements - first + {LANES - 1}) / {LANES};",
            f"const int rows_here = rest <= 0 ? 0 : rest < {ROWS} ? (int)rest : {ROWS};",
            f"#pragma unroll {tuning.IN_FLIGHT}",
            "for (int n = 0; n < rows_here; ++n) {",
            f"  const ptrdiff_t at = first + n * {LANES};",
            *(f"  {line}" for line in [*self.lines, *adds]),
            "}",
            *self._climb(kinds),
        ]

    def _text(
        self, inputs: list[tuple[str, Any]], lines: list[str], preamble: str = PREAMBLE
    ) -> KernelSource:
        outputs: list[tuple[str, Any]] = [
            (f"raw {self.compute.name} lanes", self.compute),
            ("raw int32 tickets", np.dtype(np.int32)),
        ]
        outputs += [
            (f"raw float64 total_{k}", np.dtype(np.float64))
            for k in range(len(self.kernel.reductions))
        ]
        name = self._name("_reduction")
        return KernelSource.of(
            [*inputs, ("int64 lane_stride", None)],
            outputs,
            lines,
            name,
            tuple(self.read),
            preamble=preamble,
        )

    def _add(self, op: str, a: str, b: str) -> str:
        return REDUCTIONS[op].op.cuda.format(a, b, T=self.real)

    def _climb(self, kinds: list[str]) -> list[str]:
        """The sums of sums, level by level."""
        from_lanes = f"((const volatile {self.real}*)&lanes[0])[{{0}} + {{1}} * lane_stride]"
        keep = [
            f"  lanes[room + (level + mine) * {LANES} + lane + {k} * lane_stride] = t{k};"
            for k in range(len(kinds))
        ]
        clear = [f"  t{k} = {self.literal(REDUCTIONS[op].nothing)};" for k, op in enumerate(kinds)]
        again = [
            f"    t{k} = {self._add(op, f't{k}', from_lanes.format('from', k))};"
            for k, op in enumerate(kinds)
        ]
        total = []
        for k, op in enumerate(kinds):
            value = f"(double){from_lanes.format(f'room + level * {LANES} + n', k)}"
            add = REDUCTIONS[op].op.cuda.format(f"sum_{k}", value, T="double")
            start = "0.0" if op == "sum" else "-1.0 / 0.0"
            total += [
                f"    double sum_{k} = {start};",
                f"    #pragma unroll {tuning.LANES_IN_FLIGHT}",
                f"    for (int n = 0; n < {LANES}; ++n) sum_{k} = {add};",
                f"    total_{k}[array_total] = sum_{k};",
            ]
        parts = {"keep": keep, "clear": clear, "again": again, "total": total}
        written = {name: "\n".join(lines) for name, lines in parts.items()}
        return _CLIMB.format(
            **written,
            elements="(elements > 0 ? elements : 1)",
            chunk=LANES * ROWS,
            rows=ROWS,
            lanes=LANES,
        ).splitlines()


class _OneWriter(_ReductionWriter):
    def reduction(self) -> KernelSource:
        scalars, comments = self._scalars()
        given, self.lines = self.lines, []
        given += [
            f"const ptrdiff_t at_chunk = i / {LANES}, lane = i % {LANES};",
            "const ptrdiff_t room = 0, array_total = 0;",
        ]
        inputs = [
            (f"raw {self.dtypes[array].name} {self._parameter(array)}", self.dtypes[array])
            for array in self.read
        ]
        numbers = [("int32 array_number", None)] if self.kernel.random else []
        return self._text(
            [*inputs, *scalars, *self._seeds(), *numbers, ("int64 elements", None)],
            [*comments, *given, *self._reduced("{}[at]")],
        )


class _ManyWriter(TableWriter, _ReductionWriter):
    def reduction(self) -> KernelSource:
        scalars, comments = self._scalars(row="leaf")
        self.point(self.read)
        given, self.lines = self.lines, []
        given += [
            (
                f"const ptrdiff_t at_chunk = i / {LANES} - {self.cell('fold')}, elements = "
                f"{self.cell('size')};"
            ),
            f"const ptrdiff_t room = {self.cell('room')}, array_total = {self.cell('number')};",
        ]
        lines = [*comments, *self.for_each([*given, *self._reduced("from_global({}_at + at)")])]
        inputs = [*self.tables, *scalars, *self._seeds()]
        return self._text(inputs, lines, self.preamble(self.read))

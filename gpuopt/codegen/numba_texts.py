"""The texts of Numba's functions: what stands around the lines of a kernel, and what is the same
for all kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.codegen.numba_header import drawing
from gpuopt.codegen.numba_intrinsics import END, PART, STRIP, head
from gpuopt.codegen.order import LANES

__all__ = ["FOLD", "LOOP", "RUNS", "STRIPS", "fill_source", "lanes_source"]

RUNS = """def {name}(g, table, thread):
    table, gradient = whole(table), address_of(g) + whole(table)[3]
    for j in range(table[0]):
        row = {head} + j * {width}
        size = table[row]
        k = real(table[1] + j * table[2])
{arguments}
"""
LOOP = f"""        last = {{size}} // {PART} * {PART}
        for first in range(0, last, {PART}):
{{fetches}}
            for i in range(first, first + {PART}):
{{inner}}
        for i in range(last, {{size}}):
{{body}}
"""
STRIPS = f"""        for start in range(0, size, {STRIP}):
            stop = min(start + {STRIP}, size)
            for i in range(start, stop):
                at = 2 * (i - start)
{{values}}
            for i in range(2 * start, 2 * stop):
                at = i - 2 * start
{{parts}}
"""
FOLD = """        rows = size // {lanes}
        for lane in range(min(size, {lanes})):
            i = lane
{begin}
        for first in range({lanes}, rows * {lanes}, {lanes}):
            for start in range(0, {lanes}, {part}):
                if rows == {whole}:
{fetches}
                for lane in range(start, start + {part}):
                    i = first + lane
{row}
        if rows:
            for lane in range(size - rows * {lanes}):
                i = rows * {lanes} + lane
{rest}
"""
_FILL = """def fill(run, start, index, before):
    for i in range(run.size):
        run[i] = drawn(mixed(start + (index[i] + types.uint64(1)) * golden), before)
"""
_LANES = """def add_lanes(rows, totals):
    for j in range(totals.size):
        total = types.float64(0)
        for lane in range({lanes}):
            total += types.float64(rows[j, lane])
        totals[j] = total
"""


def fill_source(dtype: np.dtype[Any]) -> str:
    """Write the module with the function that does what `gpuopt.arrays.random.fill` does, for runs
    of that dtype.
    """
    return head(dtype) + END + drawing(dtype) + _FILL


def lanes_source(dtype: np.dtype[Any]) -> str:
    """Write the module with the function that does what `gpuopt.executors.fold.add_lanes` does, for
    rows of that dtype.
    """
    return head(dtype) + END + _LANES.format(lanes=LANES)

"""The text of the kernels that gather rows of several arrays, and put them back."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.elementwise import KernelSource

__all__ = ["gather_source", "scatter_source"]

_INPUTS = [("int64 width", None), ("int64 count", None), ("raw float64 which", np.dtype("f8"))]
"""The elements of a row; how many rows there are; which they are, and then the numbers of each."""
_PLACE = "const long long row = i / width, whole = (long long)which[row] * width + i % width;"


@functools.lru_cache(maxsize=512)
def gather_source(
    arrays: tuple[np.dtype[Any], ...], numbers: tuple[np.dtype[Any], ...]
) -> KernelSource:
    """What copies rows of arrays of these dtypes, and repeats one number for all of a row."""
    inputs = [(f"raw {dtype.name} a{n}", dtype) for n, dtype in enumerate(arrays)]
    outputs = [(f"raw {dtype.name} r{n}", dtype) for n, dtype in enumerate((*arrays, *numbers))]
    lines = [_PLACE, *(f"r{n}[i] = a{n}[whole];" for n in range(len(arrays)))]
    lines += [f"r{len(arrays) + n}[i] = which[{n + 1} * count + row];" for n in range(len(numbers))]
    return KernelSource.of([*_INPUTS, *inputs], outputs, lines, "gpuopt_gather_rows", preamble="")


@functools.lru_cache(maxsize=512)
def scatter_source(arrays: tuple[np.dtype[Any], ...]) -> KernelSource:
    """What copies rows back to arrays of these dtypes."""
    inputs = [(f"raw {dtype.name} r{n}", dtype) for n, dtype in enumerate(arrays)]
    outputs = [(f"raw {dtype.name} a{n}", dtype) for n, dtype in enumerate(arrays)]
    lines = [_PLACE, *(f"a{n}[whole] = r{n}[i];" for n in range(len(arrays)))]
    return KernelSource.of([*_INPUTS, *inputs], outputs, lines, "gpuopt_scatter_rows", preamble="")

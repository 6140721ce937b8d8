"""The CuPy executor: one ``ElementwiseKernel`` a rule, generated from its trace; and its complete CUDA text."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import cupy
import numpy as np

from gpuopt.dtypes import COMPUTE
from gpuopt.executors.cuda_text import OPTIONS, PREAMBLE, KernelText, kernel_text
from gpuopt.executors.layout import Leaf, new_state
from gpuopt.trace import Trace

__all__ = ["CupyGroup", "kernel"]


@functools.lru_cache(maxsize=512)
def _made(written: KernelText) -> Any:
    return cupy.ElementwiseKernel(
        written.inputs, written.outputs, written.body, written.name, preamble=PREAMBLE, options=OPTIONS
    )


def kernel(trace: Trace, p: np.dtype[Any], g: np.dtype[Any]) -> tuple[Any, KernelText]:
    """The kernel for parameters of dtype `p` and gradients of dtype `g`, and what it was made from."""
    written = kernel_text(trace, p, g)
    return _made(written), written


class CupyGroup:
    """CuPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Group`."""

    name = "cupy"

    def __init__(self, trace: Trace, rule: Any, params: Sequence[Any]) -> None:
        self._leaves = [Leaf(p) for p in params]
        self._device = params[0].device
        with self._device:
            self._buffers = new_state(cupy, trace, rule, COMPUTE[params[0].dtype.name], self._leaves)
        self.states = [
            {name: leaf.like_param(buffer[leaf.start : leaf.stop]) for name, buffer in self._buffers.items()}
            for leaf in self._leaves
        ]
        self.use(trace)

    def use(self, trace: Trace) -> None:
        self._trace = trace

    def run(self, grads: Sequence[Any], scalars: tuple[float, ...], indices: Iterable[int] | None = None) -> None:
        with self._device:
            for index in range(len(self._leaves)) if indices is None else indices:
                if self._leaves[index].size:
                    self._launch(self._leaves[index], grads[index], scalars)

    def _launch(self, leaf: Leaf, g: Any, scalars: tuple[float, ...]) -> None:
        """Update one array: as a flat run where parameter and gradient are one, else along its axes."""
        function, written = kernel(self._trace, leaf.param.dtype, g.dtype)
        g = g.transpose(leaf.axes)
        runs = [self._buffers[name][leaf.start : leaf.stop] for name in written.arrays[1:]]
        if leaf.flat is not None and g.flags.c_contiguous:
            p, g = leaf.flat, g.reshape(-1)
        else:
            p, runs = leaf.nd, [run.reshape(leaf.nd.shape) for run in runs]
        inputs = (g, *scalars) if written.reads_gradient else scalars
        function(*inputs, p, *runs)

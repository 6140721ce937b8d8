"""How an array's elements lie in memory, and where its state lies: shared by the executors.

An executor works on runs of consecutive elements. A `ParamView` sees a parameter in the order of its memory, so that C order,
Fortran order and any other permutation of axes are one flat run, and keeps its state as a part of one flat buffer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import state_dtype
from gpuopt.arrays.precision import MASTER
from gpuopt.rules.base import bind
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.parts import own_states, state_names
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.symbols import hyper_array

Box = tuple[Any, ...]


class ParamView:
    """A parameter array in the order of its memory.

    Attributes
    ----------
    axes : tuple of int
        The axes by falling stride.
    nd : array
        The parameter with its axes in that order.
    flat : array or None
        The parameter as one run, where its elements lie without gaps.
    start, stop : int
        Where its state lies in the buffers.
    """

    __slots__ = ("axes", "flat", "nd", "param", "size", "start", "stop")

    def __init__(self, param: Any) -> None:
        self.param, self.size = param, param.size
        self.axes = tuple(sorted(range(param.ndim), key=lambda axis: -abs(param.strides[axis])))
        self.nd = param.transpose(self.axes)
        self.flat = self.nd.reshape(-1) if self.nd.flags.c_contiguous else None
        self.start = self.stop = 0

    def like_param(self, run: Any) -> Any:
        """The flat `run` seen with the parameter's shape and order of axes."""
        return run.reshape(self.nd.shape).transpose(np.argsort(self.axes))

    def state(self, buffers: dict[str, Any]) -> dict[str, Any]:
        """Its state by name: its part of each buffer, seen with the parameter's shape."""
        return {name: self.like_param(buffer[self.start : self.stop]) for name, buffer in buffers.items()}


def cut(shape: tuple[int, ...], limit: int) -> Iterator[tuple[Box, int]]:
    """Indices that cut an array of `shape` into parts of at most `limit` elements, consecutive in C order."""
    total = math.prod(shape)
    if total <= limit:
        if total:
            yield (), total
        return
    inner = total // shape[0]
    if inner <= limit:
        rows = limit // inner
        for first in range(0, shape[0], rows):
            last = min(first + rows, shape[0])
            yield (slice(first, last),), (last - first) * inner
        return
    for index in range(shape[0]):
        for rest, count in cut(shape[1:], limit):
            yield (index, *rest), count


PADDING = 32
"""Elements to whose multiples the state of an array that is updated by itself is padded: whole cache lines and vectors."""


def place(leaves: list[ParamView], packed: Collection[ParamView]) -> int:
    """Give each leaf its part of the state buffers; how long the buffers must be.

    Those that are `packed` come first, without gaps, so that they are updated as one run.
    """
    total = 0
    for leaf in packed:
        leaf.start, leaf.stop = total, total + leaf.size
        total = leaf.stop
    for leaf in leaves:
        if leaf not in packed:
            leaf.start = -(-total // PADDING) * PADDING
            leaf.stop = total = leaf.start + leaf.size
    return total


def new_state(
    xp: Any,
    program: UpdateProgram,
    update: Any,
    compute: np.dtype[Any],
    leaves: list[ParamView],
    packed: Collection[ParamView] = (),
    others: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The flat buffer of each state, at its initial values; `others` are the arrays for hyperparameters."""
    total = place(leaves, packed)
    buffers = {}
    for state in program.states:
        dtype = state_dtype(compute, state.complex)
        buffers[state.name] = xp.full(total, 0.0 if state.initial is None else state.initial, dtype=dtype)
    if any(state.initial is None for state in program.states):
        for leaf, beside in zip(leaves, others or [{}] * len(leaves), strict=True):
            _start(update, compute, leaf, beside, buffers)
    return buffers


def _start(update: Any, compute: np.dtype[Any], leaf: ParamView, beside: dict[str, Any], buffers: dict[str, Any]) -> None:
    """Fill the state with what ``start`` of each part that has it returns for the parameter; a master copy is that itself."""
    if MASTER in buffers and MASTER not in state_names(update):
        buffers[MASTER][leaf.start : leaf.stop].reshape(leaf.nd.shape)[...] = leaf.nd.astype(compute)
    arrays = {name: beside[hyper_array(name)].transpose(leaf.axes) for name in update.ranges if hyper_array(name) in beside}
    for part, formula in bind(update.parts, update.hyper(0) | arrays):
        if has_hook(formula, "start"):
            names = [part.named(name, "_") for name in own_states(formula)]
            values = formula.start(leaf.nd.astype(state_dtype(compute, leaf.param.dtype.kind == "c")))
            for name, value in zip(names, values if isinstance(values, tuple) else (values,), strict=True):
                if name in buffers:
                    buffers[name][leaf.start : leaf.stop].reshape(leaf.nd.shape)[...] = value

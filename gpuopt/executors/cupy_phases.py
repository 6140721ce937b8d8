"""A step of CuPy arrays that reductions decide: nothing of it comes to the host, so nothing waits.

Reductions leave their totals in a table on the device; a kernel of one thread an array makes scalars of them, which the update
reads. Where the device decides whether a step is made, it counts the steps too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np

from gpuopt.executors.cuda_scalar_text import COUNT, needs_scalars, scalar_text
from gpuopt.executors.cupy_kernel import made
from gpuopt.expr import NOTHING, SIZE, Total
from gpuopt.trace import Trace

__all__ = ["Phases"]


class Phases:
    """What several bundles of arrays share on the device.

    Parameters
    ----------
    bundles : sequence of Bundle
    batches : callable
        Gives the phases of runs in an order in which each finds what it needs.
    sizes : sequence of int
        The elements of every array of the optimizer.
    counted : bool
        Whether the device counts the steps.

    Attributes
    ----------
    steps : array of int64
        How many steps were completed, and the last attempt at one that was.
    """

    def __init__(
        self, bundles: Sequence[Any], batches: Callable[[Sequence[Any]], Any], sizes: Sequence[int], counted: bool
    ) -> None:
        self.counted, self._sizes, self._attempt, self._batches = counted, sizes, 0, batches
        self._device = bundles[0].group.device
        self._masks: dict[frozenset[int], Any] = {}
        self._table: dict[Total, Any] = {}
        with self._device:
            self._allocate(bundles)

    def _allocate(self, bundles: Sequence[Any]) -> None:
        self.steps = cupy.zeros(2, np.int64)
        self._own = {bundle: cupy.asarray(np.array(bundle.indices, np.int32)) for bundle in bundles}
        self.counts = {bundle: cupy.zeros(len(bundle.indices), np.int64) for bundle in bundles}
        self._table[SIZE] = cupy.asarray(np.array(self._sizes, np.float64))

    def perform(self, runs: Sequence[Any]) -> None:
        """Make the step that `runs` describe, if it is accepted."""
        self._attempt += 1
        everywhere = frozenset(index for run in runs for index in _indices(run))
        of: dict[Total, frozenset[int]] = {}
        for run in runs:
            for total in (reduction.value for phase in run.trace.phases for reduction in phase.reductions):
                of[total] = of.get(total, frozenset()) | _indices(run)
        with self._device:
            if not runs and self.counted:  # no array has a gradient, which is a step all the same
                self.steps[:1] += 1
            self._run(runs, {total: self._mask(indices) for total, indices in of.items()}, self._mask(everywhere))

    def _run(self, runs: Sequence[Any], of: dict[Total, Any], active: Any) -> None:
        """Launch everything, in order: the phases of all runs, then their updates."""
        for batch in self._batches(runs):
            for number, phase in batch:
                self._reduce(runs[number], phase, self._scalars(runs[number], phase, of, active))
        for run in runs:
            run.bundle.group.run(run.trace, run.given, self._scalars(run, run.trace, of, active), run.positions)
        if runs and self.counted:
            made(COUNT)(self._attempt, self.steps, size=1)

    def _mask(self, indices: frozenset[int]) -> Any:
        """Which arrays of the optimizer are meant, on the device; it is copied there once."""
        if indices not in self._masks:
            if len(self._masks) == 64:  # which arrays have a gradient changes at every step
                self._masks.clear()
            mask = np.isin(np.arange(len(self._sizes)), list(indices)).astype(np.uint8)
            self._masks[indices] = cupy.asarray(mask)
        return self._masks[indices]

    def load(self, t: int, bundles: Sequence[Any]) -> None:
        """Go on after `t` completed steps, with the counts that `bundles` hold."""
        with self._device:
            self.steps[:] = cupy.asarray(np.array([t, self._attempt], np.int64))
            for bundle in bundles:
                self.counts[bundle][:] = cupy.asarray(np.array(bundle.counts, np.int64))

    def _reduce(self, run: Any, phase: Trace, scalars: Any) -> None:
        rows = [self._row(reduction) for reduction in phase.reductions]
        run.bundle.group.reduce_into(phase, run.given, scalars, rows, run.positions)

    def _row(self, reduction: Any) -> Any:
        """The totals of a reduction, one for each array of the optimizer."""
        if reduction.value not in self._table:
            self._table[reduction.value] = cupy.full(len(self._sizes), NOTHING[reduction.op], dtype=np.float64)
        return self._table[reduction.value]

    def _scalars(self, run: Any, trace: Trace, of: dict[Total, Any], active: Any) -> Any:
        """The scalars of a trace: numbers where the host knows them all, else rows of an array on the device."""
        if not needs_scalars(trace, self.counted):
            return trace.evaluate(run.count, run.hyper)
        bundle, written = run.bundle, scalar_text(trace, run.bundle.group.compute, self.counted)
        numbers = written.given(run.count, run.hyper)
        totals = [array for total in written.totals for array in (self._table[total], of.get(total, active))]
        stored = bundle.group.stored(trace, written.width)
        made(written.kernel)(
            *(self._own[bundle], active, len(self._sizes), self._attempt, *numbers, *totals),
            *(self.counts[bundle], self.steps, stored.reshape(-1)),
            size=len(bundle.indices),
        )
        return stored


def _indices(run: Any) -> frozenset[int]:
    """Which arrays of the optimizer a run updates."""
    return frozenset(run.bundle.indices[position] for position in run.members)

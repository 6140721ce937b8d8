"""Runs steps that depend on reductions entirely on the GPU, so the host never synchronizes.

Reductions leave their totals in a table on the device; a kernel of one thread an array makes scalars of them, which the update
reads. Where the device decides whether a step is made, it counts the steps too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.scalars import ScalarSource, count_source, needs_scalars, scalar_source
from gpuopt.codegen.host import compile_host
from gpuopt.executors.cuda.uploads import Lists, Turns
from gpuopt.tracing.expr import NOTHING, SIZE, ReductionKey
from gpuopt.tracing.trace import Trace

__all__ = ["DeviceSteps"]

MASKS = 8
"""Lists of which arrays have a gradient that are kept, besides one for each total, which a step may need."""


class DeviceSteps:
    """What several groups of arrays share on the device.

    Parameters
    ----------
    groups : sequence of ParamGroup
    batches : callable
        Gives the stages of runs in an order in which each finds what it needs.
    sizes : sequence of int
        The elements of every array of the optimizer.
    device_counts : bool
        Whether the device counts the steps. Then nothing that changes from step to step comes from the host, so that a step
        may be captured in a CUDA graph.
    numbers : dict
        What the numbers of the whole optimizer start at.
    hyper : dict
        The hyperparameters of each update.

    Attributes
    ----------
    steps : array of int64
        How many steps were completed; and of the one that is being made, what `count_source` says.
    numbers : dict
        The numbers of the whole optimizer, each in an array of one float32.
    counts : dict
        For each group an array of how often each of its arrays was updated.
    """

    def __init__(
        self,
        groups: Sequence[Any],
        batches: Callable[[Sequence[Any]], Any],
        sizes: Sequence[int],
        device_counts: bool,
        numbers: dict[str, Any],
        hyper: dict[Any, dict[str, float]],
    ) -> None:
        self.device_counts, self._sizes, self._batches = device_counts, sizes, batches
        self._device, self._runtime = groups[0].executor.device, groups[0].executor.runtime
        self._masks, self._room = Lists(self._runtime, 0, np.uint8, 0), 0
        self._rows: dict[tuple[Any, Trace], Turns] = {}
        self._table: dict[ReductionKey, Any] = {}
        self._hyper: dict[Any, Any] = {}
        xp = self._runtime.xp
        with self._device:
            self.steps = xp.zeros(3, np.int64)
            self.numbers = {name: xp.full(1, float(value), np.float32) for name, value in numbers.items()}
            self._own = {group: xp.asarray(np.array(group.indices, np.int32)) for group in groups}
            self.counts = {group: xp.zeros(len(group.indices), np.int64) for group in groups}
            self._table[SIZE] = xp.asarray(np.array(sizes, np.float64))
        self.prepare(groups, hyper)
        with self._device:  # a step may run on another stream than the current one
            self._runtime.wait()

    def prepare(self, groups: Sequence[Any], hyper: dict[Any, dict[str, float]]) -> None:
        """Make room for what a step of all arrays needs, and put the hyperparameters where it reads them."""
        with self._device:
            for group in groups:
                for whole in group.traces:
                    for trace in (*whole.stages, whole):
                        self._make_room(group, trace)
                if self.device_counts:
                    self._keep(group.key, [hyper[group.key].get(name, np.nan) for name in group.traces[-1].hyper])
            if self._room < len(self._table) + MASKS:
                self._room = len(self._table) + MASKS
                self._masks = Lists(self._runtime, len(self._sizes), np.uint8, self._room)
            self._meant([(frozenset(group.indices), group.traces[-1]) for group in groups])  # which is there then

    def _make_room(self, group: Any, trace: Trace) -> None:
        """Make room for the totals and scalars of a trace, also of one that only some steps run."""
        for reduction in trace.reductions:
            self._row(reduction)
        if needs_scalars(trace, self.device_counts):
            written = scalar_source(trace, group.executor.compute, self.device_counts)
            group.executor.stored(trace, written.width)
            if written.count and (group, trace) not in self._rows:
                self._rows[group, trace] = Turns(self._runtime, len(group.indices) * written.count, np.float64)

    def _keep(self, key: Any, values: list[float]) -> None:
        """Put the hyperparameters of an update on the device; in place, where a captured step may read them."""
        given = self._runtime.xp.asarray(np.array(values, np.float64))
        if key in self._hyper and self._hyper[key].shape == given.shape:
            self._hyper[key][:] = given
        else:
            self._hyper[key] = given

    def perform(self, runs: Sequence[Any], dry_run: bool = False) -> None:
        """Make the step that `runs` describe, if it is accepted. A `dry_run` launches it all, and none is accepted."""
        with self._device:
            if not runs and self.device_counts and not dry_run:  # no array has a gradient, which is a step all the same
                self.steps[:1] += 1
            of, active = self._meant([(_indices(run), run.trace) for run in runs])
            self._run(runs, of, self._mask(frozenset()) if dry_run else active)

    def _run(self, runs: Sequence[Any], of: dict[ReductionKey, Any], active: Any) -> None:
        """Launch everything, in order: the stages of all runs, then their updates."""
        for batch in self._batches(runs):
            for number, stage in batch:
                self._reduce(runs[number], stage, self._scalars(runs[number], stage, of, active))
        for run in runs:
            run.group.executor.run(run.trace, run.given, self._scalars(run, run.trace, of, active), run.positions)
        if runs and self.device_counts:
            written = count_source(runs[0].trace)  # what the numbers are made of is the same in all
            reads = (len(self._sizes), *self._reads(written, runs[0].group, of, active)) if written.numbers else ()
            self._runtime.compile_kernel(written.kernel)(
                *reads, self.steps, *(self.numbers[name] for name in written.numbers), size=1
            )

    def _reads(self, written: ScalarSource, group: Any, of: dict[ReductionKey, Any], active: Any) -> list[Any]:
        """The hyperparameters and totals that a kernel of scalars reads; where the host counts, the totals alone."""
        hyper = [self._hyper[group.key]] if self.device_counts else []
        return hyper + [array for total in written.totals for array in (self._table[total], of.get(total, active))]

    def _meant(self, runs: Sequence[tuple[frozenset[int], Trace]]) -> tuple[dict[ReductionKey, Any], Any]:
        """For each total which arrays of the optimizer it is of, and which have a gradient at all."""
        of: dict[ReductionKey, frozenset[int]] = {}
        for indices, trace in runs:
            for total in (reduction.value for stage in trace.stages for reduction in stage.reductions):
                of[total] = of.get(total, frozenset()) | indices
        everywhere = frozenset().union(*(indices for indices, _ in runs))
        return {total: self._mask(indices) for total, indices in of.items()}, self._mask(everywhere)

    def _mask(self, indices: frozenset[int]) -> Any:
        """Which arrays of the optimizer are meant, on the device."""
        return self._masks.of(
            [index in indices for index in range(len(self._sizes))], self.device_counts and self._runtime.capturing()
        )

    def load(self, t: int, counts: Sequence[int], numbers: dict[str, float]) -> None:
        """Go on after `t` completed steps, with the counts of all arrays of the optimizer, and its numbers."""
        with self._device:
            self.steps[:] = self._runtime.xp.asarray(np.array([t, 0, 0], np.int64))
            for group, here in self.counts.items():
                here[:] = self._runtime.xp.asarray(np.array([counts[index] for index in group.indices], np.int64))
            for name, value in numbers.items():
                self.numbers[name][:] = value

    def _reduce(self, run: Any, stage: Trace, scalars: Any) -> None:
        rows = [self._row(reduction) for reduction in stage.reductions]
        run.group.executor.reduce_into(stage, run.given, scalars, rows, run.positions)

    def _row(self, reduction: Any) -> Any:
        """The totals of a reduction, one for each array of the optimizer."""
        if reduction.value not in self._table:
            self._table[reduction.value] = self._runtime.xp.full(len(self._sizes), NOTHING[reduction.op], dtype=np.float64)
        return self._table[reduction.value]

    def _scalars(self, run: Any, trace: Trace, of: dict[ReductionKey, Any], active: Any) -> Any:
        """The scalars of a trace: numbers where the host knows them all, else rows of an array on the device."""
        if not needs_scalars(trace, self.device_counts):
            return run.evaluated(compile_host(trace.scalars))
        group, written = run.group, scalar_source(trace, run.group.executor.compute, self.device_counts)
        given: Any = ()
        if written.count:
            given = run.evaluated(written.given)
            if isinstance(given, list):  # a row for each array
                written = scalar_source(trace, group.executor.compute, self.device_counts, per_array=True)
                given = (self._rows[group, trace].write(np.array(given, np.float64).reshape(-1)),)
        stored = group.executor.stored(trace, written.width)
        self._runtime.compile_kernel(written.kernel)(
            *(self._own[group], active, len(self._sizes), *given, *self._reads(written, group, of, active)),
            *(self.numbers[name] for name in written.numbers),
            *(self.counts[group], self.steps, stored.reshape(-1)),
            size=len(group.indices),
        )
        return stored


def _indices(run: Any) -> frozenset[int]:
    """Which arrays of the optimizer a run updates."""
    return frozenset(run.group.indices[position] for position in run.members)

"""Arrays of one dtype under one update: how often each was updated, and what a step runs for them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from gpuopt.arrays.dtypes import is_complex
from gpuopt.arrays.precision import MASTER, PLAIN, Precision
from gpuopt.codegen.host import Evaluate, compile_host
from gpuopt.executors import Executor, Scalars, executor_of
from gpuopt.rules.base import Update, bind
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.expr import ReductionKey
from gpuopt.tracing.symbols import hyper_array
from gpuopt.tracing.trace import Trace, own_states, passes, trace

__all__ = ["GroupStep", "ParamGroup", "batches"]


@dataclasses.dataclass(eq=False, slots=True)
class GroupStep:
    """One launch of a step: the arrays it updates, their trace, and its scalars.

    `count` says which step of theirs it is: a number, or one for each array of the group. `positions` are those of the arrays
    in the group, None for all; `given` the gradients of all arrays of the group.
    """

    group: ParamGroup
    trace: Trace
    count: int | list[int]
    positions: list[int] | None
    given: Sequence[Any]
    hyper: dict[str, float]
    scalars: Scalars = ()

    def perform(self) -> None:
        self.group.executor.run(self.trace, self.given, self.scalars, self.positions)

    def count_it(self) -> None:
        counts, now = self.group.counts, self.count
        if self.positions is None:
            self.group.counts = [now] * len(counts) if isinstance(now, int) else list(now)
        else:
            for position in self.positions:
                counts[position] = now if isinstance(now, int) else now[position]

    def evaluated(self, evaluate: Evaluate) -> Scalars:
        """What scalar code gives: numbers, or a row of them for each array of the group where their counts differ."""
        if isinstance(self.count, int):
            return evaluate(self.count, self.hyper)
        of = {count: evaluate(count, self.hyper) for count in set(self.count)}
        return [of[count] for count in self.count] if len(set(of.values())) > 1 else of[self.count[0]]

    @property
    def members(self) -> list[int]:
        """The positions, written out."""
        return list(range(len(self.group.indices))) if self.positions is None else self.positions


def batches(runs: Sequence[GroupStep]) -> Iterator[list[tuple[int, Trace]]]:
    """The stages of all runs, as (position of the run, stage), in batches: what one needs, the batches before it give.

    A total over the tree is there when every run that has part in it was reduced.
    """
    waiting = [list(run.trace.stages) for run in runs]
    missing = Counter(total for stages in waiting for stage in stages for total in _gives(stage))
    while any(waiting):
        ready = [(n, stages[0]) for n, stages in enumerate(waiting) if stages and not any(missing[t] for t in stages[0].needs)]
        if not ready:
            raise RuntimeError("reductions over all arrays wait for one another: pieces ask for them in different orders")
        yield ready
        for number, stage in ready:
            waiting[number].pop(0)
            missing.subtract(_gives(stage))


def _gives(stage: Trace) -> list[ReductionKey]:
    return [reduction.value for reduction in stage.reductions if reduction.value.scope == "tree"]


class ParamGroup:
    """Arrays of one dtype under one update.

    Parameters
    ----------
    key : hashable
        What the update is called by in the rule.
    update : Update
    leaves, others : list
        All arrays of the optimizer, and beside each the arrays that stand for its hyperparameters, by name.
    indices : list of int
        Which of them are here.
    device_counts : bool
        Whether the device counts the steps: because it decides whether they are made, or so that they may be captured.
    precision : Precision
        What was asked for parameters of 16 bits.

    Attributes
    ----------
    executor : Executor
        The executor's.
    sizes : list of int
        The elements of each array.
    counts : list of int
        How often each array was updated, as far as the host counts it.
    """

    def __init__(
        self,
        key: Hashable,
        update: Update,
        leaves: list[Any],
        others: list[dict[str, Any]],
        indices: list[int],
        device_counts: bool = False,
        precision: Precision = PLAIN,
    ) -> None:
        self.key, self.indices, self._counted = key, indices, device_counts
        self.precision = precision.of(leaves[indices[0]].dtype)
        self.complex = is_complex(leaves[indices[0]].dtype)
        self.arrays = frozenset(others[indices[0]])
        self.traces = self._traces(update)
        params = [leaves[i] for i in indices]
        self.sizes = [param.size for param in params]
        self._beside = [others[i] for i in indices]
        beside = [{hyper_array(name): array for name, array in others[i].items()} for i in indices]
        self.executor: Executor = executor_of(params[0])(self.traces[-1], update, params, beside, indices, device_counts)
        self.counts = [0] * len(indices)
        self.prepare(self.traces)
        self.use(update, self.traces)

    def _traces(self, update: Update) -> list[Trace]:
        """For each number of parts that let the rest act, the trace of what acts then; the last is the whole."""
        if self._counted:
            return [trace(update, self.complex, self.arrays, masked=True, precision=self.precision)]
        gates = sum(has_hook(part.formula, "steps") for part in update.parts)
        return [trace(update, self.complex, self.arrays, passed, precision=self.precision) for passed in range(gates + 1)]

    def check_change(self, update: Update) -> list[Trace]:
        """The traces of another update.

        Raises
        ------
        ValueError
            If it needs other state.
        """
        traces = self._traces(update)
        had, needs = ([(s.name, s.complex) for s in found[-1].states] for found in (self.traces, traces))
        if had != needs:
            names = [[name for name, _ in found] for found in (needs, had)]
            rule = next(part.formula for part in update.parts if not part.name)
            raise ValueError(f"{rule!r} needs the state {names[0]}, this optimizer has {names[1]}: init anew")
        return traces

    def prepare(self, traces: list[Trace]) -> None:
        """Make ready to run `traces`: what may fail of that comes before anything is changed."""
        for each in traces:
            self.executor.prepare(each)

    def use(self, update: Update, traces: list[Trace]) -> None:
        """Take another update, whose `traces` are checked and prepared."""
        self.update, self.traces = update, traces

    @property
    def plain(self) -> bool:
        """Whether every step is one run of one trace whose scalars depend on nothing but the count, which the host knows."""
        whole = self.traces[-1]
        return len(self.traces) == 1 and not whole.stages and whole.accept is None and not whole.adapted

    def runs(self, gradients: Sequence[Any], hyper: dict[str, float]) -> list[GroupStep]:
        """What a step with these gradients (of all arrays of the optimizer) runs here.

        Arrays run together if they have the same trace; on a CPU, where another run costs nothing, and the same count.
        """
        given, next_counts = self._given(gradients), [count + 1 for count in self.counts]
        mixed = self.executor.on_device
        which = {count: passes(self.update, count) if len(self.traces) > 1 else 0 for count in set(next_counts)}
        alike: dict[tuple[int, int], list[int]] = {}
        for position, (count, g) in enumerate(zip(next_counts, given, strict=True)):
            if g is not None:
                alike.setdefault((which[count], 0 if mixed else count), []).append(position)
        found = []
        for (passed, _), positions in alike.items():
            counts = {next_counts[position] for position in positions}
            everything = None if len(positions) == len(given) else positions
            together = counts.pop() if len(counts) == 1 else next_counts
            found.append(GroupStep(self, self.traces[passed], together, everything, given, hyper))
        return found

    def whole_run(self, gradients: Sequence[Any], hyper: dict[str, float]) -> GroupStep:
        """The one run of a plain group whose arrays all have a gradient, and were updated equally often."""
        traced, count = self.traces[0], self.counts[0] + 1
        return GroupStep(self, traced, count, None, self._given(gradients), hyper, compile_host(traced.scalars)(count, hyper))

    def _given(self, gradients: Sequence[Any]) -> Sequence[Any]:
        return gradients if len(self.indices) == len(gradients) else [gradients[i] for i in self.indices]

    def evaluated(self, t: int, leaves: Sequence[Any]) -> dict[int, Any]:
        """For each array by its number, after `t` steps: a new one, the parameter (or its master copy) or what a part keeps
        in its place, in the parameter's dtype.
        """
        numbers = _evaluating(self.update, max(t - 1, 0))
        found = {}
        for index, beside, state in zip(self.indices, self._beside, self.executor.states, strict=True):
            value = (state[MASTER] if self.precision.master else leaves[index]).copy()
            for part, formula in bind(self.update.parts, numbers | beside):
                if has_hook(formula, "evaluation"):
                    value = formula.evaluation(value, *(state[part.named(name, "_")] for name in own_states(formula)))
                    if getattr(value, "shape", None) != leaves[index].shape:
                        what = f"{type(formula).__name__}.evaluation must return an array of the parameter's shape"
                        raise ValueError(
                            f"{what}, {leaves[index].shape}, got {type(value).__name__} {getattr(value, 'shape', '')}"
                        )
            found[index] = value.astype(leaves[index].dtype, copy=True)
        return found


def _evaluating(update: Update, step: int) -> dict[str, float]:
    """The numbers of the parts that have a method ``evaluation``."""
    parts = [part for part in update.parts if has_hook(part.formula, "evaluation")]
    return {part.named(name): value for part in parts for name, value in part.formula.hyper(step).items()}

"""Arrays of one dtype under one update: what runs them, and how often each was updated.

Comes in: an update, and its arrays. Goes out: what the update runs for them, and a `GroupStep` for
those that take a step together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from gpuopt.arrays.dtypes import COMPUTE, is_complex, state_dtype
from gpuopt.arrays.precision import MASTER, PLAIN, Precision
from gpuopt.executors import Executor, executor_of
from gpuopt.optimizer.group_steps import GroupStep
from gpuopt.rules.base import Update, bind
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.operands import hyper_array
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.signatures import own_states
from gpuopt.tracing.trace import Masked, Open, gates, gates_open, trace

__all__ = ["ParamGroup"]


class ParamGroup:
    """Arrays of one dtype under one update.

    Parameters
    ----------
    key : hashable
        What the update is called by in the rule.
    update : Update
    leaves : list of array
        All arrays of the optimizer.
    hyper_arrays : list of dict
        Beside each of them the arrays that stand for its hyperparameters, by name.
    indices : list of int
        Which of them are here.
    device_counts : bool
        Whether a device counts the steps: because it decides whether they are made, or so that
        they may be captured.
    precision : Precision
        What was asked for parameters of 16 bits.

    Attributes
    ----------
    update : Update
        The update now.
    programs : list of UpdateProgram
        What it runs, for each number of gates that are open; the last is the whole.
    executor : Executor
        What runs it; it holds the state.
    counts : list of int
        How often each array was updated, as far as the host counts it.
    has_all : bool
        Whether all arrays of the optimizer are here.
    """

    def __init__(
        self,
        key: Hashable,
        update: Update,
        leaves: list[Any],
        hyper_arrays: list[dict[str, Any]],
        indices: list[int],
        device_counts: bool = False,
        precision: Precision = PLAIN,
    ) -> None:
        self._params = [leaves[index] for index in indices]
        self._hyper_arrays = [hyper_arrays[index] for index in indices]
        self._complex = is_complex(self._params[0].dtype)
        self._precision, self._device_counts = precision.of(self._params[0].dtype), device_counts
        self.key, self.indices, self.counts = key, indices, [0] * len(indices)
        self.has_all = len(indices) == len(leaves)
        self.update, self.programs = update, self.programs_of(update)
        named = [
            {hyper_array(name): array for name, array in own.items()} for own in self._hyper_arrays
        ]
        whole, params = self.programs[-1], self._params
        executor = executor_of(params[0])
        self.executor: Executor = executor(
            whole, params, self._initial, named, indices, device_counts
        )

    def _initial(self, position: int, axes: tuple[int, ...]) -> dict[str, Any]:
        """What the state of an array begins with where `start` of a piece says so, by name.

        The array is seen with its axes in that order. A master copy begins as the parameter.
        """
        param, update = self._params[position].transpose(axes), self.update
        hyper = {name: x.transpose(axes) for name, x in self._hyper_arrays[position].items()}
        compute, found = COMPUTE[param.dtype.name], dict[str, Any]()
        if self._precision.master:
            found[MASTER] = param.astype(compute)
        for part, formula in bind(update.parts, update.hyper(0) | hyper):
            if has_hook(formula, "start"):
                values = formula.start(param.astype(state_dtype(compute, self._complex)))
                names = [part.named(name, "_") for name in own_states(formula)]
                several = values if isinstance(values, tuple) else (values,)
                found |= zip(names, several, strict=True)
        return found

    def programs_of(self, update: Update) -> list[UpdateProgram]:
        """The programs of an update, for each number of open gates; the last is the whole."""
        arrays = frozenset(self._hyper_arrays[0])
        if self._device_counts:
            return [trace(update, self._complex, arrays, Masked(), self._precision)]
        return [
            trace(update, self._complex, arrays, Open(opened), self._precision)
            for opened in range(len(gates(update)) + 1)
        ]

    def check_change(self, update: Update) -> list[UpdateProgram]:
        """The programs of another update of the arrays.

        Raises
        ------
        ValueError
            If it needs other state.
        """
        programs = self.programs_of(update)
        had, needs = (
            [(s.name, s.complex) for s in found[-1].states] for found in (self.programs, programs)
        )
        if had != needs:
            rule = next(part.formula for part in update.parts if not part.name)
            now, before = ([name for name, _ in states] for states in (needs, had))
            raise ValueError(
                f"{rule!r} needs the state {now}, this optimizer has {before}: init anew"
            )
        return programs

    def steps(self, gradients: Sequence[Any], hyper: dict[str, float]) -> list[GroupStep]:
        """The group's steps for these gradients, which are of all arrays of the optimizer.

        Arrays go together if they run the same; and, on a CPU, where another launch costs nothing,
        if they were updated equally often.
        """
        own = gradients if self.has_all else [gradients[index] for index in self.indices]
        counts = [count + 1 for count in self.counts]
        gated = len(self.programs) > 1
        opened = {count: gates_open(self.update, count) if gated else 0 for count in set(counts)}
        together: dict[tuple[int, int], list[int]] = {}
        for position, (count, g) in enumerate(zip(counts, own, strict=True)):
            if g is not None:
                alike = opened[count], 0 if self.executor.on_device else count
                together.setdefault(alike, []).append(position)
        steps = []
        for (which, _), positions in together.items():
            found = {counts[position] for position in positions}
            count_or_counts = found.pop() if len(found) == 1 else counts
            chosen = None if len(positions) == len(own) else positions
            steps.append(GroupStep(self, self.programs[which], count_or_counts, chosen, own, hyper))
        return steps

    def counts_after(self, steps: Iterable[GroupStep]) -> list[int]:
        """How often each array was updated once these steps are made; others' are passed over."""
        counts = list(self.counts)
        for step in steps:
            for position in step.members if step.group is self else ():
                counts[position] += 1
        return counts

    def evaluated(self, t: int) -> list[Any]:
        """For each array, after `t` steps, a new one to evaluate with, in the parameter's dtype.

        It is the parameter, or its master copy, or what a piece keeps in its place.
        """
        pieces = [part for part in self.update.parts if has_hook(part.formula, "evaluation")]
        step = max(t - 1, 0)
        values = {part.named(n): x for part in pieces for n, x in part.formula.hyper(step).items()}
        arrays = zip(self._params, self._hyper_arrays, self.executor.states, strict=True)
        return [self._evaluated(param, state, values | own) for param, own, state in arrays]

    def _evaluated(self, param: Any, state: dict[str, Any], values: dict[str, Any]) -> Any:
        """The same of one array, with its state, and values for hyperparameters."""
        array = (state[MASTER] if self._precision.master else param).copy()
        for part, formula in bind(self.update.parts, values):
            if has_hook(formula, "evaluation"):
                own = (state[part.named(name, "_")] for name in own_states(formula))
                array = formula.evaluation(array, *own)
                if getattr(array, "shape", None) != param.shape:
                    name = type(formula).__name__
                    what = f"{name}.evaluation must return an array of the parameter's shape"
                    got = f"{type(array).__name__} {getattr(array, 'shape', '')}"
                    raise ValueError(f"{what}, {param.shape}, got {got}")
        return array.astype(param.dtype, copy=True)

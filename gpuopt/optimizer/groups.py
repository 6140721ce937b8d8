"""Arrays of one dtype under one update: what runs them, and how often each was updated.

Comes in: an update, and its arrays. Goes out: what the update runs for them, and a `GroupStep` for
those that take a step together.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.device import device_of
from gpuopt.arrays.dtypes import COMPUTE, is_complex, state_dtype
from gpuopt.arrays.precision import MASTER, Precision
from gpuopt.arrays.quiet import cast
from gpuopt.codegen.host import compile_host
from gpuopt.executors import Executor, executor_of
from gpuopt.optimizer.group_steps import GroupStep
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.limits import limits_of, within
from gpuopt.optimizer.starting import starting
from gpuopt.optimizer.whole_arrays import WholeArrays
from gpuopt.rules.base import Update
from gpuopt.rules.tuples import flat
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import hyper_array
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.trace import Masked, Open, gates, gates_open, trace
from gpuopt.tracing.weights import Decay

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
        The options for parameters of 16 bits.
    paths : list of str
        Where all arrays of the optimizer are in the tree.

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
    begun : dict
        For each state that is one number what it is before the first step, for each array.
    has_all : bool
        Whether all arrays of the optimizer are here.
    limits : list of tuple
        Pairs of hyperparameters between which the arrays stay as they are stored.
    """

    def __init__(
        self,
        key: Hashable,
        update: Update,
        leaves: list[Any],
        hyper_arrays: list[dict[str, Any]],
        indices: list[int],
        device_counts: bool,
        precision: Precision,
        paths: Sequence[str],
    ) -> None:
        self._params = [leaves[index] for index in indices]
        self._hyper_arrays = [hyper_arrays[index] for index in indices]
        self._complex = is_complex(self._params[0].dtype)
        self._precision, self._device_counts = precision.of(self._params[0].dtype), device_counts
        self.key, self.indices, self.counts = key, indices, [0] * len(indices)
        self.has_all = len(indices) == len(leaves)
        self.update, self.programs = update, self.programs_of(update)
        self.varying = _varying(self.programs)
        self.begun = {
            key.name: np.full(len(indices), state.initial or 0.0)
            for key, state in self.programs[-1].update.scalar_states.items()
        }
        self.limits = limits_of(update, self._params[0].dtype)
        named = [
            {hyper_array(name): array for name, array in own.items()} for own in self._hyper_arrays
        ]
        whole, params = self.programs[-1], self._params
        with device_of(params[0]):
            self.whole_arrays = WholeArrays(whole, params, named, [paths[i] for i in indices])
        beside = [a | b for a, b in zip(named, self.whole_arrays.made, strict=True)]
        what = whole, params, self._initial, beside, indices, device_counts
        self.executor: Executor = executor_of(params[0])(*what)
        self.whole_arrays.states = self.executor.states

    def _initial(self, position: int, axes: tuple[int, ...]) -> dict[str, Any]:
        """What the state of an array holds until its first step, where `start` begins it, by name.

        That is what `start` gives now, unless it reduces arrays. The array is seen with its axes in
        that order. A master copy begins as the parameter.
        """
        param, update = self._params[position].transpose(axes), self.update
        hyper = {name: x.transpose(axes) for name, x in self._hyper_arrays[position].items()}
        compute, found = COMPUTE[param.dtype.name], dict[str, Any]()
        if self._precision.master:
            found[MASTER] = cast(param, compute)
        for _, formula, names in starting(update, hyper):
            if self.begins_alone(names):
                values = formula.start(cast(param, state_dtype(compute, self._complex)))
                found |= zip(names, flat(values), strict=True)
        return found

    def begins_alone(self, names: Collection[str]) -> bool:
        """Whether `start` begins these states without a reduction of arrays."""
        late = {each.name for each in self.programs[-1].states if each.initial is not None}
        return late.isdisjoint(names) and self.begun.keys().isdisjoint(names)

    def programs_of(
        self, update: Update, varying: frozenset[str] = frozenset()
    ) -> list[UpdateProgram]:
        """The programs of an update, for each number of open gates; the last is the whole.

        `varying` names corrections of averages whose decay changes between steps.
        """
        arrays = frozenset(self._hyper_arrays[0])
        what = update, self._complex, arrays
        if self._device_counts:  # whatever varies, it is the same program
            return [trace(*what, Masked(), self._precision)]
        opened = range(len(gates(update)) + 1)
        return [trace(*what, Open(number), self._precision, varying) for number in opened]

    def decays(self, update: Update) -> dict[str, Decay]:
        """The decays of the averages that an update of these arrays corrects, by name."""
        whole = Open(len(gates(update)))
        arrays = frozenset(self._hyper_arrays[0])
        return trace(update, self._complex, arrays, whole, self._precision).decays

    def check_change(
        self,
        update: Update,
        before: Mapping[str, float],
        after: Mapping[str, float],
        kept: Iterable[str],
    ) -> tuple[list[UpdateProgram], frozenset[str]]:
        """The programs of another update of the arrays, and which of its corrections vary.

        Parameters
        ----------
        update : Update
        before, after : dict
            The values of the hyperparameters of this update, and of that one.
        kept : iterable of str
            The states that are one number which a state dict holds.

        Raises
        ------
        ValueError
            If it needs other state.
        """
        old = self.programs[-1]
        programs = self.programs_of(update, self.varying)
        new = programs[-1].decays
        varying = self.varying.union(kept, _varying(programs)) & new.keys()
        varying |= {
            name
            for name in new.keys() & old.decays.keys() - varying
            if _value(new[name].beta, after) != _value(old.decays[name].beta, before)
        }
        programs = self.programs_of(update, frozenset(varying))
        had, needs = self.programs[-1].needs, programs[-1].needs
        if had != needs:
            rule = next(part.formula for part in update.parts if not part.name)
            wanted, found = ([name for name, _ in states] for states in (needs, had))
            raise ValueError(
                f"{rule!r} needs the state {wanted}, this optimizer has {found}: call init again"
            )
        return programs, frozenset(varying)

    def steps(
        self,
        gradients: Sequence[Any],
        hyper: dict[str, float],
        complete: bool = False,
        counts_apart: bool = True,
    ) -> list[GroupStep]:
        """The group's steps for these gradients, which are of all arrays of the optimizer.

        With `complete`, none of the gradients that the group takes is None.
        Arrays go together if they run the same; and, on a CPU with `counts_apart`, if they were
        updated equally often.
        """
        own = gradients if self.has_all else [gradients[index] for index in self.indices]
        gated, count = len(self.programs) > 1, self.counts[0]
        if complete and not gated and self.counts.count(count) == len(own):
            return [GroupStep(self, self.programs[0], count + 1, None, own, hyper)]
        counts = [count + 1 for count in self.counts]
        opened = {count: gates_open(self.update, count) if gated else 0 for count in set(counts)}
        together: dict[tuple[int, int], list[int]] = {}
        for position, (count, g) in enumerate(zip(counts, own, strict=True)):
            if g is not None:
                same_count = count if counts_apart and not self.executor.on_device else 0
                together.setdefault((opened[count], same_count), []).append(position)
        steps = []
        for (which, _), positions in together.items():
            found = {counts[position] for position in positions}
            count_or_counts = found.pop() if len(found) == 1 else counts
            chosen = None if len(positions) == len(own) else positions
            steps.append(GroupStep(self, self.programs[which], count_or_counts, chosen, own, hyper))
        return steps

    def counts_after(self, steps: Iterable[GroupStep]) -> list[int]:
        """How often each array was updated once these steps are made; others' are passed over."""
        counts = self.counts
        for step in steps:
            if step.group is self and step.positions is None and isinstance(step.count, int):
                return [step.count] * len(counts)
            counts = counts.copy() if counts is self.counts else counts
            for position in step.members if step.group is self else ():
                counts[position] += 1
        return counts

    def hyper(self, values: ValuesOfUpdates) -> dict[str, float]:
        """The hyperparameters of the update, with limits that the arrays can hold."""
        own = values[self.key]
        return within(self.limits, own, self._params[0].dtype) if self.limits else own

    @property
    def states(self) -> list[dict[str, Any]]:
        """For each array its state and buffers by name."""
        return self.whole_arrays.shown(self.programs[-1])

    def arrays_of(self, position: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """An array of the group, those in place of its hyperparameters, and its state."""
        own, state = self._hyper_arrays[position], self.executor.states[position]
        return self._params[position], own, state


def _varying(programs: list[UpdateProgram]) -> frozenset[str]:
    """The corrections of averages whose decay is known to change from step to step."""
    return frozenset(name for name, decay in programs[-1].decays.items() if not decay.fixed)


def _value(expr: Expr, hyper: Mapping[str, float]) -> float:
    """The value of a number that depends on hyperparameters only."""
    return compile_host((expr,))(0, hyper)[0]

"""A rule bound to arrays: the state it needs, and the step that updates the arrays in place."""

from __future__ import annotations

import dataclasses
import operator
import os
import threading
from collections.abc import Hashable
from typing import Any

import numpy as np

from gpuopt import check
from gpuopt.backend import array_module, device_of, is_cupy
from gpuopt.bundle import Bundle, Run, batches
from gpuopt.dtypes import COMPUTE
from gpuopt.executors import executor
from gpuopt.gradients import GradientReader
from gpuopt.hyper_arrays import beside
from gpuopt.hyper_numbers import Members, Numbers, begun, check_traceable, numbers, scheduled
from gpuopt.precision import MASTER, Precision
from gpuopt.reduce import accepted
from gpuopt.rules.base import Bindable, Rule
from gpuopt.saved import VERSION, Saved
from gpuopt.trace import state_names
from gpuopt.tree import Spec

__all__ = ["Optimizer"]


class Optimizer:
    """A rule bound to arrays, which it updates in place.

    Made by ``rule.init(params)``.

    Parameters
    ----------
    rule : Rule
        What an update is.
    params : array, or lists, tuples and dicts of arrays, nested
        NumPy or CuPy arrays, all on one device, of any shape and any strides: float16, bfloat16 (`ml_dtypes`), float32,
        float64, complex64 or complex128. float16 and bfloat16 are computed, and their state is kept, in float32.
    hyper : dict, optional
        Arrays in place of float hyperparameters, as for `Rule.init`.
    master : bool
        Whether float16 and bfloat16 arrays have a float32 copy, ``state["master"]``, which is what a step updates.
    stochastic_rounding : bool
        Whether bfloat16 arrays are rounded up or down at random as they are stored.
    seed : int
        Of the stochastic rounding, from 0 to 2**32 - 1.
    capturable : bool
        Whether steps may be captured in a CUDA graph; see `Rule.init`.

    Attributes
    ----------
    params
        As given. Assign into an entry, ``params["w"][...] = x``: one that is replaced is no longer the array that is updated.
    state : dict
        The arrays of the rule's state by name, each like `params`. They may be read; into ``state["master"]`` must be assigned
        what is assigned into `params`.
    executor : {"numpy", "numba", "cupy"}
        What runs the update.

    Raises
    ------
    TypeError, ValueError
        Where an array cannot be updated in place; the message names it by its path.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> params = {"w": np.ones(3), "b": np.zeros(1)}
    >>> opt = go.GradientDescent(lr=0.5).init(params)
    >>> opt.step({"w": np.ones(3), "b": np.ones(1)})
    >>> params["w"]
    array([0.5, 0.5, 0.5])
    """

    __slots__ = (
        *("__weakref__", "_bundles", "_capturable", "_computed", "_counted", "_even", "_given", "_hyper", "_leaves", "_lock"),
        *("_members", "_numbers", "_params", "_phases", "_plain", "_precision", "_process", "_reader", "_rule", "_scheduled"),
        *("_spec", "_state", "_structure", "_t", "_torn"),
    )

    def __init__(
        self,
        rule: Bindable,
        params: Any,
        hyper: dict[str, Any] | None = None,
        *,
        master: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
        capturable: bool = False,
    ) -> None:
        if not isinstance(rule, Bindable):
            raise TypeError(f"rule must be a gpuopt.Rule, such as gpuopt.Adam(), or a chain of one, got {type(rule).__name__}")
        if not isinstance(capturable, (bool, np.bool_)):
            raise TypeError(f"capturable must be True or False, got {capturable!r}")
        self._precision = Precision(master, stochastic_rounding, seed)
        spec = Spec(params, "params")
        check.parameters(spec.leaves, spec.paths)
        self._params = params
        self._spec, self._rule, self._capturable = spec, rule, bool(capturable)
        self._leaves = [a if is_cupy(a) or type(a) is np.ndarray else a.view(np.ndarray) for a in spec.leaves]
        self._t, self._structure = 0, 0  # which is counted up where the rule comes to need other kernels
        keys = rule.route(spec.names, spec.leaves)
        self._members = {key: rule.member(key) for key in keys if key is not None}
        updated = [(path, leaf.dtype) for path, leaf, key in zip(spec.paths, spec.leaves, keys, strict=True) if key is not None]
        self._precision.check(updated, {name for update in self._members.values() for name in state_names(update)})
        self._computed: dict[Hashable, set[Any]] = {key: set() for key in self._members}
        for key, leaf in zip(keys, self._leaves, strict=True):
            self._computed.get(key, set()).add(COMPUTE[leaf.dtype.name])
        if capturable:
            check_traceable(self._members)
        self._hyper = numbers(self._members, 0, self._computed)
        self._bind(keys, beside(hyper, spec, [None if key is None else self._members[key] for key in keys]))
        self._given = hyper and {name: spec.build(spec.match(tree, name)) for name, tree in hyper.items()}
        self._lock = threading.Lock()
        self._torn = False
        self._process = os.getpid() if executor(self._leaves[0]).on_device else 0

    def _bind(self, keys: list[Hashable], others: list[dict[str, Any]]) -> None:
        """Group the arrays by update, dtype and the `others` beside them, and make the state."""
        alike: dict[tuple[Hashable, ...], list[int]] = {}
        for index, (key, leaf) in enumerate(zip(keys, self._leaves, strict=True)):
            if key is not None:
                alike.setdefault((key, leaf.dtype, frozenset(others[index])), []).append(index)
        start = begun(self._members)
        decides = any(hasattr(part.formula, "accept") for update in self._members.values() for part in update.parts)
        on_device = bool(self._members) and executor(self._leaves[0]).on_device
        self._counted = on_device and (decides or self._capturable or bool(start))
        self._bundles = [
            Bundle(key, self._members[key], self._leaves, others, indices, self._counted, self._precision)
            for (key, *_), indices in alike.items()
        ]
        states: list[dict[str, Any]] = [{} for _ in self._leaves]
        for bundle in self._bundles:
            for index, state in zip(bundle.indices, bundle.group.states, strict=True):
                states[index] = state
        names = dict.fromkeys([*(name for state in states for name in state), *([MASTER] if self._precision.master else [])])
        self._state = {name: self._spec.build([state.get(name) for state in states]) for name in names}
        self._reader = GradientReader(self._spec, self._leaves, states)
        self._phases: Any = None
        self._numbers = {name: np.full((), value, np.float32) for name, value in start.items()}
        self._look()
        self._compare()

    def _look(self) -> None:
        """Note which way a step goes, and make room for what it needs on a device."""
        self._plain = all(bundle.plain for bundle in self._bundles)
        self._scheduled = not self._counted and scheduled(self._members)  # where the device counts, it asks the schedules
        if not self._plain and executor(self._leaves[0]).on_device:
            from gpuopt.executors.cupy_phases import Phases

            if self._phases is None:
                sizes = [leaf.size for leaf in self._leaves]
                self._phases = Phases(self._bundles, batches, sizes, self._counted, self._numbers)
                self._numbers = {name: array.reshape(()) for name, array in self._phases.numbers.items()}
            self._phases.prepare(self._bundles, self._hyper)

    def _compare(self) -> None:
        """Note whether all arrays were updated equally often."""
        counts = [count for bundle in self._bundles for count in bundle.counts]
        self._even = bool(counts) and counts.count(counts[0]) == len(counts)

    @property
    def params(self) -> Any:
        """The arrays, as they were given."""
        return self._params

    @property
    def state(self) -> dict[str, Any]:
        """The rule's state by name: trees like `params`, of views that may be read."""
        return dict(self._state)

    @property
    def executor(self) -> str:
        """What runs the update: ``"numpy"``, ``"numba"`` or ``"cupy"``."""
        return self._bundles[0].group.name if self._bundles else executor(self._leaves[0]).name

    @property
    def capturable(self) -> bool:
        """Whether steps may be captured in a CUDA graph, as `init` was told."""
        return self._capturable

    @property
    def t(self) -> int:
        """How many steps were completed. Where a GPU counts them (`skip_nonfinite`, `capturable`), asking waits for it."""
        return int(self._phases.steps[0]) if self._counted else self._t

    @property
    def counts(self) -> Any:
        """How often each array was updated: a tree like `params`. Where a GPU counts, asking waits for it, as for `t`."""
        counts = [0] * len(self._leaves)
        for bundle in self._bundles:
            found = self._phases.counts[bundle].tolist() if self._counted else bundle.counts
            for index, count in zip(bundle.indices, found, strict=True):
                counts[index] = count
        return self._spec.build(counts)

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers of the whole optimizer that pieces keep, by name: 0-d float32 arrays, which steps alter in place.

        They are where the parameters are, and may be read.
        """
        return dict(self._numbers)

    @property
    def loss_scale(self) -> Any:
        """The scale of `LossScale`, to multiply the loss by: a 0-d float32 array where the parameters are.

        Steps alter it in place, also on a GPU and in a captured step; nothing waits for it.

        Raises
        ------
        AttributeError
            Where the chain has no `LossScale`.
        """
        if "LossScale.scale" not in self._numbers:
            raise AttributeError(f"{self._rule!r} scales no loss: put gpuopt.LossScale() first, chain(LossScale(), ...)")
        return self._numbers["LossScale.scale"]

    @property
    def rule(self) -> Bindable:
        """The rule; between steps another of the same kind may be set, and the state is kept.

        Where it differs in numbers alone, a captured step goes on with those.
        """
        return self._rule

    @rule.setter
    def rule(self, rule: Bindable) -> None:
        if not isinstance(rule, Bindable) or rule.kind != self._rule.kind:
            what = type(self._rule).__name__ if isinstance(self._rule, Rule) else f"the pieces of {self._rule!r}"
            raise TypeError(f"opt.rule must be of {what} as before, got {rule!r}; for another, init anew")
        with self._alone("given a rule"):
            self._check_whole()
            self._use(*self._fitting(rule, 0 if self._counted else self._t))  # a device is not waited for
            self._torn = False

    def _fitting(self, rule: Bindable, step: int | None) -> tuple[Bindable, Members, Numbers, list[Any]]:
        """What `_use` needs of another rule, checked: its updates, their numbers (at `step`, if given), and their traces."""
        members = {key: rule.member(key) for key in self._members}
        if self._capturable:
            check_traceable(members)
        found = numbers(members, step, self._computed)
        return rule, members, found, [bundle.fitting(members[bundle.key]) for bundle in self._bundles]

    def _use(self, rule: Bindable, members: Members, hyper: Numbers, traces: list[Any]) -> None:
        self._torn = True  # until the caller has changed the rest
        self._structure += any(bundle.traces != found for bundle, found in zip(self._bundles, traces, strict=True))
        for bundle, found in zip(self._bundles, traces, strict=True):
            bundle.use(members[bundle.key], found)
        self._rule, self._members, self._hyper = rule, members, hyper
        self._look()

    def step(self, grads: Any) -> None:
        """Update every array by its gradient, in place.

        Parameters
        ----------
        grads : like params
            A gradient for each array, of its shape, in its dtype or (for a real array) another real dtype; None where
            an array has none this time: it and its count stay as they are. Gradients are never altered, and never
            broadcast. Of a complex array the gradient is ``dL/dx + 1j * dL/dy``.

        Raises
        ------
        TypeError, ValueError
            Where a gradient does not fit, or a schedule gives no valid number. Nothing was changed then.
        RuntimeError
            Where another thread is stepping this optimizer (two that come at the very same moment may also go one after the
            other), or an earlier step was broken off halfway.
        """
        with self._alone("stepped"):
            self._check_whole()
            self._check_bound()
            gradients, whole = self._reader.read(grads)
            planned = self._planned(gradients, self._numbers_now(), whole)
            host = self._plain or self._phases is not None
            runs, adapted = (planned, {}) if host else accepted(planned)
            self._torn = True
            if self._phases is not None:
                self._phases.perform(runs)
            else:
                for run in runs:
                    run.perform()
            if not self._counted:
                self._count(runs, whole and len(runs) == len(planned))
                self._t += not planned or bool(runs)
                self._adapt(adapted)
            self._torn = False

    def _launch(self, grads: Any, rehearsal: bool = False) -> None:
        """Launch a step on the device into a graph that is being captured: nothing happens yet, so nothing is noted here.

        A `rehearsal` launches the same kernels at once, so that they are compiled and have what they need, and changes nothing.
        """
        with self._alone("captured"):
            self._check_whole()
            self._check_bound()
            gradients, whole = self._reader.read(grads)
            self._phases.perform(self._planned(gradients, self._hyper, whole), rehearsal)

    def _numbers_now(self) -> Numbers:
        """The numbers of this step for each update: hyperparameters, and where the host keeps them those of the optimizer."""
        hyper = numbers(self._members, self._t, self._computed) if self._scheduled else self._hyper
        if self._numbers and not self._counted:
            now = {name: float(number) for name, number in self._numbers.items()}
            return {key: values | now for key, values in hyper.items()}
        return hyper

    def _adapt(self, values: dict[str, float]) -> None:
        """Give numbers of the whole optimizer other values."""
        for name, value in values.items():
            with np.errstate(over="ignore"):
                self._numbers[name][...] = value

    def _count(self, runs: list[Run], whole: bool) -> None:
        """Note the runs that were made, and whether they were of every array."""
        for run in runs:
            run.count_it()
        self._even = self._even and whole

    def _planned(self, gradients: list[Any], hyper: Numbers, whole: bool) -> list[Run]:
        """What to run if it is accepted; with `whole`, every array has a gradient."""
        if not self._plain:
            return [run for bundle in self._bundles for run in bundle.runs(gradients, hyper[bundle.key])]
        if whole and self._even:
            return [bundle.whole_run(gradients, hyper[bundle.key]) for bundle in self._bundles]
        runs = [run for bundle in self._bundles for run in bundle.runs(gradients, hyper[bundle.key])]
        for run in runs:
            run.scalars = run.evaluated(run.trace.evaluate)
        return runs

    def _alone(self, what: str) -> threading.Lock:
        """The lock to hold, a plain one so that Ctrl-C cannot leave it locked; RuntimeError where it is taken."""
        if self._lock.locked():
            raise RuntimeError(
                f"this optimizer is in use by another thread, or by a call inside its own step, and cannot be {what} now"
            )
        return self._lock

    def _check_bound(self) -> None:
        """Raise ValueError where an entry of params was replaced: the step would go on with the array before."""
        now, bound = self._spec.match(self._params, "params"), self._spec.leaves
        if not all(map(operator.is_, now, bound)):
            path = next(path for path, a, b in zip(self._spec.paths, now, bound, strict=True) if a is not b)
            raise ValueError(
                f"params{path} is no longer the array that was given to init: assign into that one, params{path}[...] = x, "
                "or init anew"
            )

    def _check_whole(self) -> None:
        """Raise RuntimeError where a step was broken off halfway, or CUDA was used before the process was forked."""
        if self._process not in (0, os.getpid()):
            raise RuntimeError(
                "this optimizer's arrays are on a GPU and this process was forked after that; CUDA does not work in a "
                "forked process: start processes with multiprocessing.get_context('spawn')"
            )
        if self._torn:
            raise RuntimeError(
                "an earlier step or load of this optimizer was broken off halfway, so parameters and state do not belong "
                "together: restore the parameters and call load_state_dict"
            )

    def evaluation(self) -> Any:
        """The parameters to evaluate with: where a piece such as `average` keeps others, those; else the parameters.

        Returns
        -------
        like params
            New arrays, in the parameters' dtypes.
        """
        with self._alone("evaluated"), device_of(self._leaves[0]):
            self._check_whole()
            found = {index: leaf.copy() for index, leaf in enumerate(self._leaves)}
            t = self.t
            for bundle in self._bundles:
                found |= bundle.evaluated(t, self._leaves)
            return self._spec.build([found[index] for index in range(len(found))])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a resumed optimizer needs, apart from the parameters.

        Returns
        -------
        dict
            ``version``; ``rule``, its repr; ``outline``, what it consists of; ``hyper``, its hyperparameters but for
            schedules; ``precision``, what `init` was given of ``master``, ``stochastic_rounding`` and ``seed``; ``t``;
            ``counts``, a tree like params; ``state``, by name a tree of arrays like params; ``numbers`` by name, if any.
        """
        with self._alone("copied"), device_of(self._leaves[0]):
            self._check_whole()
            self._check_bound()
            found = {
                "version": VERSION,
                "rule": repr(self._rule),
                "outline": self._rule.outline,
                "hyper": {name: value for name, value in self._rule.fields.items() if not callable(value)},
                "precision": dataclasses.asdict(self._precision),
                "t": self.t,
                "counts": self.counts,
                "state": {
                    name: self._spec.build([None if a is None else a.copy() for a in self._spec.match(tree, name)])
                    for name, tree in self._state.items()
                },
            }
            return found | ({"numbers": {name: float(n) for name, n in self._numbers.items()}} if self._numbers else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another optimizer of the same rule and of arrays like these was, bit for bit.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`. Its hyperparameters are taken over, but for schedules, which stay as they are here.

        Raises
        ------
        TypeError, ValueError
            Where it does not fit: another rule, names, shapes, dtypes or version, or with other options of `init`. Nothing
            was changed then.
        """
        with self._alone("loaded"), device_of(self._leaves[0]):
            saved = Saved(state_dict, self._rule, self._spec, self._precision)
            arrays, numbers = saved.arrays(self._state), saved.numbers(self._numbers)
            self._use(*self._fitting(saved.rule, None))
            for target, source in arrays:
                target[...] = source if is_cupy(source) or not is_cupy(target) else array_module(target).asarray(source)
            if self._counted:
                self._phases.load(saved.t, saved.counts, numbers)
            else:
                self._t = saved.t
                for bundle in self._bundles:
                    bundle.counts = [saved.counts[index] for index in bundle.indices]
                self._compare()
                self._adapt(numbers)
            self._torn = False

    def __getstate__(self) -> dict[str, Any]:
        options = {**dataclasses.asdict(self._precision), "capturable": self._capturable}
        made = {"params": self._params, "rule": self._rule, "hyper": self._given, "options": options}
        return {**made, "state_dict": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["rule"], state["params"], state["hyper"], **state["options"])  # type: ignore[misc]
        self.load_state_dict(state["state_dict"])

    def __repr__(self) -> str:
        arrays = f"{len(self._leaves)} array{'s' if len(self._leaves) > 1 else ''}"
        options = f", {self._precision}" if str(self._precision) else ""
        return f"<Optimizer {self._rule!r}, {arrays}, t={self.t}, {self.executor}{options}>"

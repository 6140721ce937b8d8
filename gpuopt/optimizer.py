"""A rule bound to arrays: the state it needs, and the step that updates the arrays in place."""

from __future__ import annotations

import dataclasses
import operator
import threading
from typing import Any

import numpy as np

from gpuopt import check
from gpuopt.backend import array_module, is_cupy
from gpuopt.dtypes import COMPUTE, is_complex
from gpuopt.executors import Group, executor
from gpuopt.gradients import GradientReader
from gpuopt.rules.base import Rule
from gpuopt.saved import VERSION, Saved
from gpuopt.trace import Trace, trace
from gpuopt.tree import Spec

__all__ = ["Optimizer"]

_Run = tuple[Group, list[Any], tuple[float, ...], list[int] | None]


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

    Attributes
    ----------
    params
        As given. Assign into an entry, ``params["w"][...] = x``: one that is replaced is no longer the array that is updated.
    state : dict
        The arrays of the rule's state by name, each like `params`. They may be read.
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
        *("__weakref__", "_counts", "_even", "_groups", "_hyper", "_leaves", "_lock", "_params", "_reader"),
        *("_rule", "_scheduled", "_spec", "_state", "_t", "_torn"),
    )

    def __init__(self, rule: Rule, params: Any) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"rule must be a gpuopt.Rule, such as gpuopt.Adam(), got {type(rule).__name__}")
        spec = Spec(params, "params")
        check.parameters(spec.leaves, spec.paths)
        self._params = params
        self._spec, self._rule = spec, rule
        self._leaves = [a if is_cupy(a) or type(a) is np.ndarray else a.view(np.ndarray) for a in spec.leaves]
        self._t = 0
        self._count([0] * len(self._leaves))
        self._hyper, self._scheduled = self._numbers(rule, 0), _scheduled(rule)
        self._bind()
        self._lock = threading.Lock()
        self._torn = False

    def _bind(self) -> None:
        """Group the arrays by dtype, and make the state."""
        by_dtype: dict[np.dtype[Any], list[int]] = {}
        for index, leaf in enumerate(self._leaves):
            by_dtype.setdefault(leaf.dtype, []).append(index)
        make = executor(self._leaves[0])
        self._groups: list[tuple[Trace, list[int], Group]] = []
        states: list[dict[str, Any]] = [{} for _ in self._leaves]
        for dtype, indices in by_dtype.items():
            traced = trace(self._rule, is_complex(dtype))
            group = make(traced, self._rule, [self._leaves[i] for i in indices])
            self._groups.append((traced, indices, group))
            for index, state in zip(indices, group.states, strict=True):
                states[index] = state
        self._state = {name: self._spec.build([state[name] for state in states]) for name in states[0]}
        self._reader = GradientReader(self._spec, self._leaves, states)

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
        return self._groups[0][2].name

    @property
    def t(self) -> int:
        """How many steps were completed."""
        return self._t

    @property
    def counts(self) -> Any:
        """How often each array was updated: a tree like `params`."""
        return self._spec.build(list(self._counts))

    @property
    def rule(self) -> Rule:
        """The rule; between steps another of the same kind may be set, and the state is kept."""
        return self._rule

    @rule.setter
    def rule(self, rule: Rule) -> None:
        if type(rule) is not type(self._rule):
            raise TypeError(f"opt.rule must be of {type(self._rule).__name__} as before, got {rule!r}; for another, init anew")
        with self._alone("given a rule"):
            self._check_whole()
            self._use(rule, self._numbers(rule, self._t))
            self._torn = False

    def _use(self, rule: Rule, hyper: dict[str, float]) -> None:
        traces = [trace(rule, old.complex) for old, _, _ in self._groups]
        for (old, _, _), new in zip(self._groups, traces, strict=True):
            if [(s.name, s.complex) for s in new.states] != [(s.name, s.complex) for s in old.states]:
                had, needs = ([s.name for s in x.states] for x in (old, new))
                raise ValueError(f"{rule!r} needs the state {needs}, this optimizer has {had}: init anew")
        self._torn = True  # until the caller has changed the rest
        for position, (traced, (_, indices, group)) in enumerate(zip(traces, self._groups, strict=True)):
            group.use(traced)
            self._groups[position] = (traced, indices, group)
        self._rule, self._hyper, self._scheduled = rule, hyper, _scheduled(rule)

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
            hyper = self._numbers(self._rule, self._t) if self._scheduled else self._hyper
            together = whole and self._even
            if together:
                counts = [self._counts[0] + 1] * len(self._counts)
            else:
                counts = [count + (g is not None) for count, g in zip(self._counts, gradients, strict=True)]
            runs = [run for group in self._groups for run in self._runs(group, gradients, counts, together, hyper)]
            self._torn = True
            for group, given, scalars, chosen in runs:
                group.run(given, scalars, chosen)
            self._count(counts)
            self._t, self._torn = self._t + 1, False

    def _count(self, counts: list[int]) -> None:
        """Note how often each array was updated, and whether all were equally often."""
        self._counts, self._even = counts, counts.count(counts[0]) == len(counts)

    @staticmethod
    def _runs(
        entry: tuple[Trace, list[int], Group], gradients: list[Any], counts: list[int], together: bool, hyper: dict[str, float]
    ) -> list[_Run]:
        """What to run for one group: all at once if all its arrays go `together`, else once for each step count among those
        that have a gradient.
        """
        traced, indices, group = entry
        given = gradients if len(indices) == len(gradients) else [gradients[i] for i in indices]
        if together:
            count = counts[0]
            return [(group, given, traced.evaluate(count, hyper), None)]
        by_count: dict[int, list[int]] = {}
        for position, index in enumerate(indices):
            if given[position] is not None:
                by_count.setdefault(counts[index], []).append(position)
        return [
            (group, given, traced.evaluate(count, hyper), None if len(positions) == len(indices) else positions)
            for count, positions in by_count.items()
        ]

    def _numbers(self, rule: Rule, step: int) -> dict[str, float]:
        """The hyperparameters' values after `step` steps; none may overflow in the compute dtype, or vanish if it must not."""
        return self._fitting(rule, rule.hyper(step))

    def _fitting(self, rule: Rule, values: dict[str, float]) -> dict[str, float]:
        for dtype in {COMPUTE[leaf.dtype.name] for leaf in self._leaves}:
            limits = np.finfo(dtype)
            tiny, largest = float(limits.tiny), float(limits.max)  # a comparison with NumPy's would round the value first
            for name, value in values.items():
                what = f"{type(rule).__name__}: {name}={value!r} {{}} in {dtype}, in which these arrays are computed: use at "
                if rule._ranges[name].open_low and value < tiny:
                    raise ValueError(what.format("vanishes") + f"least {tiny:.3g}")
                if abs(value) > largest:
                    raise ValueError(what.format("overflows") + f"most {largest:.3g}")
        return values

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
        """Raise RuntimeError where a step was broken off halfway."""
        if self._torn:
            raise RuntimeError(
                "an earlier step or load of this optimizer was broken off halfway, so parameters and state do not belong "
                "together: restore the parameters and call load_state_dict"
            )

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a resumed optimizer needs, apart from the parameters.

        Returns
        -------
        dict
            ``version``; ``rule``, its repr; ``hyper``, its hyperparameters but for schedules; ``t``; ``counts``, a tree
            like params; ``state``, by name a tree of arrays like params.
        """
        with self._alone("copied"):
            self._check_whole()
            self._check_bound()
            fields = {field.name: getattr(self._rule, field.name) for field in dataclasses.fields(self._rule)}  # type: ignore[arg-type]
            return {
                "version": VERSION,
                "rule": repr(self._rule),
                "hyper": {name: value for name, value in fields.items() if not callable(value)},
                "t": self._t,
                "counts": self.counts,
                "state": {
                    name: self._spec.build([a.copy() for a in self._spec.match(tree, name)])
                    for name, tree in self._state.items()
                },
            }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another optimizer of the same rule and of arrays like these was, bit for bit.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`. Its hyperparameters are taken over, but for schedules, which stay as they are here.

        Raises
        ------
        TypeError, ValueError
            Where it does not fit: another rule, names, shapes, dtypes or version. Nothing was changed then.
        """
        with self._alone("loaded"):
            saved = Saved(state_dict, self._rule, self._spec)
            arrays = saved.arrays(self._state)
            self._use(saved.rule, self._fitting(saved.rule, saved.numbers()))
            for target, source in arrays:
                target[...] = source if is_cupy(source) or not is_cupy(target) else array_module(target).asarray(source)
            self._t = saved.t
            self._count(saved.counts)
            self._torn = False

    def __getstate__(self) -> dict[str, Any]:
        return {"params": self._params, "rule": self._rule, "state_dict": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["rule"], state["params"])  # type: ignore[misc]
        self.load_state_dict(state["state_dict"])

    def __repr__(self) -> str:
        arrays = f"{len(self._leaves)} array{'s' if len(self._leaves) > 1 else ''}"
        return f"<Optimizer {self._rule!r}, {arrays}, t={self._t}, {self.executor}>"


def _scheduled(rule: Rule) -> bool:
    return any(callable(getattr(rule, name)) for name in rule._ranges)

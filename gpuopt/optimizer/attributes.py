"""What an optimizer tells: its arrays and their state, its counts and numbers, its options.

`Optimizer` adds what alters them.
"""

from __future__ import annotations

import html
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Generic

from gpuopt.arrays.device import device_of
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.coding import shown
from gpuopt.optimizer.guard import Guard
from gpuopt.optimizer.processes import ALONE, Processes
from gpuopt.optimizer.row_groups import shown as shown_counts
from gpuopt.optimizer.shown_trees import shown_tree
from gpuopt.optimizer.steps import Steps
from gpuopt.optimizer.summary import Summary, summarize
from gpuopt.rules.base import BindableT_co
from gpuopt.rules.chains import loss_scale_name
from gpuopt.rules.elsewhere import NotHere, meant, replacement
from gpuopt.rules.tuples import whole

__all__ = ["OptimizerAttributes"]

_LOOP = "write gpuopt.minimize(fun, opt.params, opt.rule), or opt.step(grads) in your own loop"
_KEPT = "an optimizer keeps no gradients; write opt.step(grads)"


def _rate(opt: Any) -> str:
    """Where the learning rate is: the line that sets it, with the value that it has."""
    if not isinstance(opt, OptimizerAttributes):
        return "it is in opt.rule"
    known = opt._rule.hyperparameters
    found: dict[str, Any] = {}
    for name in meant(opt._rule, "lr", None):
        entries = tuple(value for entry, value in known.items() if whole(entry) == name)
        found[name] = known.get(name, entries)  # one number, or those of a tuple
    if not found:
        return f"opt.rule has no learning rate; it has {', '.join(known)}"
    return f"it is in opt.rule; write opt.rule = {replacement('opt.rule', found)}"


class OptimizerAttributes(Generic[BindableT_co]):
    """The attributes of an optimizer, for reading."""

    __slots__ = ("__weakref__", "_binding", "_guard", "_params", "_rule", "_state", "_steps")

    _binding: Binding
    _guard: Guard
    _params: Any
    _rule: BindableT_co
    _state: dict[str, Any]
    _steps: Steps
    _processes: Processes = ALONE

    @property
    def params(self) -> Any:
        """The arrays, as given to `init`."""
        return self._params

    @property
    def state(self) -> dict[str, Any]:
        """The rule's state by name: trees like `params`.

        The arrays are views: assign into them, ``opt.state["m"]["probe"][...] = x``. An entry
        cannot be replaced. With ``state_dtype="dynamic8"``, coded states are decoded copies, new at
        each access. On a GPU, this waits.
        """
        found: dict[str, Any] = shown_tree(shown(self._binding, self._stored), "opt.state")
        return found

    @property
    def _stored(self) -> dict[str, Any]:
        """The state as it is stored."""
        spec, found = self._binding.spec, dict(self._state)
        for name, views in self._steps.scalar_states.items():
            arrays = spec.match(found[name], name) if name in found else views
            either = [a if view is None else view for a, view in zip(arrays, views, strict=True)]
            found[name] = spec.build(either)
        return found

    @property
    def executor(self) -> str:
        """The executor of the update: ``"numpy"``, ``"numba"`` or ``"cupy"``."""
        return self._binding.executor

    @property
    def capturable(self) -> bool:
        """Whether steps may be captured in a CUDA graph: the option of `init`."""
        return self._binding.capturable

    @property
    def t(self) -> int:
        """The number of completed steps.

        If a GPU counts them (`skip_nonfinite`, `capturable`), reading waits for it.
        """
        with self._there() if self._binding.device_counts else nullcontext():
            return self._steps.t

    @property
    def counts(self) -> Any:
        """The number of updates of each array, a tree like `params`; reading may wait as for
        `t`.

        An array whose rows are updated separately has a copy of their counts, a NumPy array of
        int64.
        """
        with self._there() if self._binding.device_counts else nullcontext():
            counts = self._steps.counts
        return shown_tree(self._binding.spec.build(shown_counts(counts)), "opt.counts")

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers that pieces keep for the whole optimizer, by name.

        They are 0-d float64 arrays on the parameters' device; that of `LossScale` is a float32.
        Steps change them in place, and so may you: ``opt.numbers["backtrack.rate"][...] = 0.5``.
        """
        found: dict[str, Any] = shown_tree(self._steps.numbers, "opt.numbers")
        return found

    @property
    def loss_scale(self) -> Any:
        """The scale of `LossScale`, to multiply the loss by: a 0-d float32 array.

        It lies on the parameters' device. Steps change it in place, also on a GPU and in a captured
        step; nothing waits for it.

        Raises
        ------
        AttributeError
            If the chain has no `LossScale`.
        """
        name = loss_scale_name(self._rule)
        if name is None:
            raise AttributeError(
                f"{self._rule!r} has no LossScale: put gpuopt.LossScale() first, as in "
                "chain(LossScale(), ...)"
            )
        return self._steps.numbers[name]

    def summary(self) -> Summary:
        """A table of all arrays: path, shape, dtype, rule, executor, bytes of state, and count.

        If a GPU counts, this waits for it.

        Returns
        -------
        Summary
            Its ``str`` is the table, with totals in the last line; ``rows`` has the values. A
            notebook shows it as HTML.

        Examples
        --------
        >>> import gpuopt as go, numpy as np
        >>> opt = go.Adam().init({"w": np.ones((2, 3)), "b": np.ones(3)})
        >>> [(row.path, row.rule, row.state_bytes) for row in opt.summary().rows]
        [('w', 'Adam', 96), ('b', 'Adam', 48)]
        """
        with self._there():
            return summarize(self._binding, self._steps)

    def _there(self) -> AbstractContextManager[Any]:
        """A context with the arrays' device as current; RuntimeError in a forked process."""
        self._guard.check_process()
        return device_of(self._binding.leaves[0])

    def _repr_html_(self) -> str:
        """The optimizer for a notebook: its `repr`, and the table of `summary`."""
        return f"<p><code>{html.escape(repr(self))}</code></p>{self.summary()._repr_html_()}"

    if not TYPE_CHECKING:
        zero_grad, apply_gradients, param_groups = NotHere(_KEPT), NotHere(_KEPT), NotHere(_KEPT)
        update, apply, minimize = NotHere(_KEPT), NotHere(_KEPT), NotHere(_LOOP)
        fit = NotHere("write gpuopt.fit(loss_and_grad, opt.params, data, opt)")
        save, load = (NotHere(f"write gpuopt.{name}(path, opt)") for name in ("save", "load"))
        lr = NotHere(_rate)

        def __setattr__(self, name, value):
            if not (name.startswith("_") or name == "rule"):
                raise AttributeError(_not_set(self, name, value))
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        count, precision = len(self._binding.leaves), str(self._binding.precision)
        arrays = f"{count} array{'s' if count > 1 else ''}"
        options = f", {precision}" if precision else ""
        return f"<Optimizer {self._rule!r}, {arrays}, t={self.t}, {self.executor}{options}>"


def _not_set(opt: OptimizerAttributes[Any], name: str, value: Any) -> str:
    """What to type in place of an assignment to an attribute of an optimizer."""
    if name == "lr" or not hasattr(type(opt), name):
        if found := meant(opt._rule, name, value):
            line, new = replacement("opt.rule", found), opt._rule.replace(found)
            try:
                opt._binding.check_change(new)
            except ValueError:  # it needs other state
                line = f"opt = {line}.init(opt.params)"
            else:
                line = f"opt.rule = {line}"
            return f"opt.{name} cannot be assigned: it is in opt.rule; write {line}"
    elif name == "params":
        path = opt._binding.spec.paths[0]
        return f"opt.params cannot be assigned; write opt.params{path}[...] = params{path}"
    return (
        f"opt.{name} cannot be assigned; opt.rule can, and elements of arrays in opt.params and "
        "opt.state"
    )

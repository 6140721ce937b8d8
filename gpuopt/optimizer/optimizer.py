"""A rule bound to arrays: the state it needs, and the step that updates the arrays in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gpuopt.arrays import check, exchange
from gpuopt.arrays.options import flag
from gpuopt.arrays.precision import Precision
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import TreeSpec
from gpuopt.arrays.typed import ArrayTree, HyperArrays, Loss, PartialTree
from gpuopt.executors import executor_of
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.capturing import Capturing
from gpuopt.optimizer.copies import OptimizerCopies
from gpuopt.optimizer.evaluation import Reached, evaluated
from gpuopt.optimizer.gradients import GradientReader
from gpuopt.optimizer.guard import Guard
from gpuopt.optimizer.row_groups import most
from gpuopt.optimizer.rule_change import RuleChange, check_read, check_structure
from gpuopt.optimizer.saved import Ready, Saved
from gpuopt.optimizer.saved_format import state_dict_of
from gpuopt.optimizer.shown_trees import shown_tree
from gpuopt.optimizer.steps import choose
from gpuopt.rules.base import Bindable, BindableT_co, class_hint

if TYPE_CHECKING:
    from gpuopt.optimizer.steps.counting import CountingSteps

__all__ = ["Optimizer"]


class Optimizer(OptimizerCopies[BindableT_co]):
    """A rule bound to arrays, which it updates in place.

    ``rule.init(params)`` makes one.

    Parameters
    ----------
    rule : Rule
        The update rule, a chain or a partition.
    params : array, or lists, tuples and dicts of arrays, nested
        NumPy or CuPy arrays, or those of another library that shares its memory by DLPack, such as
        tensors of PyTorch; all on one device, of any shape and any strides: float16, bfloat16
        (`ml_dtypes`), float32, float64, complex64 or complex128. Parameters in float16 and bfloat16
        are computed in float32, and their state is kept in float32.
    hyper, master, stochastic_rounding, seed, state_dtype, capturable, rows
        As for `Rule.init`.

    Attributes
    ----------
    params
        The parameters that you passed. Assign into an entry, ``params["w"][...] = x``, and do not
        replace it: a step updates the original array.
    state : dict
        The arrays of the rule's state by name, each like `params`. Assign into an array,
        ``state["m"]["w"][...] = x``; its entry cannot be replaced. If you assign into `params`,
        assign the same into ``state["master"]``.
    executor : {"numpy", "numba", "cupy"}
        The executor that runs the update.

    Raises
    ------
    TypeError, ValueError
        If an array cannot be updated in place; the message names it by its path.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> params = {"w": np.ones(3), "b": np.zeros(1)}
    >>> opt = go.GradientDescent(lr=0.5).init(params)
    >>> opt.step({"w": np.ones(3), "b": np.ones(1)})
    >>> params["w"]
    array([0.5, 0.5, 0.5])
    """

    __slots__ = ("_reader",)

    def __init__(
        self,
        rule: BindableT_co,
        params: ArrayTree,
        hyper: HyperArrays | None = None,
        *,
        master: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
        state_dtype: str | None = None,
        capturable: bool = False,
        rows: str | Sequence[str] | None = None,
    ) -> None:
        if not isinstance(rule, Bindable):
            raise TypeError(
                "rule must be a gpuopt.Rule, such as gpuopt.Adam(), or a chain of one, got "
                f"{type(rule).__name__}{class_hint(rule)}"
            )
        capturable = flag("capturable", capturable)
        precision = Precision(master, stochastic_rounding, seed, state_dtype)
        spec = TreeSpec(params, "params")
        spec.leaves = list(map(exchange.parameter, spec.leaves, spec.paths))
        check.parameters(spec.leaves, spec.paths, params)
        self._params, self._rule = params, rule
        by_name = cast("Mapping[str, Any] | None", hyper)
        options = precision, capturable, rows
        self._binding = binding = Binding(rule, spec, by_name, *options)
        self._rows = rows
        self._given = by_name and {
            name: spec.build(spec.match(tree, name)) for name, tree in by_name.items()
        }
        self._steps = choose(binding, binding.now)
        self._steps.use(binding.now)
        self._state = shown_tree(binding.state(), "opt.state")
        self._reader = GradientReader(spec, binding.leaves, binding.states, binding.whole)
        self._guard = Guard(spec, params, executor_of(binding.leaves[0]).on_device)

    @property
    def rule(self) -> BindableT_co:
        """The rule. Between steps you may set another of the same structure; the state is kept.

        If it differs only in numbers, a captured step continues with the new ones.
        """
        return self._rule

    @rule.setter
    def rule(self, rule: BindableT_co) -> None:  # type: ignore[misc] # told when it is set
        check_structure(rule, self._rule)
        with self._guard.exclusive("given a rule"):
            self._guard.check_whole()
            change = self._binding.check_change(rule)
            check_read(change.updates, self._binding)
            self._change(rule, change)
            self._guard.unfinished = None

    def _change(self, rule: Any, change: RuleChange) -> None:
        """Continue with another rule; the caller must then change the rest."""
        steps = choose(self._binding, change, self._steps)  # the last that may fail
        self._guard.unfinished = change
        steps.use(change)
        self._steps, self._rule = steps, rule

    def _capturing(self) -> Capturing | None:
        """The door of `gpuopt.graph` to a `capturable` optimizer; None if it updates no array."""
        if not self._binding.groups:
            return None
        return Capturing(self._guard, self._reader, cast("CountingSteps", self._steps))

    def step(self, grads: PartialTree, loss: Loss | None = None) -> None:
        """Update every array by its gradient, in place.

        Parameters
        ----------
        grads : like params
            A gradient for each array, of its shape, in its dtype or (for a real array) another real
            dtype. None for an array without a gradient in this step: the array and its count do not
            change. Gradients are never altered, and never broadcast. The gradient of a complex
            array is ``dL/dx + 1j * dL/dy``. `gpuopt.rows` gives those of some rows of an array that
            ``init(..., rows=...)`` names.
        loss : float or 0-d array, optional
            The loss that has these gradients, for rules and pieces that read it, such as
            `gpuopt.PolyakStep`; others ignore it. An array on a GPU stays there: nothing waits.

        Raises
        ------
        TypeError, ValueError
            If a gradient does not fit, a schedule gives no valid number, or a loss that is read is
            missing. Then nothing changes.
        RuntimeError
            If another thread is stepping this optimizer, or an earlier step failed halfway. Two
            calls at the same moment may also run one after the other.
        """
        guard, steps, binding = self._guard, self._steps, self._binding
        with guard.exclusive("stepped"):
            guard.check()
            by_row = binding.row_groups
            apart = by_row.apart(binding.spec, grads) if by_row else None
            gradients, where = self._reader.read(grads, apart and apart.others)
            if loss is not None or binding.asks:
                loss = binding.loss(loss, where.complete)
            plan = steps.plan(gradients, where, loss)
            if apart:
                plan.launches.extend(by_row.plan(apart, steps.hyper(), self._reader))
            guard.unfinished = plan
            steps.execute(plan)
            guard.unfinished = None
            given = binding.spec.match(grads, "grads") if apart else gradients
            guard.written(given, binding.updated)

    def evaluation(self) -> Any:
        """The parameters to evaluate with: those of a piece such as `average`, else `params`.

        An array that was not updated yet has its own values.

        Returns
        -------
        like params
            New arrays, in the parameters' dtypes; tensors if the parameters are tensors.
        """
        with self._guard.exclusive("evaluated"), self._there():
            self._guard.check_whole()
            steps, binding = self._steps, self._binding
            counts = list(map(most, steps.counts))
            reached = Reached(steps.t, counts, steps.numbers, steps.scalar_states)
            found = quietly(binding.of_each, None, lambda group: evaluated(group, reached))
            arrays = zip(found, binding.leaves, strict=True)
            new = [p.copy() if new is None else new for new, p in arrays]
            return binding.spec.build(self._guard.alike(new))

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that a resumed optimizer needs, except the parameters.

        Returns
        -------
        dict
            ``version``; ``rule``, its repr; ``outline``, the names of its rules and pieces;
            ``classes``, the names of its classes; ``hyper``, its hyperparameters without schedules;
            ``schedules``, the names of those with schedules; ``arrays``, by name a tree that says
            which hyperparameters had an array; ``precision``, the arguments ``master``,
            ``stochastic_rounding``, ``seed`` and ``state_dtype`` of `init`; ``t``; ``counts``, a
            tree like params; ``state``, a tree of arrays like params for each name; ``numbers`` by
            name, if any.
        """
        with self._guard.exclusive("copied"), self._there():
            self._guard.check()
            return state_dict_of(self._rule, self._binding, self._steps, self._stored)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue, bit for bit, from another optimizer of the same rule and like arrays.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`. Its hyperparameters replace those here; schedules stay.

        Raises
        ------
        TypeError, ValueError
            If it does not fit: another rule, names, shapes, dtypes, version, or options of `init`,
            a value that a rule or `init` would refuse, or arrays of this optimizer's own state.
            Then nothing changes.
        """
        self._load(state_dict)

    def _ready(self, state_dict: Any) -> Ready:
        return Saved(state_dict, self._rule, self._binding).ready(self._state, self._steps.numbers)

    def _load(self, state_dict: dict[str, Any], beside: Sequence[tuple[Any, Any]] = ()) -> None:
        """Continue from a state dict; `beside` are other arrays, each with what goes there."""
        with self._guard.exclusive("loaded"), self._there():
            ready = self._processes.together("load", lambda: self._ready(state_dict))
            self._change(ready.rule, ready.change)
            for target, source in (*beside, *ready.arrays):
                target[...] = source
            self._steps.load(ready.progress)
            self._guard.unfinished = None
            if beside:
                self._guard.written(self._binding.leaves, self._binding.updated)

"""Base classes of rules and pieces, the interface that `init` needs, two helpers for formulas."""

from __future__ import annotations

import copy
import math
import typing
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from gpuopt.rules.formula import Formula, HyperValue, Range
from gpuopt.rules.hooks import HookName, allowed_hooks, has_hook

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from gpuopt.arrays.tree import ArrayTree, HyperArrays
    from gpuopt.optimizer.optimizer import Optimizer

    BindableT_co = TypeVar("BindableT_co", bound="Bindable", default=Any, covariant=True)

    class ChainRule:
        """The rule of a chain, as a piece sees it: its hyperparameters can be read."""

        def __getattr__(self, name: str) -> float | Any: ...
else:
    BindableT_co = typing.TypeVar("BindableT_co", covariant=True)
    ChainRule = Any  # the annotations of pieces are evaluated

ValueT = typing.TypeVar("ValueT")
"""A number or an array, as a formula computes with."""

__all__ = ["GradientPiece", "ParameterPiece", "Rule", "abs2", "debias"]


class Part(NamedTuple):
    """A formula of an update, with a prefix for its names, and the arrays that are its "tree"."""

    name: str
    scope: str
    formula: Formula

    def named(self, name: str, joint: str = ".") -> str:
        """The full name of a hyperparameter of the part, or with ``_`` for `joint` of a state."""
        return f"{self.name}{joint}{name}" if self.name else name


class Update(Protocol):
    """The update of one array: formulas, one after another. A rule is one by itself."""

    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def ranges(self) -> dict[str, Range]: ...
    @property
    def hyperparameters(self) -> dict[str, Any]: ...
    def hyper(self, step: int) -> dict[str, float]: ...


class Bindable:
    """Anything that `init` binds to arrays: a rule, a chain around one, or a partition."""

    _hooks: ClassVar[frozenset[HookName]] = frozenset()

    @property
    def structure(self) -> Any:
        """A value that is equal for two rules if one can replace the other and keep the state."""
        raise NotImplementedError

    @property
    def outline(self) -> str:
        """The names of its rules and pieces, without hyperparameters."""
        raise NotImplementedError

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every hyperparameter as it was given, by its full name."""
        raise NotImplementedError

    def replace(self, values: Mapping[str, Any]) -> Self:
        """A copy with other hyperparameters, by their full names."""
        raise NotImplementedError

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        """The key of each array's `update_for`; None for an array that is not updated."""
        return [""] * len(paths)

    def update_for(self, key: Hashable) -> Update:
        """The update of the arrays with that key."""
        raise NotImplementedError

    def init(
        self,
        params: ArrayTree,
        hyper: HyperArrays | None = None,
        *,
        master: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
        capturable: bool = False,
    ) -> Optimizer[Self]:
        """Bind the rule to `params`, which the returned `Optimizer` updates in place.

        Parameters
        ----------
        params : array, or lists, tuples and dicts of arrays, nested
            NumPy or CuPy arrays: float16, bfloat16, float32, float64, complex64 or complex128.
        hyper : dict, optional
            Arrays in place of float hyperparameters, such as a learning rate or a mask for each
            element. Keys are names of hyperparameters, values are trees like `params` of real
            arrays. An array broadcasts to its parameter; None keeps the number. Every step reads
            the arrays anew. Write ``"factor"`` for a piece's hyperparameter, or ``"scale.factor"``
            if several pieces have one.
        master : bool
            Keep a float32 copy of every float16 and bfloat16 array, called ``"master"`` in the
            state, where an array of another dtype has None. A step reads and updates the copy, and
            stores its rounding in the array, in the same kernel. If you assign to such an array
            between steps, assign to its copy too: the copy wins.
        stochastic_rounding : bool
            Round bfloat16 arrays up or down at random as they are stored, more likely to the
            nearer, so that steps too small for the dtype count on average. The direction depends
            only on `seed`, on the array's count and place in the tree, and on the element's index:
            it is the same on every executor, in every layout, and in a resumed run. Not for float16
            arrays, and not together with `master`.
        seed : int
            Of the stochastic rounding, from 0 to 2**32 - 1.
        capturable : bool
            Whether steps may be captured in a CUDA graph (`gpuopt.graph`). Schedules must then be
            of `gpuopt.schedules`. A GPU then keeps step counts and hyperparameters, and evaluates
            schedules. With NumPy arrays nothing else changes.

        Returns
        -------
        Optimizer

        Raises
        ------
        TypeError, ValueError
            If an array cannot be updated in place, a hyperparameter's values are not in its range,
            or it follows a schedule that a captured step cannot evaluate; the message names it. If
            `stochastic_rounding` meets a float16 array or `master`, or `master` a state of that
            name.
        TraceError
            If ``update`` does something that is neither elementwise nor a reduction; the message
            names the line.
        """
        from gpuopt.optimizer.optimizer import Optimizer

        options: dict[str, Any] = {
            "master": master,
            "stochastic_rounding": stochastic_rounding,
            "seed": seed,
        }
        return Optimizer(self, params, hyper, **options, capturable=capturable)


@typing.dataclass_transform(frozen_default=True)
class Rule(Formula, Bindable):
    """An update rule: hyperparameters, and the formula that turns a gradient into a step.

    A subclass annotates its hyperparameters and defines ``update``. It becomes a frozen dataclass;
    all fields except ``lr`` are keyword-only. Fields annotated `Hyper`, `NonNegative`, `Positive`,
    `Decay`, `Bound` or ``float`` are *dynamic*: they may change, or follow a schedule, without a
    new kernel. Fields annotated ``bool``, ``int`` or ``str`` are *static*: ``update`` may branch on
    them.

    ``update(self, t, p, g, <state>=<initial value>, ...)`` returns ``(p, *state)``: the updated
    parameter and the updated state. It is elementwise: operators, ``np.sqrt``, ``np.maximum``,
    ``np.where``, ``np.logical_not`` … of whole arrays; and it may reduce an array to a number:
    ``np.sum``, ``np.mean``, ``np.max``, ``np.linalg.norm`` … of the array, or `gpuopt.tree_sum`,
    `gpuopt.tree_norm` … of all arrays. It runs once on symbols for each structure, so it reads
    values from outside (a global, say) once.

    It may define more methods, called hooks: ``start``, ``check``, and ``numbers`` with ``adapt``,
    as a `GradientPiece` may. A method with another meaning may not have the name of a hook.

    Parameters
    ----------
    t : int
        The count of this array's updates, including this one: 1, 2, …
    p, g : array
        Parameter and gradient.
    **state : array
        One array for each name. It starts at the default value, or at the result of ``start(self,
        p)`` (a tuple, one value a state) if the rule defines that.

    Examples
    --------
    >>> import gpuopt as go
    >>> class SignDescent(go.Rule):
    ...     lr: go.NonNegative = 0.01
    ...     def update(self, t, p, g):
    ...         return p - self.lr * np.sign(g)
    >>> float(SignDescent(lr=0.5).update(1, 3.0, -2.0))
    3.5
    """

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "g")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("Rule")
    _gives: ClassVar[str] = "new"
    _keyword_only: ClassVar[bool] = True

    if TYPE_CHECKING:  # of a rule that is not known: ``type[Rule]``

        def __init__(
            self, lr: HyperValue = ..., /, **hyperparameters: HyperValue | str | None
        ) -> None: ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The rule itself."""
        return (Part("", "", self),)

    @property
    def structure(self) -> Any:
        return type(self)

    @property
    def outline(self) -> str:
        return type(self).__name__

    def update_for(self, key: Hashable) -> Rule:
        return self


class Piece(Formula):
    """A part of a chain before or after its rule. It may read the hyperparameters of `rule`."""

    _arguments: ClassVar[tuple[str, ...]] = ()

    rule: ChainRule

    if not TYPE_CHECKING:  # it would let a type checker believe in any name

        def __getattr__(self, name: str) -> Any:
            why = ": it is set where a chain is run" if name == "rule" else ""
            if name != "rule" and has_hook(self, "numbers"):
                why = "; if it is one of its numbers, it is set where a chain is run"
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{why}")


@typing.dataclass_transform(frozen_default=True)
class GradientPiece(Piece):
    """A piece that changes the gradient before the rule sees it. Write it like a rule.

    ``update(self, t, p, g, <state>=<initial value>, ...)`` returns ``(g, *state)``. Fields may be
    given by position.

    A piece may have more methods, called hooks. ``steps(self, t)`` says how often the rest of the
    chain has acted after `t` calls: it is held where that number does not grow by 1
    (`gpuopt.accumulate`). ``accept(self, t, p, g)`` gives a truth value of numbers, made by
    reductions; where it is false, nothing changes in this step (`gpuopt.skip_nonfinite`).
    ``numbers(self)`` gives numbers of the whole optimizer by name, with what they start at:
    attributes in the other methods, and ``adapt(self, p, g, accepted)`` returns their values after
    each step, a tuple; `accepted` is what this piece's ``accept`` answered (`gpuopt.LossScale`).
    ``holds(self, paths)`` says for each path whether its array stays as it is (`gpuopt.freeze`).
    A method with another meaning may not have the name of a hook.

    Examples
    --------
    >>> import gpuopt as go
    >>> class soft_clip(go.GradientPiece):
    ...     limit: go.Positive
    ...     def update(self, t, p, g):
    ...         return self.limit * np.tanh(g / self.limit)
    >>> rule = go.chain(soft_clip(2.0), go.Adam(lr=0.1))
    """

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "g")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("GradientPiece")
    _gives: ClassVar[str] = "g"
    _example: ClassVar[str] = "gpuopt.clip(1.0)"


@typing.dataclass_transform(frozen_default=True)
class ParameterPiece(Piece):
    """A piece that changes, or observes, the parameter of the rule. Write it like a rule.

    ``update(self, t, p, new, <state>=<initial value>, ...)`` returns ``(new, *state)``; `p` is the
    parameter before the step. Fields may be given by position. `Optimizer.evaluation` returns the
    result of a method ``evaluation(self, p, *state)``, called with NumPy or CuPy arrays, in place
    of `p`. It may keep numbers of the whole optimizer, as a `GradientPiece` may.
    """

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "new")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("ParameterPiece")
    _gives: ClassVar[str] = "new"
    _example: ClassVar[str] = "gpuopt.bounds(0.0, 1.0)"


class BoundPart(NamedTuple):
    """A part of an update, and its formula with values in place of hyperparameters."""

    part: Part
    formula: Any


def bind(parts: Sequence[Part], values: Mapping[str, Any]) -> list[BoundPart]:
    """Put values in place of hyperparameters: symbols to trace ``update``, arrays to run it.

    Rules and pieces are frozen and stay as they are: copies are bound. `values` holds attributes of
    the copies, by their full names. ``self.rule`` of a piece is the copy of the chain's rule.
    """
    bound = [BoundPart(part, copy.copy(part.formula)) for part in parts]
    rule = next(formula for part, formula in bound if not part.name)
    for part, formula in bound:
        full_names = {name: part.named(name) for name in formula.ranges}
        vars(formula).update(
            {name: values[full] for name, full in full_names.items() if full in values}
        )
        if part.name:
            vars(formula)["rule"] = rule
    return bound


def abs2(x: ValueT) -> ValueT:
    """The squared modulus ``|x|**2``, a real array; ``x * x`` if `x` is real."""
    value: Any = x
    squared: ValueT = (
        value.real * value.real + value.imag * value.imag
        if np.iscomplexobj(value)
        else value * value
    )
    return squared


def debias(average: ValueT, beta: Any, t: Any) -> ValueT:
    """A moving average that started at 0, corrected for that start: ``average / (1 - beta**t)``.

    The factor is computed as ``-expm1(t * log(beta))``; that keeps its digits if `beta` is close to
    1.
    """
    value: Any = average
    factor: Any
    if isinstance(beta, (int, float)):  # and t may be a symbol
        expm1 = math.expm1 if isinstance(t, (int, float)) else np.expm1
        factor = 1.0 / -expm1(t * math.log(beta)) if beta > 0 else 1.0
    else:
        factor = np.where(beta > 0, 1.0 / -np.expm1(t * np.log(beta)), 1.0)
    corrected: ValueT = value * factor
    return corrected

"""The base class of rules, and two helpers for their formulas."""

from __future__ import annotations

import math
import typing
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpuopt.rules.base import Bindable, Part
from gpuopt.rules.formula import Formula
from gpuopt.rules.hooks import HookName, allowed_hooks, has_hook
from gpuopt.rules.ranges import HyperValue, single
from gpuopt.rules.traced import Traced

__all__ = ["Rule", "abs2", "debias"]

ValueT = typing.TypeVar("ValueT")
"""A number or an array, as a formula computes with."""


@typing.dataclass_transform(frozen_default=True)
class Rule(Formula, Bindable):
    """An update rule: hyperparameters, and the formula that turns a gradient into a step.

    A subclass annotates its hyperparameters and defines ``update``. It becomes a frozen dataclass;
    all fields except ``lr`` are keyword-only. Fields annotated `Hyper`, `NonNegative`, `Positive`,
    `Decay`, `Bound` or ``float`` are *dynamic*: they may change, or follow a schedule, without a
    new kernel. Fields annotated ``bool``, ``int`` or ``str`` are *static*: ``update`` may branch on
    them.

    ``update(self, t, p, g, <state>=<initial value>, ...)`` returns ``(p, *state)``: the updated
    parameter and the updated state. It is elementwise: it applies operators, ``np.sqrt``,
    ``np.maximum``, ``np.where``, ``np.logical_not`` and others to whole arrays. It may also reduce
    an array to a number: ``np.sum``, ``np.mean``, ``np.max`` or ``np.linalg.norm`` of one array, or
    `gpuopt.tree_sum` or `gpuopt.tree_norm` of all arrays. gpuopt runs it once on symbols for each
    structure of arrays, so it reads values from outside, such as a global, once.

    It may read the loss of the step as ``self.loss``. Then `Optimizer.step` needs ``loss=``.

    A rule may define more methods, called hooks: ``start``, ``check``, ``numbers`` with ``adapt``
    (see `GradientPiece`), and ``evaluation`` (see `ParameterPiece`). Do not give a method with
    another meaning the name of a hook.

    Parameters
    ----------
    t : int
        The count of this array's updates, including this one: 1, 2, …
    p, g : array
        Parameter and gradient.
    **state : array
        One array for each name. It starts at the default value. If the rule defines ``start(self,
        p)``, it starts at the result: a tuple with one value for each state.

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
    _averages: ClassVar[bool] = False
    """Whether it evaluates with parameters of its own, which pieces behind it would not reach."""
    momentum_states: ClassVar[tuple[str, ...]] = ("m",)
    """The states that start again if a step is taken back, as by `gpuopt.backtrack`."""

    if TYPE_CHECKING:  # of a rule that is not known: ``type[Rule]``

        def __init__(
            self, lr: HyperValue = ..., /, **hyperparameters: HyperValue | str | None
        ) -> None: ...

    else:

        def __getattr__(self, name):
            for known in (vars(cls)[name] for cls in type(self).__mro__ if name in vars(cls)):
                return known.__get__(self, type(self))  # it says itself why it is not there
            why = ""
            if has_hook(self, "numbers"):
                why = "; if it is one of its numbers, it is set where an optimizer runs it"
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{why}")

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


def abs2(x: ValueT) -> ValueT:
    """The squared modulus ``|x|**2``, a real array; ``x * x`` if `x` is real."""
    value: Any = x
    squared: ValueT = (
        value.real * value.real + value.imag * value.imag
        if np.iscomplexobj(value)
        else value * value
    )
    return squared


def clipped(x: Any, largest: Any) -> Any:
    """Each element clipped to the modulus `largest`; a complex one keeps its phase."""
    if not np.iscomplexobj(x):
        return np.clip(x, -largest, largest)
    size = np.maximum(np.abs(x.real), np.abs(x.imag))
    size = np.where(size > 0, size, 1.0)
    scaled = x / size  # whose modulus does not overflow
    small = np.abs(scaled) * size <= largest
    return np.where(small, x, scaled * (largest / np.abs(scaled)))


def debias(average: ValueT, beta: Any, t: Any) -> ValueT:
    """A moving average that started at 0, corrected for that start: ``average / (1 - beta**t)``.

    The average is ``average = beta * average + (1 - beta) * x``, updated in the same step. The
    correction divides by the sum of its weights, ``1 - beta**t``. It is computed as ``-expm1(t *
    log(beta))``, which keeps its digits if `beta` is close to 1. In an ``update``, `beta` may also
    follow a schedule, or change between steps. Then the sum is kept as a state of one number, ``w =
    beta * w + (1 - beta)``. An array for `beta` (``hyper=`` of `init`) must stay the same in all
    steps.
    """
    value: Any = average
    corrected: ValueT = value * (1.0 / weights_of(average, beta, t))
    return corrected


def real_only(rule: Rule, x: Any) -> None:
    """Raise TypeError if `x` is complex, which this rule is not defined for."""
    if np.iscomplexobj(x):
        raise TypeError(
            f"{type(rule).__name__} compares numbers, and complex ones have no order: to update "
            "real and imaginary parts as two numbers, write "
            "rule.init(params.view(params.real.dtype))"
        )


def weights_of(average: Any, beta: Any, t: Any) -> Any:
    """The sum of the weights of a moving average, whose decay may change."""
    total = average.weights(beta, t) if isinstance(average, Traced) else None
    return sum_of_weights(beta, t) if total is None else total


def at_first(t: Any, begun: Any, later: Any) -> Any:
    """`begun` in an array's first step, `later` in all others."""
    return single(np.where(t == 1, begun, later))


def root_of(number: Any) -> Any:
    """The square root; of a plain number a plain one: NumPy's would make float32 arrays float64."""
    return single(np.sqrt(number))


def sum_of_weights(beta: Any, t: Any) -> Any:
    """The sum of an average's weights after `t` steps with one decay: ``1 - beta**t``."""
    if isinstance(beta, (int, float)):  # and t may be a symbol
        expm1 = math.expm1 if isinstance(t, (int, float)) else np.expm1
        return -expm1(t * math.log(beta)) if beta > 0 else 1.0
    return np.where(beta > 0, -np.expm1(t * np.log(beta)), 1.0)

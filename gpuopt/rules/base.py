"""What every rule shares: hyperparameters that check themselves, and two small helpers for formulas.

A rule is a frozen dataclass with one method, ``update``. This module imports NumPy only.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import sys
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

if TYPE_CHECKING:
    from gpuopt.optimizer import Optimizer

__all__ = ["Decay", "Hyper", "NonNegative", "Positive", "Rule", "abs2", "debias"]


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take: ``low <= x`` (or ``low < x``) and ``x < high``."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value < self.high and not (self.open_low and value == self.low)


FINITE = Range("a finite number")

Hyper = Annotated[Any, FINITE]
"""A float hyperparameter: a finite number, or a schedule, a callable from the number of completed steps to one."""
NonNegative = Annotated[Any, Range("a finite number >= 0", low=0.0)]
"""A `Hyper` that is at least 0, such as a learning rate."""
Positive = Annotated[Any, Range("a finite number > 0", low=0.0, open_low=True)]
"""A `Hyper` that is greater than 0, such as an epsilon."""
Decay = Annotated[Any, Range("a number in [0, 1)", low=0.0, high=1.0)]
"""A `Hyper` in [0, 1): the decay of a moving average."""


@typing.dataclass_transform(frozen_default=True)
class Rule:
    """An update rule: hyperparameters, and the formula that turns a gradient into a step.

    A subclass annotates its hyperparameters and defines ``update``; it becomes a frozen dataclass whose fields
    are keyword-only, but for ``lr``. Fields annotated `Hyper`, `NonNegative`, `Positive`, `Decay` or ``float`` are
    *dynamic*: they may change, or follow a schedule, without a new kernel. Fields annotated ``bool``, ``int`` or
    ``str`` are *static*: ``update`` may branch on them.

    ``update(self, t, p, g, <state>=<initial value>, ...)`` returns ``(p, *state)``: the updated parameter and the
    updated state. It is elementwise: operators, ``np.sqrt``, ``np.maximum``, ``np.where``, ``np.logical_not`` … of whole
    arrays. It is run once on symbols for each structure, so what it reads from outside (a global, say) is read once.

    Parameters
    ----------
    t : int
        How often this array has been updated, this time included: 1, 2, …
    p, g : array
        Parameter and gradient.
    **state : array
        One array a name, starting at the default value, or at what ``start(self, p)`` returns (a tuple, one value a
        state) where a rule defines it.

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

    if TYPE_CHECKING:
        update: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not callable(getattr(cls, "update", None)):
            raise TypeError(f"rule {cls.__name__} has no method update(self, t, p, g, ...)")
        _check_class(cls)
        scope = {**vars(sys.modules[cls.__module__]), **sys._getframe(1).f_locals}
        hints = inspect.get_annotations(cls, globals=scope, locals=scope, eval_str=True)
        if "lr" in hints:
            cls.lr = dataclasses.field(default=cls.__dict__.get("lr", dataclasses.MISSING), kw_only=False)  # type: ignore[attr-defined]
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        own = {name: hint for name, hint in hints.items() if name in fields}
        cls._static = {**cls._static, **{name: hint for name, hint in own.items() if hint in (bool, int, str)}}
        cls._ranges = {**cls._ranges, **{n: _range(cls, n, hint) for n, hint in own.items() if n not in cls._static}}

    _ranges: typing.ClassVar[dict[str, Range]] = {}
    _static: typing.ClassVar[dict[str, type]] = {}

    if not TYPE_CHECKING:  # it would hide the fields from a type checker

        def __new__(cls, *_, **__):
            if cls is Rule:
                raise TypeError("Rule is what rules are derived from: use one such as gpuopt.Adam(), or write a subclass")
            return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                value = value.item()
            if field.name in self._static:
                self._check_static(field.name, value)
            elif not callable(value) and not (value is None and field.default is None):
                value = self.number(field.name, value)
            object.__setattr__(self, field.name, value)
        self.check()

    def _check_static(self, name: str, value: Any) -> None:
        if type(value) is not self._static[name]:
            raise TypeError(f"{type(self).__name__}: {name} must be a {self._static[name].__name__}, got {value!r}")

    def check(self) -> None:
        """Raise ValueError where hyperparameters do not go together; a rule overrides it if it needs to."""

    def number(self, name: str, value: Any, where: str = "") -> float:
        """The float that `value` gives for hyperparameter `name`, checked against its range."""
        what = f"{type(self).__name__}: {name} must be {self._ranges[name].text}{{}}, got {value!r}{where}"
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            raise TypeError(what.format(" or a schedule (a callable from the step number to one)"))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if number not in self._ranges[name]:
            raise ValueError(what.format(""))
        return number

    def hyper(self, step: int) -> dict[str, float]:
        """The value of each float hyperparameter after `step` completed steps."""
        values = {}
        for name in self._ranges:
            value = getattr(self, name)
            if callable(value):
                value = self.number(name, value(step), f" from its schedule at step {step}")
            if value is not None:
                values[name] = value
        return values

    def init(self, params: Any) -> Optimizer:
        """Bind the rule to `params`, which the returned `Optimizer` updates in place.

        Parameters
        ----------
        params : array, or lists, tuples and dicts of arrays, nested
            NumPy or CuPy arrays: float16, bfloat16, float32, float64, complex64 or complex128.

        Returns
        -------
        Optimizer

        Raises
        ------
        TypeError, ValueError
            Where an array cannot be updated in place; the message names it by its path.
        TraceError
            Where ``update`` does something that is not elementwise; the message names the line.
        """
        from gpuopt.optimizer import Optimizer

        return Optimizer(self, params)


def _check_class(cls: type) -> None:
    """Raise TypeError where an attribute looks like a hyperparameter and is none, or hides a method of rules."""
    annotated = inspect.get_annotations(cls)
    for name, value in vars(cls).items():
        if not name.startswith("_") and name not in annotated and isinstance(value, (bool, int, float)):
            raise TypeError(
                f"rule {cls.__name__}: {name} = {value!r} has no annotation: write {name}: gpuopt.Hyper = {value!r} for a "
                f"hyperparameter, or {name}: ClassVar = {value!r} for a constant"
            )
    if taken := [name for name in annotated if name in ("check", "hyper", "init", "number", "start", "update")]:
        raise TypeError(f"rule {cls.__name__}: {taken[0]!r} is a method of rules: give the hyperparameter another name")


def _range(cls: type, name: str, hint: Any) -> Range:
    """The range of a dynamic hyperparameter."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    for part in [hint, *(typing.get_args(hint) if union else ())]:
        if found := [extra for extra in getattr(part, "__metadata__", ()) if isinstance(extra, Range)]:
            return found[-1]
        if part is float:
            return FINITE
    raise TypeError(
        f"rule {cls.__name__}: {name} is annotated {hint!r}; a hyperparameter is a Hyper (NonNegative, Positive, Decay), "
        "or a bool, an int or a str that is fixed when the rule is made"
    )


def abs2(x: Any) -> Any:
    """The squared modulus ``|x|**2``, a real array; ``x * x`` where `x` is real."""
    return x.real * x.real + x.imag * x.imag if np.iscomplexobj(x) else x * x


def debias(average: Any, beta: Any, t: Any) -> Any:
    """A moving average that started at 0, corrected for that start: ``average / (1 - beta**t)``.

    The factor is computed as ``-expm1(t * log(beta))``, which keeps its digits where `beta` is close to 1.
    """
    if isinstance(beta, (int, float)):
        return average * (1.0 / -math.expm1(t * math.log(beta)) if beta > 0 else 1.0)
    return average * np.where(beta > 0, 1.0 / -np.expm1(t * np.log(beta)), 1.0)

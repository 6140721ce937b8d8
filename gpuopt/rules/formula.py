"""The base of rules and pieces: a frozen dataclass of checked hyperparameters, with one formula."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gpuopt.arrays.options import brief
from gpuopt.rules.declared import BASES, check_class, check_default, own_hints
from gpuopt.rules.elsewhere import by_hyperparameters, changes, never_changes
from gpuopt.rules.given_loss import ReadsLoss
from gpuopt.rules.hooks import HookName, defined_hooks
from gpuopt.rules.ranges import STATIC, Range, arguments_hint, range_of, single
from gpuopt.rules.spelling import in_place_of, refusal
from gpuopt.rules.tuples import entries, put, whole
from gpuopt.rules.written import ComparedByValue, is_written

_SEVERAL = operator.attrgetter("several")


class Formula(ComparedByValue, ReadsLoss):
    """A frozen dataclass of annotated hyperparameters, with a method ``update`` that is traced.

    The base of rules and of pieces. The library uses these of either: `hyperparameters`, `ranges`,
    `hyper`, `replace`.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    update: Callable[..., Any]
    _ranges: ClassVar[dict[str, Range]] = {}
    _static: ClassVar[dict[str, type]] = {}
    _limits: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of hyperparameters between which the stored parameter is to stay; "" for no limit."""
    _number_ranges: ClassVar[dict[str, Range]] = {}
    """What the numbers of the whole optimizer that it keeps may be; those left out, any number."""
    _arguments: ClassVar[tuple[str, ...]] = ()
    """The arguments of ``update`` before the state; a kind such as `gpuopt.Rule` sets them."""
    _gives: ClassVar[str] = ""
    """The first result of ``update``: the gradient ``"g"``, or the ``"new"`` parameter."""
    _example: ClassVar[str] = "gpuopt.Adam()"
    _may_have: ClassVar[frozenset[HookName]] = frozenset()
    """The hooks that subclasses may define; `gpuopt.rules.hooks.HOOKS` says what they are."""
    _hooks: ClassVar[frozenset[HookName]] = frozenset()
    """Those that a class does define, asked with `gpuopt.rules.hooks.has_hook`."""
    _keyword_only: ClassVar[bool] = False
    _takes_arrays: ClassVar[bool] = False
    """Whether a float hyperparameter may be given by arrays, written in its place."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _is_base(cls):
            BASES.append(cls)
            return
        make_formula(cls)

    if not TYPE_CHECKING:  # it would hide the fields from a type checker

        def __new__(cls, *args, **kwargs):
            if _is_base(cls):
                raise TypeError(
                    f"{cls.__name__} is a base class: use one such as {cls._example}, "
                    "or write a subclass"
                )
            if (args or kwargs) and (wrong := refusal(cls, cls._keyword_only, args, kwargs)):
                raise TypeError(wrong)
            return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                value = value.item()
            if value is None and field.default is None:
                pass
            elif field.name in self._static:
                self._check_static(field.name, value)
            elif self._ranges[field.name].several:
                value = self._numbers(field.name, value)
            elif self._takes_arrays and is_written(value):  # `init` checks it, beside parameters
                value = list(value) if type(value) is tuple else value
            elif not callable(value) or isinstance(value, type):
                value = self.number(field.name, value)
            object.__setattr__(self, field.name, value)
        self.check()

    def _check_static(self, name: str, value: Any) -> None:
        if type(value) is not self._static[name]:
            kind = {bool: "a bool", int: "an int", str: "a str"}[self._static[name]]
            raise TypeError(f"{type(self).__name__}: {name} must be {kind}, got {brief(value)}")

    def check(self) -> None:
        """Raise ValueError if hyperparameters do not fit together; a rule may override this."""

    def _numbers(self, name: str, values: Any) -> tuple[Any, ...]:
        """A tuple of numbers and schedules, each checked against the range."""
        if not isinstance(values, (tuple, list)) or not values:
            one = values if isinstance(values, numbers.Real) else 0.5
            raise TypeError(
                f"{type(self).__name__}: {name} must be a tuple, each entry of which is "
                f"{self._ranges[name].text}, got {brief(values)}: write {name}=({one!r},) for a "
                "single one"
            )
        return tuple(
            x if callable(x) and not isinstance(x, type) else self.number(entry, x)
            for entry, x in entries(name, values).items()
        )

    def number(self, name: str, value: Any, where: str = "") -> float:
        """The float that `value` gives for hyperparameter `name`, checked against its range."""
        allowed = self._ranges[whole(name)]
        what = f"{type(self).__name__}: {name} must be {allowed.text}"
        got = f", got {brief(value)}{where}"
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            schedule = "" if where else " or a schedule (a callable from the step number to one)"
            hint = "" if where else in_place_of(name, value, self._keyword_only, self._takes_arrays)
            raise TypeError(f"{what}{schedule}{got}{hint}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if number not in allowed:
            raise ValueError(what + got)
        return number

    def hyper(self, step: int) -> dict[str, float]:
        """The value of each float hyperparameter after `step` completed steps."""
        found = self._values(self._ranges)
        for name, value in found.items():
            if callable(value):
                found[name] = self._scheduled(name, value, step)
        return {name: value for name, value in found.items() if value is not None}

    def _scheduled(self, name: str, schedule: Any, step: int) -> float:
        try:
            value = single(schedule(step))
        except TypeError as error:
            if hint := arguments_hint(schedule, name):
                raise TypeError(
                    f"{type(self).__name__}: {name} follows {schedule!r}, {hint}"
                ) from error
            raise
        except OverflowError:  # Python's answer where NumPy and a GPU say infinity
            value = math.inf
        if type(value) is float and value in self._ranges[whole(name)]:
            return value
        return self.number(name, value, f" from its schedule at step {step}, {schedule!r}")

    @property
    def ranges(self) -> dict[str, Range]:
        """The range of each float hyperparameter."""
        if not any(map(_SEVERAL, self._ranges.values())):
            return dict(self._ranges)
        return {name: self._ranges[whole(name)] for name in self._values(self._ranges)}

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every hyperparameter as it was given; each entry of a tuple by itself."""
        return self._values(field.name for field in dataclasses.fields(self))

    def _values(self, names: Iterable[str]) -> dict[str, Any]:
        found = dict[str, Any]()
        for name in names:
            value = getattr(self, name)
            if type(value) is tuple:
                found |= entries(name, value)
            else:
                found[name] = value
        return found

    @by_hyperparameters
    def replace(self, values: Mapping[str, Any] | None = None, /, **by_name: Any) -> Self:
        """A copy with other hyperparameters: ``replace(lr=0.1)``, or a dict of them."""
        given = changes(self, values, by_name)
        named = {whole(name) for name in given.keys() & self.hyperparameters.keys()}
        fields = {name: getattr(self, name) for name in named}
        return dataclasses.replace(self, **put(fields, given))


def _is_base(cls: type[Formula]) -> bool:
    """Whether a class is a kind of formula, which has no ``update`` of its own."""
    return "_arguments" in vars(cls) and cls.__module__.startswith("gpuopt.rules.")


def make_formula(cls: type[Formula]) -> None:
    """Make a class a frozen dataclass of its annotated hyperparameters.

    `Formula` calls it for every class that is derived from a kind of formula, such as
    `gpuopt.Rule`. All fields of a rule are keyword-only, except ``lr``. A field annotated ``bool``,
    ``int`` or ``str`` is static; every other field has a range.

    Raises
    ------
    TypeError
        If there is no ``update``, a hyperparameter has no annotation or one without a range, it has
        the name of a method of rules, or a method has the name of a hook and is none.
    """
    if not callable(getattr(cls, "update", None)):
        raise TypeError(
            f"rule {cls.__name__} has no method update(self, {', '.join(cls._arguments)}, ...)"
        )
    check_class(cls)
    base = next(each for each in cls.__mro__ if each in BASES)
    cls._hooks = defined_hooks(cls, base, cls._may_have)
    hints = own_hints(cls)
    # `dataclass` knows ClassVar and KW_ONLY by their text only if the module has the name; a class
    # in a function may use a local one.
    no_fields = {
        n: h
        for n, h in hints.items()
        if h is dataclasses.KW_ONLY or ClassVar in (h, typing.get_origin(h))
    }
    for name in hints.keys() - no_fields.keys():
        check_default(cls, name)
    cls.__annotations__.update(no_fields)
    if "lr" in hints and cls._keyword_only:
        default = vars(cls).get("lr", dataclasses.MISSING)
        cls.lr = dataclasses.field(default=default, kw_only=False)  # type: ignore[attr-defined]
    dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=cls._keyword_only)(cls)
    cls.__setattr__ = never_changes  # type: ignore[method-assign] # where frozen gives no remedy
    own = {
        field.name: hints[field.name] for field in dataclasses.fields(cls) if field.name in hints
    }
    cls._static = {
        **cls._static,
        **{name: STATIC[hint] for name, hint in own.items() if hint in STATIC},
    }
    cls._ranges = {
        **cls._ranges,
        **{n: range_of(cls, n, hint) for n, hint in own.items() if n not in cls._static},
    }

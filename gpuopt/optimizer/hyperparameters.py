"""The float hyperparameters of a step: numbers, schedules, and arrays in their place; all checked.

Comes in: updates, and what `init` was given as `hyper`. Goes out: `HyperValues`, the numbers of
each update after any number of steps; and beside each parameter the arrays that stand for its
hyperparameters.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.memory import Memory
from gpuopt.arrays.tree import TreeSpec
from gpuopt.rules.base import Update
from gpuopt.rules.formula import Range
from gpuopt.rules.hooks import has_hook
from gpuopt.schedules import first_untraceable

__all__ = ["HyperValues", "Updates", "ValuesOfUpdates", "initial_values", "match_hyper_arrays"]

Updates: TypeAlias = Mapping[Hashable, Update]
"""The updates of an optimizer, by what the rule calls them."""
ValuesOfUpdates: TypeAlias = dict[Hashable, dict[str, float]]
"""For each update its float hyperparameters, by their full names."""

_LARGEST = float(np.finfo(np.float32).max)


class HyperValues:
    """The values of the float hyperparameters of several updates.

    Parameters
    ----------
    updates : dict
        By their keys.
    dtypes : dict
        For each of them the dtypes that its arrays are computed in: no value may overflow there,
        nor vanish if it must not.
    step : int or None
        How many steps are completed. With None no schedule is asked: its last step may be done.

    Attributes
    ----------
    checked : dict
        The values after so many steps.
    fixed : dict or None
        The same, if they hold for every step; None if a hyperparameter follows a schedule.
    """

    def __init__(
        self, updates: Updates, dtypes: Mapping[Hashable, set[np.dtype[Any]]], step: int | None
    ) -> None:
        self._updates, self._dtypes = updates, dtypes
        self.checked = self.at(step)
        scheduled = any(
            callable(value)
            for update in updates.values()
            for value in update.hyperparameters.values()
        )
        self.fixed = None if scheduled else self.checked

    def at(self, step: int | None) -> ValuesOfUpdates:
        """The values after `step` completed steps; those without a schedule if it is None.

        Raises
        ------
        TypeError, ValueError
            If a schedule gives no valid number.
        """
        if step is None:
            found = {key: _constants(update) for key, update in self._updates.items()}
        else:
            found = {key: update.hyper(step) for key, update in self._updates.items()}
        for key, update in self._updates.items():
            for dtype in self._dtypes[key]:
                _check_numbers(update, found[key], dtype)
        return found


def _constants(update: Update) -> dict[str, float]:
    """The float hyperparameters without schedules: those may end with the last step."""
    fields = update.hyperparameters
    return {
        name: fields[name]
        for name in update.ranges
        if fields[name] is not None and not callable(fields[name])
    }


def _check_numbers(update: Update, values: Mapping[str, float], dtype: np.dtype[Any]) -> None:
    """Raise ValueError if a hyperparameter overflows in `dtype`, or must not vanish but does."""
    for part in update.parts:
        for name, allowed in part.formula.ranges.items():
            value = values.get(part.named(name), 1.0)
            if misfit := _misfit(value, allowed, dtype):
                does, remedy = misfit
                what = f"{type(part.formula).__name__}: {name}={value!r} {does} in {dtype}"
                raise ValueError(f"{what}, in which these arrays are computed: use {remedy}")


def _misfit(value: float, allowed: Range, dtype: np.dtype[Any]) -> tuple[str, str] | None:
    """The fault of a value that `dtype` cannot hold, with a remedy; None if it fits."""
    limits = np.finfo(dtype)
    tiny, largest = (
        float(limits.tiny),
        float(limits.max),
    )  # NumPy's would round the value before comparing
    if allowed.open_low and value < tiny:
        return "vanishes", f"at least {tiny:.3g}"
    if largest < abs(value) < math.inf:
        return "overflows", f"at most {largest:.3g}"
    return None


def initial_values(updates: Updates) -> dict[str, float]:
    """The initial values of the whole optimizer's numbers, by their full names."""
    found: dict[str, float] = {}
    parts = [part for update in updates.values() for part in update.parts]
    for part in parts:
        if not has_hook(part.formula, "numbers"):
            continue
        formula: Any = part.formula
        what, given = f"{type(formula).__name__}.numbers", formula.numbers()
        if not isinstance(given, dict):
            raise TypeError(f"{what} must return a dict of initial values by name, got {given!r}")
        for name, value in given.items():
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise TypeError(f"{what}: {name} must start at a number, got {value!r}")
            if _LARGEST < abs(float(value)) < math.inf:
                raise ValueError(
                    f"{what}: {name} must start at a number that float32 can hold, got {value!r}"
                )
            found[part.named(name)] = float(value)
    return found


def check_traceable(updates: Updates) -> None:
    """Raise TypeError for a schedule of the user's own: a captured step cannot call it."""
    for update in updates.values():
        for name, value in update.hyperparameters.items():
            if (
                callable(value)
                and name in update.ranges
                and (found := first_untraceable(value)) is not None
            ):
                raise TypeError(
                    f"capturable=True: {name} follows {found!r}, which a step captured in a CUDA "
                    "graph cannot call: use one of "
                    "gpuopt.schedules, such as schedules.Piecewise, or set opt.rule = "
                    f"opt.rule.replace({{{name!r}: ...}}) "
                    "between steps"
                )


def match_hyper_arrays(
    hyper: Mapping[str, Any] | None, spec: TreeSpec, updates: Sequence[Update | None]
) -> list[dict[str, Any]]:
    """Match per-element hyperparameters with the parameters, broadcast to each parameter's shape.

    Parameters
    ----------
    hyper : dict or None
        A tree of arrays for each hyperparameter's name; None keeps the number.
    spec : TreeSpec
        The parameters.
    updates : list of Update or None
        Those of each parameter.

    Raises
    ------
    TypeError, ValueError
        If no update has such a name, or an array does not fit its parameter or the range.
    """
    found: list[dict[str, Any]] = [{} for _ in spec.leaves]
    if hyper is None:
        return found
    if not isinstance(hyper, dict):
        raise TypeError(
            "hyper must be a dict of hyperparameters' names and trees of arrays, got "
            f"{type(hyper).__name__}"
        )
    memory = Memory(spec.leaves, [f"params{path}" for path in spec.paths])
    for given, tree in hyper.items():
        arrays = spec.match(tree, f"hyper[{given!r}]")
        _check_name(given, updates)
        for index, (array, update) in enumerate(zip(arrays, updates, strict=True)):
            name = None if update is None else _full_name(given, update)
            if array is None or update is None:
                continue
            what, where = f"hyper[{given!r}]{spec.paths[index]}", f"params{spec.paths[index]}"
            if name is None:
                raise ValueError(
                    f"{what} is an array, but the rule of {where} has no {given!r}: give None there"
                )
            seen = _fitted(array, update.ranges[name], spec, index, memory, what)
            if name in found[index]:
                raise ValueError(f"{what} is given twice: as {given!r} and by another of its names")
            found[index][name] = seen
    return found


def _check_name(given: Any, updates: Sequence[Update | None]) -> None:
    """Raise ValueError if no update has a hyperparameter that `given` may stand for."""
    there = [update for update in updates if update is not None]
    if not any(_full_name(given, update) for update in there):
        names = ", ".join(sorted({name for update in there for name in update.ranges}))
        raise ValueError(
            f"hyper[{given!r}]: no rule here has a float hyperparameter {given!r}; there are "
            f"{names}"
        )


def _full_name(given: Any, update: Update) -> str | None:
    """The full name of the hyperparameter that `given` stands for."""
    if given in update.ranges:
        return str(given)
    if len(short := [name for name in update.ranges if name.rpartition(".")[2] == given]) > 1:
        raise ValueError(f"hyper: {given!r} may be any of {', '.join(short)}: write one of these")
    return short[0] if short else None


def _fitted(
    array: Any, allowed: Range, spec: TreeSpec, index: int, memory: Memory, what: str
) -> Any:
    """The array in the shape of the parameter with that index, if it may stand beside it."""
    param = spec.leaves[index]
    seen = _broadcast(array, param, what, f"params{spec.paths[index]}")
    _check_array(array, allowed, COMPUTE[param.dtype.name], what)
    if shared := memory.sharing(array):
        raise ValueError(
            f"{what} shares memory with params{spec.paths[shared[0]]}, which a step alters: pass a "
            "copy"
        )
    return seen


def _broadcast(array: Any, param: Any, what: str, where: str) -> Any:
    """The array in the shape of its parameter, without a copy."""
    if not is_array(array) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{what} must be a NumPy or CuPy array, or None to keep the number, got "
            f"{type(array).__name__}"
        )
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise TypeError(f"{what} must be an array of real numbers, got dtype {array.dtype}")
    if is_cupy(array) != is_cupy(param) or (is_cupy(array) and array.device != param.device):
        raise TypeError(f"{what} is not where {where} is ({check.place(param)}): move it first")
    try:
        return array_module(array).broadcast_to(array, param.shape)
    except ValueError:
        raise ValueError(
            f"{what} has the shape {array.shape}, which does not broadcast to that of {where}, "
            f"{param.shape}"
        ) from None


def _check_array(array: Any, allowed: Range, dtype: np.dtype[Any], what: str) -> None:
    """Raise ValueError if an element is not in the range, or not in that of the compute dtype."""
    if not array.size:
        return
    wide = array.astype(np.float64)
    for value in (float(wide.min()), float(wide.max())):  # NaN where there is one
        if value not in allowed:
            raise ValueError(f"{what}: every element must be {allowed.text}, got {value!r}")
        if misfit := _misfit(value, allowed, dtype):
            does, remedy = misfit
            raise ValueError(
                f"{what}: {value!r} {does} in {dtype}, the compute dtype: use {remedy}"
            )

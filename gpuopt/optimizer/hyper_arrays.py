"""Arrays in place of hyperparameters: matched with the parameters, broadcast, and checked.

Comes in: what `init` was given as `hyper`, what is written in pieces, the parameters, and their
updates. Goes out: beside each parameter the arrays that stand for its hyperparameters.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.foreign import conversion, convertible
from gpuopt.arrays.memory import Memory
from gpuopt.arrays.tree import TreeSpec
from gpuopt.optimizer.hyperparameters import Updates, misfit
from gpuopt.rules.base import Bindable, Update
from gpuopt.rules.composite import without_arrays
from gpuopt.rules.elsewhere import also_called, as_identifier
from gpuopt.rules.ranges import Range
from gpuopt.rules.written import same

__all__ = ["check_kept", "match_hyper_arrays", "updates_of"]

Written: TypeAlias = Mapping[Hashable, Mapping[str, Any]]
"""For each update the arrays that are written in its pieces, by full names."""


def updates_of(rule: Bindable, keys: Iterable[Hashable]) -> tuple[Updates, Written]:
    """The updates of a rule, by their keys, and the arrays that are written in their pieces."""
    pairs = {key: without_arrays(rule.update_for(key)) for key in keys}
    updates = {key: update for key, (update, _) in pairs.items()}
    return updates, {key: written for key, (_, written) in pairs.items()}


def check_kept(before: Written, now: Written) -> None:
    """Raise ValueError if a piece has other arrays than those that the steps read."""
    for key, own in before.items():
        for name in {**own, **now[key]}:
            if not same(own.get(name), now[key].get(name)):
                raise ValueError(
                    f"{name}: a piece keeps the arrays that it had in init, and each step reads "
                    "them again: assign into them, as in mask[...] = other, or call init again"
                )


def match_hyper_arrays(
    hyper: Mapping[str, Any] | None,
    spec: TreeSpec,
    keys: Sequence[Hashable],
    by_key: Updates,
    written: Written,
) -> list[dict[str, Any]]:
    """Match per-element hyperparameters with the parameters, broadcast to each parameter's shape.

    Parameters
    ----------
    hyper : dict or None
        A tree of arrays for each hyperparameter's name; None keeps the number.
    spec : TreeSpec
        The parameters.
    keys : list
        The key of each parameter's update; None if it has none.
    by_key, written : dict
        The updates, and what is written in their pieces, by full names: a tree like the parameters,
        or one array for each of them.

    Raises
    ------
    TypeError, ValueError
        If no update has such a name, or an array does not fit its parameter or the range.
    """
    memory = Memory(spec.leaves, [f"params{path}" for path in spec.paths])
    found: list[dict[str, Any]] = [{} for _ in spec.leaves]
    updates = [by_key.get(key) for key in keys]
    for index, (key, update) in enumerate(zip(keys, updates, strict=True)):
        if update is not None:
            for full, array, what in _written(written[key], update, spec, index):
                fitted = _fitted(array, update.ranges[full], spec, index, memory, what)
                found[index][full] = fitted
    for given, tree in _by_name(hyper).items():
        arrays = spec.match(tree, f"hyper[{given!r}]", "that the number stays")
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
                raise ValueError(
                    f"{what} is given twice: as {given!r}, and by another of its names or in its "
                    "piece"
                )
            found[index][name] = seen
    return found


def _by_name(hyper: Any) -> dict[str, Any]:
    """What `init` was given as `hyper`, which may be nothing."""
    if hyper is not None and not isinstance(hyper, dict):
        raise TypeError(
            "hyper must be a dict of hyperparameters' names and trees of arrays, got "
            f"{type(hyper).__name__}: write rule.init(params, hyper={{'lr': hyper}})"
        )
    return hyper or {}


def _written(
    own: Mapping[str, Any], update: Update, spec: TreeSpec, index: int
) -> Iterator[tuple[str, Any, str]]:
    """The arrays that are written for one parameter: name, array, and what it is called."""
    for name, value in own.items():
        tree = isinstance(value, (dict, list, tuple))
        array = spec.match(value, name)[index] if tree else value
        what = f"{name}{spec.paths[index] if tree else ''}"
        if array is not None:
            yield name, array, what
        elif update.hyperparameters[name] is not None:
            raise ValueError(
                f"{what} is None, and the piece has no number in its place: give an array for each "
                "parameter, or use gpuopt.partition to leave the piece out for this one"
            )


def _check_name(given: Any, updates: Sequence[Update | None]) -> None:
    """Raise ValueError if no update has a hyperparameter that `given` may stand for."""
    there = [update for update in updates if update is not None]
    if not any(_full_name(given, update) for update in there):
        names = sorted({name for update in there for name in update.ranges})
        close = also_called(str(given), names)
        raise ValueError(
            f"hyper[{given!r}]: no rule here has a float hyperparameter {given!r}; there are "
            f"{', '.join(names)}{close and f'; did you mean {close}?'}"
        )


def _full_name(given: Any, update: Update) -> str | None:
    """The full name of the hyperparameter that `given` stands for."""
    given = as_identifier(given) if isinstance(given, str) else given
    if given in update.ranges:
        return str(given)
    if len(short := [name for name in update.ranges if name.rpartition(".")[2] == given]) > 1:
        raise ValueError(f"hyper: {given!r} may be any of {', '.join(short)}: write one of these")
    return short[0] if short else None


def _fitted(
    array: Any, allowed: Range, spec: TreeSpec, index: int, memory: Memory, what: str
) -> Any:
    """The array in the shape of the parameter with that index, if it may stand beside it."""
    param, array = spec.leaves[index], shared(array, what)
    seen = _broadcast(array, param, what, f"params{spec.paths[index]}")
    _check_array(array, allowed, COMPUTE[param.dtype.name], what)
    if others := memory.sharing(array):
        raise ValueError(
            f"{what} shares memory with params{spec.paths[others[0]]}, which a step alters: "
            "pass a copy"
        )
    return seen


def _broadcast(array: Any, param: Any, what: str, where: str) -> Any:
    """The array in the shape of its parameter, without a copy."""
    if not is_array(array) or isinstance(array, np.ma.MaskedArray):
        hint = conversion(array, what, "cupy" if is_cupy(param) else "np")
        raise TypeError(
            f"{what} must be a NumPy or CuPy array, or None to keep the number, got "
            f"{type(array).__name__}{f': pass {hint}' if convertible(array) else ''}"
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
        if found := misfit(value, allowed, dtype):
            does, remedy = found
            raise ValueError(
                f"{what}: {value!r} {does} in {dtype}, the compute dtype: use {remedy}"
            )

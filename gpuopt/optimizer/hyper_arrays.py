"""Arrays in place of hyperparameters: matched with the parameters, broadcast, and checked.

Comes in: what `init` was given as `hyper`, the parameters, and their updates. Goes out: beside each
parameter the arrays that stand for its hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.foreign import conversion, convertible
from gpuopt.arrays.memory import Memory
from gpuopt.arrays.tree import TreeSpec
from gpuopt.optimizer.hyperparameters import misfit
from gpuopt.rules.base import Update
from gpuopt.rules.elsewhere import as_identifier
from gpuopt.rules.ranges import Range

__all__ = ["match_hyper_arrays"]


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
            f"{type(hyper).__name__}: write rule.init(params, hyper={{'lr': hyper}})"
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
            f"hyper[{given!r}]: no rule here has a float hyperparameter {given!r}; "
            f"there are {names}"
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
    param = spec.leaves[index]
    seen = _broadcast(array, param, what, f"params{spec.paths[index]}")
    _check_array(array, allowed, COMPUTE[param.dtype.name], what)
    if shared := memory.sharing(array):
        raise ValueError(
            f"{what} shares memory with params{spec.paths[shared[0]]}, which a step alters: "
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

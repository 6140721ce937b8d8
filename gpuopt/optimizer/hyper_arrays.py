"""Arrays in place of float hyperparameters: matched with the parameters they broadcast to, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.memory import Memory
from gpuopt.arrays.tree import TreeSpec
from gpuopt.rules.base import Update
from gpuopt.rules.formula import Range

__all__ = ["beside"]


def beside(hyper: Any, spec: TreeSpec, updates: Sequence[Update | None]) -> list[dict[str, Any]]:
    """Match per-element hyperparameters with the parameters, broadcast to each parameter's shape.

    Parameters
    ----------
    hyper : dict or None
        A tree of arrays for each hyperparameter's name; None keeps the number.
    spec : TreeSpec
        The parameters.
    updates : list of Update or None
        The update of each of them.

    Raises
    ------
    TypeError, ValueError
        If no update has such a name, or an array does not fit its parameter or the range.
    """
    found: list[dict[str, Any]] = [{} for _ in spec.leaves]
    if hyper is None:
        return found
    if not isinstance(hyper, dict):
        raise TypeError(f"hyper must be a dict of hyperparameters' names and trees of arrays, got {type(hyper).__name__}")
    memory = Memory(spec.leaves, [f"params{path}" for path in spec.paths])
    for given, tree in hyper.items():
        arrays = spec.match(tree, f"hyper[{given!r}]")
        if not any(update is not None and _full_name(given, update) for update in updates):
            names = sorted({name for update in updates if update is not None for name in update.ranges})
            raise ValueError(
                f"hyper[{given!r}]: no rule here has a float hyperparameter {given!r}; there are {', '.join(names)}"
            )
        for index, array in enumerate(arrays):
            update = updates[index]
            name = None if update is None else _full_name(given, update)
            if array is None or (update is None and name is None):
                continue
            what, where = f"hyper[{given!r}]{spec.paths[index]}", f"params{spec.paths[index]}"
            if name is None or update is None:
                raise ValueError(f"{what} is an array, but the rule of {where} has no {given!r}: give None there")
            param = spec.leaves[index]
            seen = _seen(array, param, what, where)
            _check_range(array, update.ranges[name], COMPUTE[param.dtype.name], what)
            if shared := memory.sharing(array) if is_array(array) else []:
                raise ValueError(f"{what} shares memory with params{spec.paths[shared[0]]}, which a step alters: pass a copy")
            if name in found[index]:
                raise ValueError(f"{what} is given twice: as {given!r} and by another of its names")
            found[index][name] = seen
    return found


def _full_name(given: Any, update: Update) -> str | None:
    """The full name of the hyperparameter that `given` stands for."""
    if given in update.ranges:
        return str(given)
    if len(short := [name for name in update.ranges if name.rpartition(".")[2] == given]) > 1:
        raise ValueError(f"hyper: {given!r} may be any of {', '.join(short)}: write one of these")
    return short[0] if short else None


def _seen(array: Any, param: Any, what: str, where: str) -> Any:
    """The array in the shape of its parameter, without a copy."""
    if not is_array(array) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{what} must be a NumPy or CuPy array, or None to keep the number, got {type(array).__name__}")
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise TypeError(f"{what} must be an array of real numbers, got dtype {array.dtype}")
    if is_cupy(array) != is_cupy(param) or (is_cupy(array) and array.device != param.device):
        raise TypeError(f"{what} is not where {where} is ({check.place(param)}): move it first")
    try:
        return array_module(array).broadcast_to(array, param.shape)
    except ValueError:
        raise ValueError(
            f"{what} has the shape {array.shape}, which does not broadcast to that of {where}, {param.shape}"
        ) from None


def _check_range(array: Any, allowed: Range, compute: np.dtype[Any], what: str) -> None:
    """Raise ValueError if an element is not in the range, or not in that of the compute dtype."""
    if not array.size:
        return
    wide = array.astype(np.float64)
    ends = [float(wide.min()), float(wide.max())]  # NaN where there is one
    limits = np.finfo(compute)
    tiny, largest = float(limits.tiny), float(limits.max)
    for value in ends:
        if value not in allowed:
            raise ValueError(f"{what}: every element must be {allowed.text}, got {value!r}")
        if allowed.open_low and value < tiny:
            raise ValueError(f"{what}: {value!r} vanishes in {compute}, the compute dtype: use at least {tiny:.3g}")
        if largest < abs(value) < np.inf:
            raise ValueError(f"{what}: {value!r} overflows in {compute}, the compute dtype: use at most {largest:.3g}")

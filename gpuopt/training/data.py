"""The examples of a training: arrays of equal length, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.foreign import conversion
from gpuopt.arrays.options import whole
from gpuopt.arrays.tree import leaves
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable
from gpuopt.training.arguments import check_call
from gpuopt.training.stored import Stored, is_stored

__all__ = ["batch_size_of", "batches", "check_batch", "checked"]

_GATHER = 1024  # about how many examples are put in order at a time


def batches(
    arrays: tuple[Any, ...], size: int, rng: np.random.Generator | None, xp: Any
) -> Iterator[tuple[Any, ...]]:
    """One epoch's batches, in the order drawn from `rng`, or in the given order without one."""
    count = arrays[0].shape[0]
    if isinstance(arrays, Stored):
        yield from arrays.batches(size, None if rng is None else rng.permutation(count))
        return
    if rng is None:
        for first in range(0, count, size):
            yield tuple(array[first : first + size] for array in arrays)
        return
    order = xp.asarray(rng.permutation(count))  # sent to the device once an epoch
    # A slice costs far less than a gather, a copy of all data may not fit: gather many batches at
    # once, but not all.
    chunk = size * max(1, _GATHER // size)
    for first in range(0, count, chunk):
        part = order[first : first + chunk]
        yield from batches(tuple(array[part] for array in arrays), size, None, xp)


def checked(data: Any, params: Any, called: str = "data") -> tuple[tuple[Any, ...], Any]:
    arrays = data if isinstance(data, tuple) else (data,)
    if not arrays:
        raise ValueError(f"{called} is an empty tuple: it must hold at least one array")
    xp = array_module(*leaves(params))
    to = "np" if xp is np else "cupy"
    names = [f"{called}[{i}]" if isinstance(data, tuple) else called for i in range(len(arrays))]
    param = leaves(params)[0]
    stored = any(is_stored(array, is_cupy(param)) for array in arrays)
    for array, name in zip(arrays, names, strict=True):
        if not (is_array(array) or is_stored(array, True)):
            raise TypeError(
                f"{name} must be a NumPy or CuPy array, not {type(array).__name__}: pass "
                f"{_as_arrays(array, name, to)}"
            )
        if not array.shape:
            raise ValueError(f"{name} is 0-d: the examples must be along the first axis")
    lengths = [array.shape[0] for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays of {called} must have equal lengths, not {lengths}")
    if lengths[0] == 0:
        raise ValueError(f"{called} holds no examples")
    for array, name in zip(arrays, names, strict=True):
        if array_module(array) is not (np if stored else xp):
            raise TypeError(
                f"params are {xp.__name__} arrays, {name} is not: pass "
                f"{conversion(array, name, to)}"
                if not stored
                else f"{name} is on a GPU, and other data are in a file: pass cupy.asnumpy({name})"
            )
    if stored:
        arrays = Stored(arrays)
        arrays.param = param
    return arrays, xp


def _as_arrays(value: Any, name: str, to: str) -> str:
    """What to pass in place of data that are not arrays."""
    if isinstance(value, (Bindable, Optimizer)):
        return "it last, the order is gpuopt.fit(loss_and_grad, params, data, rule)"
    if isinstance(value, dict):
        return f"a tuple of arrays, tuple({name}.values())"
    if isinstance(value, list) and value and all(map(is_array, value)):
        return f"a tuple of arrays, tuple({name})"
    foreign = isinstance(value, list) and value and not isinstance(value[0], np.generic)
    if foreign and all(hasattr(type(v), "__array__") for v in value):
        return f"a tuple of arrays, tuple({to}.asarray(array) for array in {name})"
    return conversion(value, name, to)


def batch_size_of(batch_size: Any, count: int) -> int:
    takes = "batch_size (None takes all examples)"
    size = count if batch_size is None else whole(takes, batch_size, 1)
    if size > count:
        raise ValueError(
            f"batch_size is {size}, but data has {count} example{'s' * (count != 1)} "
            "(batch_size=None takes all of them)"
        )
    return size


def check_batch(name: str, function: Any, data: Any, called: str = "data") -> None:
    """Raise TypeError unless a function takes the parameters and a batch of `data`."""
    several = range(len(data)) if isinstance(data, tuple) else ()
    given = [f"{called}[{number}]" for number in several] or [called]

    def remedy(needed: list[str]) -> str:
        if not needed or name.startswith("metrics"):
            return "it must take params and a batch of each array"
        together = ", ".join(needed)
        return f"pass {called}={together if len(needed) == 1 else f'({together})'}"

    check_call(name, function, ["params", *given], remedy)

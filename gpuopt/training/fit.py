"""Training: forward pass, backward pass and update, batch after batch, with a record of the loss.

Nothing in the loop waits for a GPU: losses are written to an array there and read when an epoch is
over.
"""

from __future__ import annotations

import contextlib
import math
import operator
import time
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_array, optional_import
from gpuopt.arrays.foreign import conversion
from gpuopt.arrays.tree import leaves
from gpuopt.arrays.typed import AnyArray, ArrayTree, LossAndGrad
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import loss_scale_name, takes_back
from gpuopt.training.arguments import asks_to_stop, check_callback, remedy
from gpuopt.training.history import History

__all__ = ["History", "fit"]

Seed: TypeAlias = (  # a text, because NumPy imports its random numbers where they are asked for
    "int | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None"
)

_GATHER = 1024  # about how many examples are put in order at a time
_CHECK_EVERY = (
    64  # a finished epoch reads the device's losses once this many updates wait for their check
)


def fit(
    loss_and_grad: LossAndGrad,
    params: ArrayTree,
    data: AnyArray | tuple[AnyArray, ...],
    rule: Bindable | Optimizer,
    batch_size: SupportsIndex | None = 64,
    epochs: SupportsIndex = 10,
    shuffle: bool = True,
    seed: Seed = 0,
    progress: bool = False,
    callback: Callable[[History], object] | None = None,
) -> History:
    """Train `params` in place: forward pass, backward pass and one update for each batch.

    Parameters
    ----------
    loss_and_grad : callable
        ``loss_and_grad(params, *batch) -> (loss, grads)``: the forward and the backward pass. The
        loss is a real number or 0-d array, best the mean over the batch; the gradients have the
        structure of `params`.
    params : array, or lists, tuples or dicts of arrays
        The parameters, updated in place.
    data : array or tuple of arrays
        The examples along the first axis, the same number in every array, on the device of
        `params`.
    rule : Rule or Optimizer
        The rule that updates the parameters, or an optimizer of these very `params`, to continue
        its state.
    batch_size : int or None
        Examples per update. 1 is stochastic, more (typically a power of two) is mini-batch, None
        takes all (batch). The last batch of an epoch is short if the number of examples is no
        multiple.
    epochs : int
        Passes over the data.
    shuffle : bool
        Take the examples in a new random order each epoch. Otherwise, or if one batch holds all,
        batches are views of `data` in its own order.
    seed : int or numpy.random.Generator
        Determines the order. The host draws it, so it is the same on every backend. The same seed
        starts the same orders again; pass one generator to several calls to continue in its stream.
    progress : bool
        Show a progress bar; needs tqdm.
    callback : callable, optional
        ``callback(history)`` after each epoch; returning True stops.

    Returns
    -------
    History
        The loss of every update, and the number of epochs, updates and seconds.

    Raises
    ------
    FloatingPointError
        If a loss is not finite, and `gpuopt.backtrack` does not take back the step before; the
        message says at which update. A NumPy loss is checked before
        its update, so the parameters are those of the previous update. Losses on a GPU are checked
        after an epoch (after several if they are short), so later updates have already happened.
    TypeError, ValueError
        If an argument is not as described; nothing is altered then. Also if `loss_and_grad` returns
        anything else.
    """
    _check_options(loss_and_grad, shuffle, callback)
    arrays, xp = _check_data(data, params)
    count = len(arrays[0])
    size = _batch_size(batch_size, count)
    epochs = _integer("epochs", epochs, 0)
    optimizer = _optimizer(rule, params)
    rng = _generator(seed) if shuffle and size < count else None
    history = History(takes_back(optimizer.rule))
    start = time.perf_counter()
    with _progress_bar(progress, epochs * math.ceil(count / size)) as bar:
        for _ in range(epochs):
            for batch in _batches(arrays, size, rng, xp):
                loss, grads = check.loss_and_grads(loss_and_grad(params, *batch))
                history._add(loss, xp)
                optimizer.step(grads, loss)
                history.steps += 1
                history.examples += len(batch[0])
                if bar is not None:
                    bar.update()
            history.epochs += 1
            if history._unchecked >= _CHECK_EVERY or history.epochs == epochs:
                history._check()
            history.seconds = time.perf_counter() - start
            if callback is not None and asks_to_stop(callback(history)):
                history._check()
                break
    return history


def _batches(
    arrays: tuple[Any, ...], size: int, rng: np.random.Generator | None, xp: Any
) -> Iterator[tuple[Any, ...]]:
    """One epoch's batches, in the order drawn from `rng`, or in the given order without one."""
    count = len(arrays[0])
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
        yield from _batches(tuple(array[part] for array in arrays), size, None, xp)


def _check_options(loss_and_grad: Any, shuffle: Any, callback: Any) -> None:
    if not callable(loss_and_grad):
        raise TypeError(
            f"loss_and_grad must be callable, not {loss_and_grad!r}: the order is "
            "gpuopt.fit(loss_and_grad, params, data, rule)"
        )
    check_callback(callback)
    if not isinstance(shuffle, bool | np.bool_):
        raise TypeError(f"shuffle must be True or False, not {shuffle!r}")


def _generator(seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"seed must be a whole number of at least 0 or a numpy.random.Generator, not {seed!r}"
        ) from error


def _check_data(data: Any, params: Any) -> tuple[tuple[Any, ...], Any]:
    arrays = data if isinstance(data, tuple) else (data,)
    if not arrays:
        raise ValueError("data is an empty tuple: it must hold at least one array")
    xp = array_module(*leaves(params))
    to = "np" if xp is np else "cupy"
    names = [f"data[{i}]" if isinstance(data, tuple) else "data" for i in range(len(arrays))]
    for array, name in zip(arrays, names, strict=True):
        if not is_array(array):
            raise TypeError(
                f"{name} must be a NumPy or CuPy array, not {type(array).__name__}: pass "
                f"{_as_arrays(array, name, to)}"
            )
        if not array.shape:
            raise ValueError(f"{name} is 0-d: the examples must lie along the first axis")
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays of data must have one length, not {lengths}")
    if lengths[0] == 0:
        raise ValueError("data holds no examples")
    for array, name in zip(arrays, names, strict=True):
        if array_module(array) is not xp:
            raise TypeError(
                f"params are {xp.__name__} arrays, {name} is not: pass "
                f"{conversion(array, name, to)}"
            )
    return arrays, xp


def _as_arrays(value: Any, name: str, to: str) -> str:
    """What to pass in place of data that are no array."""
    if isinstance(value, (Bindable, Optimizer)):
        return "it last, the order is gpuopt.fit(loss_and_grad, params, data, rule)"
    if isinstance(value, dict):
        return f"a tuple of arrays, tuple({name}.values())"
    if isinstance(value, list) and value and all(map(is_array, value)):
        return f"a tuple of arrays, tuple({name})"
    if isinstance(value, list) and value and all(hasattr(type(v), "__array__") for v in value):
        return f"a tuple of arrays, tuple({to}.asarray(array) for array in {name})"
    return conversion(value, name, to)


def _batch_size(batch_size: Any, count: int) -> int:
    size = count if batch_size is None else _integer("batch_size", batch_size, 1)
    if size > count:
        raise ValueError(
            f"batch_size is {size}, but data has {count} examples (batch_size=None takes all of "
            "them)"
        )
    return size


def _optimizer(rule: Bindable | Optimizer, params: Any) -> Optimizer:
    if not isinstance(rule, Optimizer):
        if not isinstance(rule, Bindable):
            raise TypeError(
                f"rule must be a rule such as Adam() or an Optimizer, not {rule!r}{remedy(rule)}"
            )
        made = rule.init(params)
        if loss_scale_name(rule) is not None:
            raise ValueError(
                f"{rule!r} divides the gradients by a scale that loss_and_grad must multiply the "
                "loss by: make "
                "opt = rule.init(params), use opt.loss_scale, and pass opt in place of the rule"
            )
        return made
    own, given = leaves(rule.params), leaves(params)
    if len(own) != len(given) or any(a is not b for a, b in zip(own, given, strict=True)):
        raise ValueError(
            "the optimizer was made for other arrays than params: pass its own, optimizer.params"
        )
    return rule


def _integer(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def _progress_bar(progress: bool, updates: int) -> Any:
    if not progress:
        return contextlib.nullcontext()
    return optional_import("tqdm", "progress=True").tqdm(total=updates, unit="update")

"""Measures validation data after each epoch of a training, and says whether to stop."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from gpuopt.arrays import check
from gpuopt.arrays.backend import is_array, is_cupy
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.options import brief, number, whole
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.training.data import batches, check_batch, checked
from gpuopt.training.history import History

__all__ = ["Validation"]


class Validation:
    """The means of the loss and of metrics over validation data.

    Parameters
    ----------
    data, metrics, patience, min_delta
        As in `fit`.
    params
        Those of the training.
    loss_and_grad : callable
    size : int
        How many examples are measured at a time.
    """

    def __init__(
        self,
        data: Any,
        params: Any,
        loss_and_grad: Any,
        size: int,
        metrics: Any,
        patience: Any,
        min_delta: Any,
    ) -> None:
        self._metrics = _checked_metrics(metrics)
        self._patience = None if patience is None else whole("patience", patience, 1)
        self._least_fall = number("min_delta", min_delta)
        if self._least_fall and patience is None:
            raise ValueError(
                f"min_delta={min_delta!r} has no effect without patience: give both, patience=5 too"
            )
        self._loss_and_grad, self._size, self._data = loss_and_grad, size, None
        if data is not None:
            self._data, self._xp = checked(data, params, "validation")
            check_batch("loss_and_grad", loss_and_grad, data, "validation")
            for name, metric in self._metrics.items():
                check_batch(f"metrics[{name!r}]", metric, data, "validation")
        elif self._metrics or patience is not None:
            given = "metrics" if self._metrics else "patience"
            raise ValueError(f"{given} needs validation data: give validation=(x, y)")

    def measure(self, history: History, optimizer: Optimizer, before: Callable[[], None]) -> None:
        """Add the means to the record, over the data of all processes; `before` is called first.

        If this process is the only one, nothing waits for a GPU.
        """
        if self._data is None:
            return
        params, data = optimizer.evaluation(), self._data

        def means() -> tuple[int, list[Any]]:
            before()
            return self._means(params, data)

        loss, *metrics = optimizer._processes.means("fit", means)
        history._validation.append(loss)
        for name, mean in zip(self._metrics, metrics, strict=True):
            history._metrics.setdefault(name, []).append(mean)

    def _means(self, params: Any, data: tuple[Any, ...]) -> tuple[int, list[Any]]:
        """The means here, and how many examples they are of."""
        count, xp = data[0].shape[0], self._xp
        loss = xp.zeros((), "float64")
        means = {name: xp.zeros((), "float64") for name in self._metrics}
        for batch in batches(data, min(self._size, count), None, xp):
            part = len(batch[0]) / count
            loss += _here(check.loss_and_grads(self._loss_and_grad(params, *batch))[0]) * part
            for name, metric in self._metrics.items():
                means[name] += _number(name, metric(params, *batch)) * part
        return count, [loss, *means.values()]

    @property
    def described(self) -> str:
        """What is measured."""
        return "nothing" if self._data is None else ", ".join(["the loss", *self._metrics])

    def stops(self, history: History) -> bool:
        """Whether the loss has not fallen for `patience` epochs."""
        if self._patience is None:
            return False
        least, at, losses = math.inf, 0, history.validation
        for epoch, loss in enumerate(losses, 1):
            if loss < least - self._least_fall:
                least, at = loss, epoch
        return len(losses) - at >= self._patience


def _checked_metrics(metrics: Any) -> Mapping[str, Callable[..., Any]]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise TypeError(
            "metrics must be a dict of functions by name, such as {'accuracy': accuracy}, which "
            f"are called as accuracy(params, *batch); got {brief(metrics)}"
        )
    return metrics


def _number(name: str, value: Any) -> Any:
    """The result of a metric, which must be one real number."""
    value = shared(value, f"metrics[{name!r}]")
    single = value.shape == () and value.dtype.kind in "biufV" if is_array(value) else None
    if single or (single is None and isinstance(value, numbers.Real)):
        return _here(value)
    found = f"{type(value).__name__} of shape {value.shape}" if is_array(value) else repr(value)
    raise TypeError(
        f"metrics[{name!r}] must return a real number or a 0-d array, got {found}: return the "
        "mean over the batch"
    )


def _here(value: Any) -> Any:
    """A number as an array of its device, or as a float."""
    return value if is_cupy(value) else float(value)

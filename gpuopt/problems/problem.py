"""The base of problems: a start, a function with its gradient, and a solution."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np

from gpuopt.arrays import backend
from gpuopt.arrays.options import whole

__all__ = ["Examples", "Problem"]

_MODULES = ("numpy", "cupy")
_DTYPES = {"float32": "complex64", "float64": "complex128"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A function to minimize; the base of `gpuopt.problems`.

    Parameters
    ----------
    xp : module, optional
        The library of its arrays, ``numpy`` or ``cupy``. The default is that of `gpuopt.xp`.
    dtype : {"float64", "float32"}
        The dtype of its arrays. Complex arrays have the same precision.
    """

    xp: Any = dataclasses.field(default=None, repr=False)
    dtype: str = "float64"

    def __post_init__(self) -> None:
        object.__setattr__(self, "xp", backend.xp() if self.xp is None else self.xp)
        if getattr(self.xp, "__name__", "") not in _MODULES:
            name = self.xp if self.xp in _MODULES else "numpy"
            raise TypeError(
                f"xp must be the module numpy or cupy, got {self.xp!r}: write import {name}, and "
                f"pass xp={name}"
            )
        for field in dataclasses.fields(self):
            if field.type == "int":
                whole(field.name, getattr(self, field.name), 0 if field.name == "seed" else 1)
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be {' or '.join(map(repr, _DTYPES))}, got {self.dtype!r}")

    @property
    def x0(self) -> Any:
        """The starting point: a new array, or tree of arrays, each time."""
        raise NotImplementedError

    @property
    def solution(self) -> Any:
        """A point where the function has its minimum. There may be others."""
        raise NotImplementedError

    @property
    def minimum(self) -> float:
        """The smallest value of the function."""
        return float(self.fun(self.solution)[0])

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval of each element of x, for `minimize`; None if x is free."""
        return None

    def fun(self, x: Any) -> tuple[Any, Any]:
        """The value and the gradient at `x`. On a GPU, both stay there."""
        raise NotImplementedError

    def __call__(self, x: Any) -> tuple[Any, Any]:
        """The same as `fun`."""
        return self.fun(x)

    def __getstate__(self) -> dict[str, Any]:
        made = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {**made, "xp": self.xp.__name__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, xp=importlib.import_module(state["xp"]))

    def array(self, values: Any) -> Any:
        """An array of the problem's library and precision."""
        host = np.asarray(values)
        dtype = _DTYPES[self.dtype] if host.dtype.kind == "c" else self.dtype
        return self.xp.asarray(host.astype(dtype))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples(Problem):
    """A mean over examples, for `gpuopt.fit`: ``fit(problem, problem.x0, problem.data, rule)``."""

    @property
    def data(self) -> tuple[Any, ...]:
        """Arrays with one example in each row."""
        raise NotImplementedError

    def loss_and_grad(self, x: Any, *batch: Any) -> tuple[Any, Any]:
        """The mean loss of a batch of `data`, and its gradient."""
        raise NotImplementedError

    def fun(self, x: Any) -> tuple[Any, Any]:
        return self.loss_and_grad(x, *self.data)

    def __call__(self, x: Any, *batch: Any) -> tuple[Any, Any]:
        """The loss and its gradient: of a batch, or of all `data`."""
        return self.loss_and_grad(x, *(batch or self.data))

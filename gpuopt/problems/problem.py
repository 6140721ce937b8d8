"""What a problem has: a start, a function with its gradient, and a point where it is minimal."""

from __future__ import annotations

import dataclasses
import importlib
import numbers
from typing import Any

import numpy as np

from gpuopt.arrays import backend

__all__ = ["Examples", "Problem"]

_MODULES = ("numpy", "cupy")
_DTYPES = {"float32": "complex64", "float64": "complex128"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A function to minimize; the base of `gpuopt.problems`.

    Parameters
    ----------
    xp : module, optional
        The library of its arrays, ``numpy`` or ``cupy``: that of `gpuopt.xp` if none is given.
    dtype : {"float64", "float32"}
        Of its arrays; complex arrays are as precise.
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
            number = getattr(self, field.name)
            whole = isinstance(number, numbers.Integral) and int(number) >= 1
            if field.type == "int" and field.name != "seed" and not whole:
                raise ValueError(f"{field.name} must be a whole number above 0, got {number!r}")
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be {' or '.join(map(repr, _DTYPES))}, got {self.dtype!r}")

    @property
    def x0(self) -> Any:
        """Where methods begin: a new array, or tree of arrays, each time it is asked for."""
        raise NotImplementedError

    @property
    def solution(self) -> Any:
        """A point where the function has its minimum; there may be others."""
        raise NotImplementedError

    @property
    def minimum(self) -> float:
        """The smallest value of the function."""
        return float(self.fun(self.solution)[0])

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval of each element of x, as `minimize` takes it; None if x is free."""
        return None

    def fun(self, x: Any) -> tuple[Any, Any]:
        """The value at `x`, and the gradient; on a GPU both stay there."""
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
    """A mean over examples, for `gpuopt.fit`: ``fit(p.loss_and_grad, p.x0, p.data, rule)``."""

    @property
    def data(self) -> tuple[Any, ...]:
        """Arrays with an example in each row."""
        raise NotImplementedError

    def loss_and_grad(self, x: Any, *batch: Any) -> tuple[Any, Any]:
        """The mean loss of a batch of `data`, and its gradient."""
        raise NotImplementedError

    def fun(self, x: Any) -> tuple[Any, Any]:
        return self.loss_and_grad(x, *self.data)

    def __call__(self, x: Any, *batch: Any) -> tuple[Any, Any]:
        """The loss and its gradient: of a batch, or of all `data`."""
        return self.loss_and_grad(x, *(batch or self.data))

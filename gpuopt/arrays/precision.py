"""Options for parameters of 16 bits, which have a float32 copy or are rounded at random, and for
state of 16 or 8 bits.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE, named
from gpuopt.arrays.dynamic8 import SMALLEST
from gpuopt.arrays.options import flag

__all__ = ["MASTER", "STATE_DTYPES", "Precision"]

MASTER = "master"
"""The name of the state with the float32 copies."""
STATE_DTYPES = ("bfloat16", "dynamic8")
"""What `state_dtype` may be, beside None."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """The options of `init` for parameters of 16 bits and for state; the `seed` is 0 if no rounding
    needs it.

    Raises
    ------
    TypeError, ValueError
        If a value is not allowed, or both options for parameters are set.
    ModuleNotFoundError
        If the dtype of the state is not installed.
    """

    master: bool = False
    stochastic_rounding: bool = False
    seed: int = 0
    state_dtype: str | None = None

    def __post_init__(self) -> None:
        for name in ("master", "stochastic_rounding"):
            object.__setattr__(self, name, flag(f"init: {name}", getattr(self, name)))
        seed = (
            None
            if isinstance(self.seed, (bool, np.bool_)) or not hasattr(self.seed, "__index__")
            else self.seed
        )
        if seed is None:
            raise TypeError(
                f"init: seed must be a whole number from 0 to 2**32 - 1, got {self.seed!r}"
            )
        if not 0 <= operator.index(seed) < 2**32:
            raise ValueError(f"init: seed must be from 0 to 2**32 - 1, got {seed!r}")
        if self.master and self.stochastic_rounding:
            raise ValueError(
                "init: master=True and stochastic_rounding=True exclude each other: choose one (a "
                "master copy loses nothing when it is rounded to nearest)"
            )
        self._check_state_dtype()
        rounds = self.stochastic_rounding or self.state_dtype is not None
        object.__setattr__(self, "seed", operator.index(seed) if rounds else 0)

    def _check_state_dtype(self) -> None:
        asked = self.state_dtype
        if asked is None:
            return
        if not isinstance(asked, str) or asked not in STATE_DTYPES:
            wrong = ValueError if isinstance(asked, str) else TypeError
            allowed = " or ".join(map(repr, STATE_DTYPES))
            raise wrong(f"init: state_dtype must be None, {allowed}, got {asked!r}")
        try:
            named("float32" if asked == "dynamic8" else asked)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"init: state_dtype={asked!r} needs ml_dtypes, which is not installed "
                "(pip install ml_dtypes)"
            ) from error

    def check(self, arrays: Iterable[tuple[str, np.dtype[Any]]], states: Collection[str]) -> None:
        """Raise ValueError if these dtypes of arrays, or these states, do not allow it."""
        if self.master and MASTER in states:
            raise ValueError(
                f"init: the rule has a state called {MASTER!r}, the name of the copies of "
                "master=True: rename it"
            )
        for path, dtype in arrays:
            if self.stochastic_rounding and dtype.name == "float16":
                raise ValueError(
                    f"params{path} is float16, and stochastic_rounding is for bfloat16: use "
                    "master=True, or bfloat16"
                )
            if self.state_dtype is not None and COMPUTE[dtype.name].itemsize > 4:
                raise ValueError(
                    f"params{path} is {dtype.name}, and state_dtype={self.state_dtype!r} is for "
                    "arrays that are computed in float32: leave it out, or make the array "
                    f"{'complex64' if dtype.kind == 'c' else 'float32'}"
                )

    def of(self, dtype: np.dtype[Any]) -> Precision:
        """The options that apply to arrays of that dtype."""
        if dtype.itemsize == 2 or self.state_dtype is None:
            return self if dtype.itemsize == 2 else PLAIN
        return Precision(seed=self.seed, state_dtype=self.state_dtype)

    def of_array(self, path: str, array: Any, beside: Mapping[str, Any], by_row: bool) -> Precision:
        """The options that apply to an array; `beside` it stand others for hyperparameters.

        State is not coded in 8 bits for a small array, a complex one, and one updated `by_row`.

        Raises
        ------
        ValueError
            If it is to be coded, and the elements do not lie one after another in C order.
        """
        if self.state_dtype != "dynamic8":
            return self
        if by_row or array.dtype.kind == "c" or array.size < SMALLEST:
            return dataclasses.replace(self, state_dtype=None)
        codes = "state_dtype='dynamic8' codes 256 elements that follow one another in C order"
        if not array.flags.c_contiguous:
            raise ValueError(
                f"params{path} has gaps or another memory order, and {codes}: pass "
                f"params{path}.copy()"
            )
        for name, x in beside.items():
            if not x.flags.c_contiguous:
                raise ValueError(
                    f"{name} of params{path} has another shape than the parameter, gaps or another "
                    f"memory order, and {codes}: pass np.broadcast_to({name}, {array.shape}).copy()"
                )
        return self

    def __str__(self) -> str:
        """The arguments of `init` that differ from their defaults."""
        changed = [
            (f.name, getattr(self, f.name))
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return ", ".join(f"{name}={value!r}" for name, value in changed)


PLAIN = Precision()

"""Options for 16-bit parameters: a float32 copy of each, or rounding at random."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

__all__ = ["MASTER", "Precision"]

MASTER = "master"
"""The name of the state with the float32 copies."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """The options of `init` for 16-bit parameters; the `seed` is 0 if no rounding needs it.

    Raises
    ------
    TypeError, ValueError
        If a value is not allowed, or both options are set.
    """

    master: bool = False
    stochastic_rounding: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("master", "stochastic_rounding"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"init: {name} must be True or False, got {value!r}")
            object.__setattr__(self, name, bool(value))
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
                "init: master=True and stochastic_rounding=True exclude each other: a master copy "
                "is rounded to nearest, and loses nothing by it; choose one"
            )
        object.__setattr__(self, "seed", operator.index(seed) if self.stochastic_rounding else 0)

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

    def of(self, dtype: np.dtype[Any]) -> Precision:
        """The options that apply to arrays of that dtype."""
        return self if dtype.itemsize == 2 else PLAIN

    def __str__(self) -> str:
        """The arguments of `init` that differ from their defaults."""
        changed = [
            (f.name, getattr(self, f.name))
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return ", ".join(f"{name}={value}" for name, value in changed)


PLAIN = Precision()

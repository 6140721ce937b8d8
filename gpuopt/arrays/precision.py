"""How parameters of 16 bits keep what their dtype cuts off: by a float32 copy, or on average by rounding at random."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

__all__ = ["MASTER", "Precision"]

MASTER = "master"
"""What the state is called that holds the float32 copies."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """What `init` was asked for; the `seed` is 0 where no rounding needs it.

    Raises
    ------
    TypeError, ValueError
        Where a value is none that it may be, or both ways are asked for.
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
        seed = None if isinstance(self.seed, (bool, np.bool_)) or not hasattr(self.seed, "__index__") else self.seed
        if seed is None:
            raise TypeError(f"init: seed must be a whole number from 0 to 2**32 - 1, got {self.seed!r}")
        if not 0 <= operator.index(seed) < 2**32:
            raise ValueError(f"init: seed must be from 0 to 2**32 - 1, got {seed!r}")
        if self.master and self.stochastic_rounding:
            raise ValueError(
                "init: master=True and stochastic_rounding=True exclude each other: a master copy is rounded to nearest, and "
                "loses nothing by it; choose one"
            )
        object.__setattr__(self, "seed", operator.index(seed) if self.stochastic_rounding else 0)

    def check(self, arrays: Iterable[tuple[str, np.dtype[Any]]], states: Collection[str]) -> None:
        """Raise ValueError where it cannot be had for arrays of these paths and dtypes, and rules with these states."""
        if self.master and MASTER in states:
            raise ValueError(
                f"init: the rule has a state of its own called {MASTER!r}, as the copies of master=True are called: rename it"
            )
        for path, dtype in arrays:
            if self.stochastic_rounding and dtype.name == "float16":
                raise ValueError(
                    f"params{path} is float16, and stochastic_rounding is for bfloat16: use master=True, or bfloat16"
                )

    def of(self, dtype: np.dtype[Any]) -> Precision:
        """What of it there is for arrays of that dtype."""
        return self if dtype.itemsize == 2 else PLAIN

    def __str__(self) -> str:
        """The arguments of `init` that differ from their defaults."""
        changed = [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        return ", ".join(f"{name}={value}" for name, value in changed)


PLAIN = Precision()

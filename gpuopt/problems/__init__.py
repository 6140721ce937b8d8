"""Functions to try a method with: their starting point, gradient and minimum.

Each problem can be called, ``problem(x) -> (value, gradient)``, so `gpuopt.minimize` takes it. It
has a start ``x0``, and a ``solution``, where its value is the ``minimum``. The problems of
`learning` are means over examples, for `gpuopt.fit`. All compute with NumPy and CuPy. Imports:
arrays. `gpuopt` imports this wing on first use.
"""

from typing import TYPE_CHECKING

from gpuopt.problems.functions import (
    Beale,
    Booth,
    Himmelblau,
    PhaseRetrieval,
    Quadratic,
    Rosenbrock,
    StyblinskiTang,
)
from gpuopt.problems.learning import LogisticRegression, Network, Reddi
from gpuopt.problems.problem import Examples, Problem
from gpuopt.rules.elsewhere import not_in

__all__ = [
    "Beale",
    "Booth",
    "Examples",
    "Himmelblau",
    "LogisticRegression",
    "Network",
    "PhaseRetrieval",
    "Problem",
    "Quadratic",
    "Reddi",
    "Rosenbrock",
    "StyblinskiTang",
]

if not TYPE_CHECKING:  # to a type checker any name would then be one of the module's
    __getattr__ = not_in(__name__, __all__)

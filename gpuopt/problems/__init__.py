"""Functions to try a method with: where they begin, their gradient, and their minimum.

Each is an object with a start ``x0``, ``fun(x) -> (value, gradient)``, which `gpuopt.minimize`
takes, and ``solution``, a point at which it has its ``minimum``. Those of `learning` are means over
examples, for `gpuopt.fit`. All compute with NumPy and CuPy. Imports: arrays. `gpuopt` imports it
when it is asked for.
"""

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

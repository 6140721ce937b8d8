"""Methods of `minimize` that call the function themselves: what they cost beside it."""

import functools

import numpy as np

from .common import TURNS, best_of, go, measure

METHODS = ["LBFGS", "NonlinearCG", "ProximalGradient"]
SIZES = [1_000, 100_000]
ITERATIONS = 20


class Searches:
    """The time of an iteration with its calls of half the sum of h x^2, of so many curvatures h, in float64."""

    params = (METHODS, SIZES)
    param_names = ("method", "size")

    def setup(self, method, size):
        if not hasattr(go, method):
            raise NotImplementedError(f"gpuopt.{method} is newer than this commit")
        fun = functools.partial(_quadratic, np.logspace(-4, 0, size))
        self.search = functools.partial(
            go.minimize, fun, np.ones(size), getattr(go, method)(), maxiter=ITERATIONS, gtol=0.0, copy=False
        )

    def track_iteration(self, method, size):
        done = self.search().nit
        return 1e6 * best_of(measure.in_turns({"search": self.search}, TURNS, _nothing)["search"]) / done

    track_iteration.unit = "µs"
    track_iteration.pretty_name = "Time of an iteration of a line search"
    track_iteration.version = "1"


def _quadratic(h, x):
    g = h * x
    return 0.5 * float(g @ x), g


def _nothing():
    """There is no device to wait for."""

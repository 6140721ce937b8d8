"""Mistakes in the loops around an optimizer."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the short batch at the end left out",
        "fit:_batches",
        "range(0, count, size)",
        "range(0, count - size + 1, size)",
        "test_fit",
    ),
    Mistake(
        "a loss looked at after its update",
        "fit",
        "_1._add(__1)\n_2.step(_3)",
        "_2.step(_3)\n_1._add(__1)",
        "test_fit",
    ),
    Mistake(
        "losses of the last epochs never looked at",
        "fit",
        "_1 >= _CHECK_EVERY or _2",
        "_1 >= _CHECK_EVERY",
        "test_fit",
    ),
    Mistake(
        "a mean at the beginning of losses that are not there",
        "running_mean",
        "np.minimum(_1, window)",
        "window",
        "test_fit::test_running_mean",
    ),
    Mistake(
        "an update that leaves the bounds",
        "minimize",
        "_1.step(_2)\n_3(_4)",
        "_1.step(_2)",
        "test_minimize",
    ),
    Mistake(
        "the worst of the values that were seen",
        "minimize",
        "_1.fun <= _2.fun",
        "_1.fun >= _2.fun",
        "test_minimize",
    ),
    Mistake(
        "a gradient that is not finite",
        "minimize:_result",
        "not math.isfinite(_1) or not math.isfinite(_2)",
        "not math.isfinite(_1)",
        "test_minimize",
    ),
    Mistake(
        "convergence told by the gradient where there are bounds",
        "minimize:_result",
        "_1 - _2(_1 - _3)",
        "_3",
        "test_minimize",
    ),
]

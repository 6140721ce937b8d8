"""Mistakes in the methods of `minimize` that call the function themselves."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "a step that the value alone accepts",
        "Wolfe.accept",
        "flat and _1",
        "_1",
        "test_wolfe",
    ),
    Mistake(
        "a step that the slope alone accepts",
        "Wolfe.accept",
        "flat and _1",
        "flat",
        "test_wolfe",
    ),
    Mistake(
        "any value taken for lower",
        "wolfe:wolfe",
        "best if _1 and sought.lower(best) else None",
        "best",
        "test_wolfe test_methods",
    ),
    Mistake(
        "values compared that rounding hides",
        "wolfe:_narrowed",
        "abs(_1 - _2) <= noise",
        "False",
        "test_wolfe",
    ),
    Mistake(
        "what is not finite taken for a high value",
        "wolfe:wolfe",
        "map(math.isfinite, _1)",
        "map(bool, _1)",
        "test_wolfe",
    ),
    Mistake(
        "a step beyond where the function is not finite",
        "wolfe:_next_step",
        "min(high, _1)",
        "high",
        "test_wolfe test_methods",
    ),
    Mistake(
        "the wrong root of the cubic",
        "wolfe:_cubic",
        "_1 - a.slope + theta",
        "theta - _1 - a.slope",
        "test_wolfe",
    ),
    Mistake(
        "the memory in the order of time in both loops",
        "lbfgs:_direction",
        "zip(pairs, reversed(parts), strict=True)",
        "zip(pairs, parts, strict=True)",
        "test_methods",
    ),
    Mistake(
        "the Hessian of nothing for the first guess",
        "lbfgs:_direction",
        "g = g / (rho * dot(y, y))",
        "pass",
        "test_methods",
    ),
    Mistake(
        "a memory without an end",
        "LBFGS.advance",
        "_1[-self.memory:]",
        "_1",
        "test_methods",
    ),
    Mistake(
        "what misleads is never forgotten",
        "LBFGS.advance",
        "self.advance(_1, _2) if pairs else None",
        "None",
        "test_methods",
    ),
    Mistake(
        "conjugate gradients that never begin anew",
        "conjugate:_direction",
        "_1 > 0.2 * _2",
        "_1 > np.inf * _2",
        "test_methods",
    ),
    Mistake(
        "the sum of complex numbers for their inner product",
        "Problem._pairs",
        "wide.reshape(-1).view(self._dtype)",
        "np.concatenate([wide.real.reshape(-1), wide.imag.reshape(-1)])",
        "test_methods",
    ),
    Mistake(
        "x itself given away, and altered there",
        "Problem.tree",
        "array.copy()",
        "array",
        "test_methods",
    ),
    Mistake(
        "a wandering in noise that never ends",
        "ByMethod.step",
        "not (_1 and _2)",
        "True",
        "test_methods",
    ),
    Mistake(
        "momentum that leads uphill",
        "ProximalGradient.advance",
        "self.accelerate and _1 < 0",
        "False",
        "test_proximal",
    ),
    Mistake(
        "a step size that is never halved",
        "ProximalGradient.advance",
        "not self.search or _1",
        "True",
        "test_proximal",
    ),
    Mistake(
        "a difference of values that rounding hides",
        "proximal:_is_below",
        "_1 <= _CLOSE * _2 * _3",
        "False",
        "test_proximal",
    ),
    Mistake(
        "the gradient of the function for that of the whole problem",
        "ProximalGradient.start",
        "point._replace(optimality=_1)",
        "point",
        "test_proximal",
    ),
    Mistake(
        "functions of arrays by their place in a dict",
        "prox:proximal",
        "spec.match(prox, 'prox')",
        "list(prox.values())",
        "test_proximal",
    ),
]

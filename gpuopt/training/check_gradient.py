"""Check a gradient written by hand, and name the convention that a wrong one follows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gpuopt.arrays.options import generator, whole
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.arguments import check_call, start
from gpuopt.training.descent import largest
from gpuopt.training.given import Start, ValueAndGradient
from gpuopt.training.leaf_check import Leaf, LeafCheck
from gpuopt.training.objective import Objective

__all__ = ["GradientCheck", "check_gradient"]

_REMEDIES = {
    "conjugated": "return np.conj of it: the gradient is dL/dx + 1j * dL/dy",
    "half": "return 2 times it: of a complex array the gradient is dL/dx + 1j * dL/dy, which is "
    "2 * dL/d(conj z)",
    "double": "return half of it",
    "negated": "return it with the other sign",
    "transposed": "return its transpose",
    "missing": "it is 0, but the value depends on the array",
}


@dataclasses.dataclass(frozen=True)
class GradientCheck:
    """What `check_gradient` found; ``print`` it.

    Attributes
    ----------
    ok : bool
        Whether the gradient is right, within rounding.
    verdict : str
        About the worst array: ``"right"``, ``"conjugated"``, ``"half"``, ``"double"``,
        ``"negated"``, ``"transposed"``, ``"missing"`` (it is 0), or ``"wrong"`` (in another way, or
        in two ways).
    leaf : str
        The path of the worst array, such as ``x['probe']``.
    index : tuple of int or None
        If the gradient is wrong, its element with the largest error.
    error : float
        The largest error of a derivative along a direction, relative to the gradient.
    leaves : tuple
        The ``path``, ``verdict`` and ``error`` of each array.
    """

    ok: bool
    verdict: str
    leaf: str
    index: tuple[int, ...] | None
    error: float
    leaves: tuple[Leaf, ...]

    def __str__(self) -> str:
        if self.ok:
            hidden = [leaf.path for leaf in self.leaves if leaf.hidden]
            but = f"\n  rounding hides it: {', '.join(hidden)}" if hidden else ""
            found = f"the largest error is {self.error:.1e}, of {self.leaf}"
            return f"The gradient is right: {found}.{but}"
        worst = next(leaf for leaf in self.leaves if leaf.path == self.leaf)
        what = " and ".join(worst.names) or self.verdict
        lines = [f"The gradient of {self.leaf} is {what}: its error is {self.error:.1e}."]
        lines += [
            f"  {name}: {_REMEDIES[name]}"
            for name in worst.names or (self.verdict,)
            if name in _REMEDIES
        ]
        if worst.coarse:
            lines.append(
                "  if the loss has kinks, such as abs(w) at 0, moves in float32 may cross them: "
                "check with arrays in float64"
            )
        if self.index:
            lines.append(
                f"  the largest error is at {self.leaf}[{', '.join(map(str, self.index))}]"
            )
        if len(self.leaves) > 1:
            width = max(len(leaf.path) for leaf in self.leaves)
            lines += [
                f"  {one.path:{width}}  {one.verdict:10}  {one.error:.1e}" for one in self.leaves
            ]
        return "\n".join(lines)


@by_known_names("gpuopt.check_gradient(fun, x)")
def check_gradient(
    fun: ValueAndGradient, x: Start, *args: Any, directions: int = 8, seed: int = 0
) -> GradientCheck:
    """Compare a gradient with central differences along random directions.

    One array of `x` moves at a time. The length of the moves follows from the rounding of `fun`,
    which is estimated. `x` does not change, because `fun` gets copies. Check at a point where the
    gradient is not small: at a minimum, rounding hides every mistake. A move in float32 may be too
    long to avoid a kink of the loss, such as ``abs(w)`` at 0; one in float64 is much shorter.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> (value, gradient)``, as for `minimize`. The gradient of a complex array
        is ``dL/dx + 1j * dL/dy``.
    x : array, or lists, tuples and dicts of arrays, nested
        The point to check at, real or complex, of any dtype.
    *args
        Further arguments of `fun`.
    directions : int
        How many for each array. `fun` is called about ``100 + 6 * directions`` times for each
        array, and more often if its gradient is wrong, to find the mistake and the element.
    seed : int
        Determines the directions.

    Returns
    -------
    GradientCheck
        It has ``ok``, ``verdict``, ``leaf``, ``index`` and ``error``. Its ``str`` says what to
        change.

    Raises
    ------
    ValueError
        If a value or the gradient is not finite at `x`.
    TypeError
        If `fun` does not return a pair as described.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> def fun(z):  # by Wirtinger's derivative, dL/d(conj z)
    ...     return float((abs(z) ** 4).sum()), 2 * abs(z) ** 2 * z
    >>> found = go.check_gradient(fun, np.array([1 + 2j, 3 - 1j]))
    >>> found.ok, found.verdict
    (False, 'half')
    """
    directions = whole("directions", directions, 1, floats=True)
    spec = start(x)
    objective = Objective(fun, True, args, spec, True)
    given = ["x", *(f"args[{number}]" for number in range(len(args)))]
    order = "write gpuopt.check_gradient({})"
    check_call("fun", fun, given, lambda needed: order.format(", ".join(["fun", "x", *needed])))
    value, gradients = objective(spec.leaves)
    if not math.isfinite(float(value)):
        raise ValueError(f"fun is not finite at x: its value is {float(value)}")
    if not math.isfinite(largest(gradients)):
        raise ValueError("the gradient is not finite at x")
    rng = generator(seed)
    checks = [
        LeafCheck(objective, spec, k, gradient, rng, directions)
        for k, gradient in enumerate(gradients)
        if gradient.size
    ]
    leaves = tuple(check.leaf() for check in checks)
    worst = max(
        range(len(leaves)),
        key=lambda k: (leaves[k].verdict != "right", leaves[k].error),
        default=None,
    )
    if worst is None:
        raise ValueError("x holds no elements: there is no gradient to check")
    found = leaves[worst]
    ok = found.verdict == "right"
    index = None if ok else checks[worst].farthest()
    return GradientCheck(ok, found.verdict, found.path, index, found.error, leaves)

"""The result of `minimize`, with the reason why it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["OptimizeResult", "ended"]

MESSAGES = {
    -1: "The minimization continues.",
    0: "The gradient became no larger than gtol.",
    1: "The number of iterations reached maxiter.",
    2: "The function's value or gradient is not finite; x is the best found.",
    3: "The value fell by no more than ftol within patience iterations.",
    4: "No smaller value was found: the rounding of the value ends the descent, or the gradient is "
    "wrong (gpuopt.check_gradient tells).",
    98: "The minimization was interrupted.",
    99: "The callback asked to stop.",
}


class OptimizeResult(dict[str, Any]):
    """The result of `minimize`; its entries are attributes too, as in SciPy's class of that name.

    Attributes
    ----------
    x : array, or lists, tuples and dicts of arrays, nested
        The best point found, with the structure, shapes and device of ``x0``.
    fun : float
        The function's value there.
    jac
        The gradient there, like x.
    nit, nfev, njev : int
        The number of updates, and of calls of the function and of the gradient.
    success : bool
        Whether the gradient became no larger than ``gtol``, at x or at a later point with a larger
        value; or whether the value no longer fell, by ``ftol`` and ``patience``.
    status : int
        0 converged, 1 ``maxiter`` reached, 2 a value or gradient is not finite, 3 the value no
        longer fell, 4 a line search found no smaller value, 98 interrupted, 99 stopped by the
        callback, -1 not yet ended (in callbacks and in `iterate`).
    message : str
        The status in words.
    optimality : float
        From `iterate` only: the number that is compared with ``gtol``.
    opt : Optimizer
        From `iterate` with a rule only.
    """

    if TYPE_CHECKING:
        x: Any
        fun: float
        jac: Any
        nit: int
        nfev: int
        njev: int
        success: bool
        status: int
        message: str
        optimality: float
        opt: Any
    else:

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(name) from None

        __setattr__ = dict.__setitem__
        __delattr__ = dict.__delitem__

    def __dir__(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return "\n".join(f"{name:>8}: {value!r}" for name, value in self.items())


def ended(
    point: dict[str, Any], status: int, nit: int, calls: int, message: str = ""
) -> OptimizeResult:
    """The result at `point` (its x, fun and jac) after `nit` updates and `calls` calls."""
    return OptimizeResult(
        **point,
        nit=nit,
        nfev=calls,
        njev=calls,
        success=status in (0, 3),
        status=status,
        message=message or MESSAGES[status],
    )

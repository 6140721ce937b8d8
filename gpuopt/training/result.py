"""What `minimize` returns, and how it says why it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["OptimizeResult", "ended"]

MESSAGES = {
    0: "The gradient is no larger than gtol.",
    1: "The number of iterations reached maxiter.",
    2: "The function's value or gradient is not finite; x is the best found before.",
    99: "The callback asked to stop.",
}


class OptimizeResult(dict[str, Any]):
    """The result of `minimize`; its entries are attributes too, as in SciPy's class of that name.

    Attributes
    ----------
    x : array
        The solution, of the shape and on the device of ``x0``.
    fun : float
        The function's value there.
    jac : array
        The gradient there.
    nit, nfev : int
        The number of updates, and of calls of the function.
    success : bool
        Whether the gradient became no larger than ``gtol``.
    status : int
        0 converged, 1 ``maxiter`` reached, 2 a value that is not finite, 99 stopped by the
        callback.
    message : str
        The same in words.
    """

    if TYPE_CHECKING:
        x: Any
        fun: float
        jac: Any
        nit: int
        nfev: int
        success: bool
        status: int
        message: str
    else:

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return "\n".join(f"{name:>8}: {value!r}" for name, value in self.items())


def ended(status: int, nit: int) -> dict[str, Any]:
    return {
        "nit": nit,
        "success": status == 0,
        "status": status,
        "message": MESSAGES.get(status, ""),
    }

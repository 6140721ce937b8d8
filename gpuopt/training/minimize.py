"""Minimize a function in SciPy's shape, with a rule of this library, on the CPU or on a GPU."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat, TypeAlias, overload

from numpy.typing import ArrayLike

from gpuopt.arrays.tree import AnyArray
from gpuopt.rules.base import Bindable
from gpuopt.training.arguments import check_callback, check_rule, start
from gpuopt.training.bounds import Box
from gpuopt.training.objective import Objective
from gpuopt.training.result import OptimizeResult
from gpuopt.training.search import Search

__all__ = ["minimize"]

if TYPE_CHECKING:

    class ScipyBounds(Protocol):
        """A ``scipy.optimize.Bounds``."""

        lb: Any
        ub: Any

    class IntermediateCallback(Protocol):
        """A callback in SciPy's newer form."""

        def __call__(self, *, intermediate_result: OptimizeResult) -> object: ...


ArrayValue: TypeAlias = "ArrayLike | AnyArray"
ValueAndGradient: TypeAlias = "Callable[..., tuple[SupportsFloat, ArrayValue]]"
Bounds: TypeAlias = (
    "tuple[ArrayValue | None, ArrayValue | None] | Sequence[Sequence[float | None]] | ScipyBounds"
)
Callback: TypeAlias = "Callable[[Any], object] | IntermediateCallback"


@overload
def minimize(
    fun: ValueAndGradient,
    x0: ArrayValue,
    rule: Bindable,
    *,
    jac: Literal[True] = True,
    args: tuple[Any, ...] = (),
    bounds: Bounds | None = None,
    maxiter: int = 1000,
    gtol: float = 1e-6,
    callback: Callback | None = None,
    check_every: int = 10,
    copy: bool = True,
) -> OptimizeResult: ...
@overload
def minimize(
    fun: Callable[..., SupportsFloat],
    x0: ArrayValue,
    rule: Bindable,
    *,
    jac: Callable[..., ArrayValue],
    args: tuple[Any, ...] = (),
    bounds: Bounds | None = None,
    maxiter: int = 1000,
    gtol: float = 1e-6,
    callback: Callback | None = None,
    check_every: int = 10,
    copy: bool = True,
) -> OptimizeResult: ...
def minimize(
    fun: Callable[..., Any],
    x0: ArrayValue,
    rule: Bindable,
    *,
    jac: Literal[True] | Callable[..., ArrayValue] = True,
    args: tuple[Any, ...] = (),
    bounds: Bounds | None = None,
    maxiter: int = 1000,
    gtol: float = 1e-6,
    callback: Callback | None = None,
    check_every: int = 10,
    copy: bool = True,
) -> OptimizeResult:
    """Minimize ``fun(x, *args)`` from `x0`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> (value, gradient)`` with ``jac=True``, else ``fun(x, *args) -> value``.
        The value is a real number or an array that holds one.
    x0 : array_like
        The starting point, one array of any shape; it is copied. Anything but a floating-point
        array becomes float64.
    rule : Rule
        The update rule, such as ``gpuopt.Adam(lr=0.1)``.
    jac : True or callable
        ``jac(x, *args) -> gradient``, if `fun` returns only the value.
    args : tuple
        Further arguments of `fun` and `jac`; anything but a tuple is one argument.
    bounds : (lo, hi), sequence of (min, max) pairs, or scipy.optimize.Bounds, optional
        ``(lo, hi)`` broadcast to x; or one pair for each element of x. None is no bound. For two
        elements, two lists or tuples of two are pairs, as in SciPy: write ``lo`` and ``hi`` as
        arrays there. Each update projects x onto the bounds, and `x0` too.
    maxiter : int
        The largest number of updates.
    gtol : float
        Converged once no element of the gradient (with bounds, of the projected step ``x - clip(x -
        gradient)``) is larger.
    callback : callable, optional
        ``callback(x)``, or ``callback(intermediate_result)`` if that name is its only parameter, at
        every check; returning True or raising StopIteration stops.
    check_every : int
        Updates between checks. A check waits for the GPU; nothing else does.
    copy : bool
        Give `fun` and `jac` a copy of x at each call, so that they may keep and alter it. False
        gives them x itself, which they must not alter and which the next update overwrites; that
        saves a copy of x at each call, on a GPU of its memory.

    Returns
    -------
    OptimizeResult
        The point with the smallest value that was seen, with its value and gradient, however the
        minimization ends. A value on a GPU is seen at a check; any other, at every call.

    Raises
    ------
    TypeError, ValueError
        If an argument, or the result of `fun`, is not as described.
    KeyboardInterrupt
        If the user interrupts; its attribute ``result`` is then the result so far.
    """
    maxiter, check_every = _whole("maxiter", maxiter, 0), _whole("check_every", check_every, 1)
    gtol = _tolerance(gtol)
    check_rule(rule)
    check_callback(callback)
    objective = Objective(fun, jac, args, copy)
    x = start(x0)
    search = Search(objective, x, Box(bounds, x), rule)
    return search.run(maxiter, gtol, check_every, callback)


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number, which SciPy's users may write as ``1e4``."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, bool) or not isinstance(whole, numbers.Integral) or int(whole) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(whole)


def _tolerance(gtol: Any) -> float:
    if isinstance(gtol, bool) or not isinstance(gtol, numbers.Real) or not float(gtol) >= 0:
        raise ValueError(f"gtol must be a number >= 0, got {gtol!r}")
    return float(gtol)

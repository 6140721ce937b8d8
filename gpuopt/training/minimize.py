"""Minimize a function in SciPy's shape, with a rule of this library, on the CPU or on a GPU."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import supported
from gpuopt.arrays.tree import AnyArray
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import loss_scale_name
from gpuopt.training.bounds import projection
from gpuopt.training.result import OptimizeResult, ended

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
) -> OptimizeResult:
    """Minimize ``fun(x, *args)`` from `x0`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> (value, gradient)`` with ``jac=True``, else ``fun(x, *args) -> value``.
        It must not alter x.
    x0 : array_like
        The starting point, of any shape; it is copied. Anything but a floating-point array becomes
        float64.
    rule : Rule
        The update rule, such as ``gpuopt.Adam(lr=0.1)``.
    jac : True or callable
        ``jac(x, *args) -> gradient``, if `fun` returns only the value.
    args : tuple
        Further arguments of `fun` and `jac`.
    bounds : (lo, hi), sequence of (min, max) pairs, or scipy.optimize.Bounds, optional
        ``(lo, hi)`` broadcast to x; or one pair for each element of x, with None for no bound. Each
        update projects x onto them.
    maxiter : int
        The largest number of updates.
    gtol : float
        Converged once no element of the gradient (with bounds, of the projected step ``x - clip(x -
        gradient)``) is larger.
    callback : callable, optional
        ``callback(x)``, or ``callback(intermediate_result)`` if its parameter has that name, at
        every check; returning True or raising StopIteration stops.
    check_every : int
        Updates between checks. A check waits for the GPU; nothing else does.

    Returns
    -------
    OptimizeResult

    Raises
    ------
    TypeError, ValueError
        If an argument, or the result of `fun`, is not as described.
    """
    _check_numbers(maxiter, check_every, gtol)
    x = _start(x0)
    evaluate = _evaluator(fun, jac, args, x)
    project = projection(bounds, x)
    project(x)
    opt = rule.init(x)
    if loss_scale_name(rule) is not None:
        raise ValueError(f"minimize does not scale the loss: leave LossScale out of {rule!r}")
    best: OptimizeResult | None = None
    for nit in range(maxiter + 1):
        value, gradient = evaluate()
        if nit % check_every == 0 or nit == maxiter:
            found = _result(x, value, gradient, project, nit, gtol, maxiter)
            if found.status == 2:
                return found if best is None else OptimizeResult({**best, **ended(2, nit)})
            if best is None or found.fun <= best.fun:
                best = found
            if found.status == 0:
                return found
            if callback is not None and _asks_to_stop(callback, found):
                return OptimizeResult({**found, **ended(99, nit)})
            if nit == maxiter:
                return found
        opt.step(gradient)
        project(x)
    raise AssertionError("the last iteration returns")


def _check_numbers(maxiter: Any, check_every: Any, gtol: Any) -> None:
    for name, value, least in (("maxiter", maxiter, 0), ("check_every", check_every, 1)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if not isinstance(gtol, numbers.Real) or not float(gtol) >= 0:
        raise ValueError(f"gtol must be a number >= 0, got {gtol!r}")


def _start(x0: Any) -> Any:
    xp = array_module(x0)
    x = xp.array(x0, copy=True)
    if is_array(x0) and supported(x.dtype):
        return x
    if x.dtype.kind not in "biuf":
        raise TypeError(f"x0 must be an array of numbers, got dtype {x.dtype}")
    return x.astype(np.float64)


def _evaluator(fun: Any, jac: Any, args: tuple[Any, ...], x: Any) -> Callable[[], tuple[Any, Any]]:
    """The function's value and gradient at the x of the moment, checked."""
    if jac is not True and not callable(jac):
        raise ValueError(
            f"jac must be True (fun returns value and gradient) or a callable, got {jac!r}"
        )

    def evaluate() -> tuple[Any, Any]:
        result = fun(x, *args)
        if jac is not True:
            result = (result, jac(x, *args))
        elif not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"with jac=True, fun must return (value, gradient), got {type(result).__name__}"
            )
        value, gradient = result
        if getattr(value, "size", 1) != 1 or not (
            isinstance(value, numbers.Real) or is_array(value)
        ):
            raise TypeError(f"fun must return a single real number, got {value!r}")
        if not is_cupy(x) and not is_array(gradient):
            gradient = np.asarray(gradient, x.dtype)
        return value, gradient

    return evaluate


def _result(
    x: Any, value: Any, gradient: Any, project: Any, nit: int, gtol: float, maxiter: int
) -> OptimizeResult:
    """The state of things, read from the device."""
    number = float(value)
    step = x - project(x - gradient)
    largest = float(abs(step).max()) if x.size else 0.0
    if not math.isfinite(number) or not math.isfinite(
        float(abs(gradient).max()) if x.size else 0.0
    ):
        status = 2
    elif largest <= gtol:
        status = 0
    else:
        status = 1 if nit == maxiter else -1
    return OptimizeResult(
        x=x.copy(), fun=number, jac=gradient.copy(), nfev=nit + 1, **ended(status, nit)
    )


def _asks_to_stop(callback: Any, found: OptimizeResult) -> bool:
    try:
        if "intermediate_result" in inspect.signature(callback).parameters:
            return bool(callback(intermediate_result=found))
        return bool(callback(found.x))
    except StopIteration:
        return True

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

__all__ = ["OptimizeResult", "minimize", "scipy_method"]

MESSAGES = {
    0: "The gradient is no larger than gtol.",
    1: "The number of iterations reached maxiter.",
    2: "The function's value or gradient is not finite; x is the best found before.",
    99: "The callback asked to stop.",
}


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
    project = _projection(bounds, x)
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
                return found if best is None else OptimizeResult({**best, **_ended(2, nit)})
            if best is None or found.fun <= best.fun:
                best = found
            if found.status == 0:
                return found
            if callback is not None and _asks_to_stop(callback, found):
                return OptimizeResult({**found, **_ended(99, nit)})
            if nit == maxiter:
                return found
        opt.step(gradient)
        project(x)
    raise AssertionError("the last iteration returns")


def scipy_method(rule: Bindable) -> Callable[..., Any]:
    """The rule as a `method` of ``scipy.optimize.minimize``.

    Parameters
    ----------
    rule : Rule

    Returns
    -------
    callable
        Pass it as ``scipy.optimize.minimize(fun, x0, jac=…, method=…)``; ``options`` may hold
        ``maxiter``, ``gtol`` and ``check_every``, and ``tol`` stands for ``gtol``.
    """
    if not isinstance(rule, Bindable):
        raise TypeError(
            f"rule must be a gpuopt.Rule, such as gpuopt.Adam(), got {type(rule).__name__}"
        )

    def method(fun: Any, x0: Any, args: tuple[Any, ...] = (), **options: Any) -> Any:
        from scipy import optimize

        jac = options.pop("jac", None)
        if not callable(jac):
            raise ValueError(
                "a first-order rule needs the gradient: pass jac=True or a callable, got "
                f"jac={jac!r}"
            )
        for name in ("hess", "hessp", "constraints"):
            if (given := options.pop(name, None)) not in (None, (), []):
                raise ValueError(f"a first-order rule has no use for {name}={given!r}")
        tolerance = options.pop("tol", None)
        if tolerance is not None:
            options.setdefault("gtol", tolerance)
        return optimize.OptimizeResult(minimize(fun, x0, rule, jac=jac, args=args, **options))

    return method


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


def _projection(bounds: Any, x: Any) -> Callable[[Any], Any]:
    """Clip an array to the bounds, in place."""
    if bounds is None:
        return lambda a: a
    low, high = _limits(bounds, x)
    if x.dtype.kind == "c":
        raise TypeError("bounds need a real x0: complex numbers have no order")
    xp = array_module(x)
    for name, limit in (("lower", low), ("upper", high)):
        if np.isnan(limit).any():
            raise ValueError(f"bounds: a {name} bound is NaN; use None or an infinity for no bound")
    try:
        low, high = (
            xp.asarray(np.broadcast_to(limit, x.shape).astype(x.dtype)) for limit in (low, high)
        )
    except ValueError:
        raise ValueError(
            f"bounds of shape {low.shape} and {high.shape} do not broadcast to x of shape {x.shape}"
        ) from None
    if bool((low > high).any()):
        raise ValueError("bounds: a lower bound is above its upper bound")
    return lambda a: xp.clip(a, low, high, out=a)


def _limits(bounds: Any, x: Any) -> tuple[Any, Any]:
    """Lower and upper bound as float64 arrays on the host, None as infinity."""
    host = (
        [b.get() if is_cupy(b) else b for b in (bounds.lb, bounds.ub)]
        if hasattr(bounds, "lb")
        else None
    )
    if (
        host is None
        and isinstance(bounds, tuple)
        and len(bounds) == 2
        and not _is_pair_list(bounds, x)
    ):
        host = [b.get() if is_cupy(b) else b for b in bounds]
    if host is not None:
        low, high = (
            fallback if b is None else b
            for b, fallback in zip(host, (-math.inf, math.inf), strict=True)
        )
        return np.asarray(low, np.float64), np.asarray(high, np.float64)
    pairs = [tuple(pair) for pair in bounds]
    if len(pairs) != x.size or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"bounds must hold a (min, max) pair for each of the {x.size} elements of x, got "
            f"{len(pairs)} entries"
        )
    low = np.array([-math.inf if a is None else a for a, _ in pairs], np.float64)
    high = np.array([math.inf if b is None else b for _, b in pairs], np.float64)
    return low.reshape(x.shape), high.reshape(x.shape)


def _is_pair_list(bounds: tuple[Any, Any], x: Any) -> bool:
    """Whether a tuple of two is SciPy's two pairs for an x of two elements: they are tuples
    themselves.
    """
    return x.size == 2 and all(isinstance(pair, tuple) and len(pair) == 2 for pair in bounds)


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
        x=x.copy(), fun=number, jac=gradient.copy(), nfev=nit + 1, **_ended(status, nit)
    )


def _ended(status: int, nit: int) -> dict[str, Any]:
    return {
        "nit": nit,
        "success": status == 0,
        "status": status,
        "message": MESSAGES.get(status, ""),
    }


def _asks_to_stop(callback: Any, found: OptimizeResult) -> bool:
    try:
        if "intermediate_result" in inspect.signature(callback).parameters:
            return bool(callback(intermediate_result=found))
        return bool(callback(found.x))
    except StopIteration:
        return True

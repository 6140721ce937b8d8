"""A rule as a method of ``scipy.optimize.minimize``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.rules.base import Bindable
from gpuopt.training.arguments import check_callback, check_method, of_result, start_array
from gpuopt.training.bounds import Box, read_as_scipy
from gpuopt.training.line_search.method import Method
from gpuopt.training.minimize import minimize
from gpuopt.training.objective import real_number

__all__ = ["scipy_method"]

_OPTIONS: dict[str, Any] = {
    "maxiter": 1000,
    "gtol": 1e-6,
    "check_every": 1,
    "disp": False,
    "eps": float(np.sqrt(np.finfo(np.float64).eps)),
    "finite_diff_rel_step": None,
}
_USER = 5
"""Of a warning, the level of the call of ``scipy.optimize.minimize``."""
_SCHEMES = ("2-point", "3-point", "cs")


def scipy_method(rule: Bindable | Method) -> Callable[..., Any]:
    """The rule as a `method` of ``scipy.optimize.minimize``.

    Parameters
    ----------
    rule : Rule
        A rule, or another method of `minimize` such as ``gpuopt.LBFGS()``.

    Returns
    -------
    callable
        Pass it as ``scipy.optimize.minimize(fun, x0, method=…)``. It accepts the arguments of
        SciPy's own methods: ``args``, ``jac``, ``bounds``, ``callback`` (called after every
        iteration; only StopIteration stops), ``tol`` and ``options``. It warns about ``hess``,
        ``hessp``, ``constraints`` and unknown options.

    Notes
    -----
    The options:

    ``maxiter`` : int, 1000
        The largest number of iterations.
    ``gtol`` : float, 1e-6
        As in `minimize`. ``tol`` sets it too.
    ``check_every`` : int, 1
        As in `minimize`. With a callback every iteration is checked.
    ``disp`` : bool, False
        Print the result.
    ``eps``, ``finite_diff_rel_step``
        The absolute step of differences without ``jac``, and the relative step of ``'2-point'``,
        ``'3-point'`` and ``'cs'``.

    Without ``jac``, finite differences estimate the gradient, with one call of ``fun`` for each
    element of x. SciPy passes None to a callable method in place of ``'2-point'``, ``'3-point'``
    and ``'cs'``. All three are therefore two-point differences here, unless you call the method
    directly.
    """
    if not isinstance(rule, Method):
        check_method(rule)

    def method(fun: Any, x0: Any, args: Any = (), **given: Any) -> Any:
        return _minimize(rule, fun, x0, args, **given)

    return method


def _minimize(
    rule: Bindable | Method,
    /,
    fun: Any,
    x0: Any,
    args: Any = (),
    jac: Any = None,
    bounds: Any = None,
    callback: Any = None,
    **others: Any,
) -> Any:
    from scipy import optimize

    check_callback(callback)
    _warn_of_unused(rule, others)
    options = _options(others)
    x = start_array(x0)
    box = Box(None if bounds is None else read_as_scipy(bounds), x)
    counted = _Counted(fun)
    exact = jac is True or callable(jac)
    found = optimize.OptimizeResult(
        minimize(
            counted if exact else _estimating(counted, jac, x, box, options),
            x,
            rule,
            jac=jac if exact else True,
            args=args,
            bounds=(box.low, box.high) if box.bounded else None,
            maxiter=options["maxiter"],
            gtol=options["gtol"],
            check_every=options["check_every"] if callback is None else 1,
            callback=_after_each_iteration(callback),
        )
    )
    found.nfev = counted.calls
    if found.status == 99:
        found.message = "`callback` raised `StopIteration`."
    if options["disp"]:
        _print(found)
    return found


class _Counted:
    """A function that knows how often it was called."""

    def __init__(self, fun: Any) -> None:
        self._fun, self.calls = fun, 0

    def __call__(self, x: Any, *args: Any) -> Any:
        self.calls += 1
        return self._fun(x, *args)


def _warn_of_unused(rule: Any, others: dict[str, Any]) -> None:
    """Take what a first-order rule has no use for out of `others`, with SciPy's own warnings."""
    hess, hessp = others.pop("hess", None), others.pop("hessp", None)
    found = {
        "does not use Hessian information (hess)": hess is not None,
        "does not use Hessian-vector product information (hessp)": hessp is not None,
        "cannot handle constraints": np.any(others.pop("constraints", ())),
    }
    for text, given in found.items():
        if given:
            warnings.warn(f"Method {rule!r} {text}.", RuntimeWarning, stacklevel=_USER)


def _options(others: dict[str, Any]) -> dict[str, Any]:
    """Every option; None stands for its default."""
    from scipy import optimize

    tolerance = others.pop("tol", None)
    if unknown := [name for name in others if name not in _OPTIONS]:
        text = f"Unknown solver options: {', '.join(unknown)}"
        warnings.warn(text, optimize.OptimizeWarning, stacklevel=_USER)
    given = {"gtol": tolerance, **others}
    return {
        name: default if given.get(name) is None else given[name]
        for name, default in _OPTIONS.items()
    }


def _estimating(
    fun: Any, jac: Any, x0: Any, box: Box, options: dict[str, Any]
) -> Callable[..., Any]:
    """The value and its gradient, by the finite differences that SciPy's methods use."""
    from scipy.optimize._numdiff import approx_derivative

    if x0.dtype.kind == "c":
        raise TypeError("finite differences need a real x0: pass the gradient as jac")
    # A variable that its bounds fix leaves no room for a step.
    free = box.low < box.high if box.bounded else np.ones(x0.shape, bool)
    step = options["finite_diff_rel_step" if jac in _SCHEMES else "eps"]
    steps = {
        "method": jac if jac in _SCHEMES else "2-point",
        "rel_step" if jac in _SCHEMES else "abs_step": (
            None if step is None else np.broadcast_to(step, x0.shape)[free].astype(x0.dtype)
        ),
        "bounds": (box.low[free], box.high[free]) if box.bounded else (-np.inf, np.inf),
    }

    def value_and_gradient(x: Any, *args: Any) -> tuple[Any, Any]:
        def at(part: Any) -> Any:
            moved = x.astype(np.result_type(x, part))
            moved[free] = part
            return np.asarray(fun(moved, *args)).item()

        value, gradient = real_number(fun(x.copy(), *args)), np.zeros_like(x)
        if free.any():
            gradient[free] = approx_derivative(at, x[free], f0=value, **steps)
        return value, gradient

    return value_and_gradient


def _after_each_iteration(callback: Any) -> Any:
    """The callback as SciPy calls it: after each iteration; what it returns has no effect."""
    if callback is None:
        return None
    from scipy import optimize

    tell = of_result(callback)

    def after(intermediate_result: Any) -> None:
        if intermediate_result.nit:
            tell(optimize.OptimizeResult(intermediate_result))

    return after


def _print(found: Any) -> None:
    """What SciPy's methods show with ``disp``."""
    from scipy import optimize

    if found.success:
        print(found.message)
    else:
        warnings.warn(found.message, optimize.OptimizeWarning, stacklevel=_USER)
    print(f"         Current function value: {found.fun:f}")
    print(f"         Iterations: {found.nit:d}")
    print(f"         Function evaluations: {found.nfev:d}")
    print(f"         Gradient evaluations: {found.njev:d}")

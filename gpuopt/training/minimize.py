"""Minimize a function in SciPy's shape, with a rule or a line search, on the CPU or on a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, SupportsFloat, Unpack, overload

from gpuopt.arrays.typed import HyperArrays
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import takes_back
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.arguments import check_call, check_callback, check_method, start
from gpuopt.training.bounds import boxes
from gpuopt.training.checkpoints.checkpointer import Checkpointer, check_checkpointer
from gpuopt.training.descent import ByRule, Descent
from gpuopt.training.given import Bounds, Callback, Gradient, Options, Start, ValueAndGradient
from gpuopt.training.line_search.method import ByMethod, Method
from gpuopt.training.objective import Objective
from gpuopt.training.result import OptimizeResult
from gpuopt.training.search import Search
from gpuopt.training.stopping import Stopping

__all__ = ["minimize", "searching"]

_PATIENCE = 100
"""How many updates of a rule may bring nothing if only `ftol` is given."""


@overload
def minimize(
    fun: ValueAndGradient,
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Literal[True] = True,
    **options: Unpack[Options],
) -> OptimizeResult: ...
@overload
def minimize(
    fun: Callable[..., SupportsFloat],
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Gradient,
    **options: Unpack[Options],
) -> OptimizeResult: ...
@by_known_names("gpuopt.minimize(fun, x0, gpuopt.Adam())")
def minimize(
    fun: Callable[..., Any],
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Literal[True] | Gradient = True,
    args: tuple[Any, ...] = (),
    bounds: Bounds | None = None,
    hyper: HyperArrays | None = None,
    master: bool = False,
    maxiter: int = 1000,
    gtol: float = 1e-6,
    ftol: float = 0.0,
    patience: int | None = None,
    callback: Callback | None = None,
    check_every: int = 10,
    copy: bool = True,
    checkpoint: Checkpointer | None = None,
) -> OptimizeResult:
    """Minimize ``fun(x, *args)`` from `x0`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> (value, gradient)`` with ``jac=True``, else ``fun(x, *args) -> value``.
        The value is a real number or an array that holds one.
    x0 : array_like, or lists, tuples and dicts of arrays, nested
        The starting point: one array of any shape, or several. It is copied. `fun` gets arrays of
        the same structure, and returns a gradient of that structure. An array that is not
        floating-point becomes float64.
    method : Rule, LBFGS, NonlinearCG or ProximalGradient
        The update rule, such as ``gpuopt.Adam(lr=0.1)``; or a method that calls the function
        itself, such as ``gpuopt.LBFGS()``. Such a method takes no `bounds`, `hyper` or `master`.
    jac : True or callable
        ``jac(x, *args) -> gradient``, if `fun` returns only the value.
    args : tuple
        Further arguments of `fun` and `jac`; anything but a tuple is one argument.
    bounds : (lo, hi), sequence of (min, max) pairs, or scipy.optimize.Bounds, optional
        ``(lo, hi)`` broadcast to x, or one pair for each element of x. None means no bound. For an
        x of two elements, two lists or tuples of two are pairs, as in SciPy; to give ``lo`` and
        ``hi`` there, write them as arrays. For several arrays, ``lo`` and ``hi`` are numbers or
        trees like `x0`. `x0` and x after each update are projected onto the bounds.
    hyper : dict, optional
        Arrays in place of hyperparameters, such as a learning rate for each element, as for
        `Rule.init`.
    master : bool
        Keep a float32 copy of 16-bit arrays, as `Rule.init` does.
    maxiter : int
        The largest number of updates.
    gtol : float
        Stop, converged, when no element of the gradient is larger. With bounds, this is the
        projected step ``x - clip(x - gradient)``.
    ftol, patience : float, int, optional
        Stop, converged, when `patience` updates have lowered the value by no more than ``ftol *
        max(1, |value|)``, as seen at checks. If only `ftol` is given, `patience` is 100, or 1 for a
        method that calls the function itself. If only `patience` is given, `ftol` is 0: the value
        no longer falls.
    callback : callable, optional
        Called at every check: ``callback(x)``, or ``callback(intermediate_result)`` if that name is
        its only parameter. If it returns True or raises StopIteration, the minimization stops.
    check_every : int
        Updates between checks. Only a check waits for the GPU. A method that calls the function
        itself waits at each call, and so checks every iteration.
    copy : bool
        Pass `fun` and `jac` a copy of x at each call, so that they may keep and alter it. With
        False they get x itself: they must not alter it, and the next update overwrites it. This
        saves a copy at each call.
    checkpoint : Checkpointer, optional
        Continue from the newest checkpoint of this minimization in its folder, and save
        checkpoints there. A killed run ends with the bits of an uninterrupted one. Iterations and
        calls count the whole run.

    Returns
    -------
    OptimizeResult
        The point with the smallest value that was seen, with its value and gradient, whatever ends
        the minimization. A value on a GPU is seen at checks, any other at every call. `LBFGS`
        and `NonlinearCG` do not go uphill, so this is their last point. `ProximalGradient` is the
        exception: it returns its last point, because it does not know the value of the penalty.

    Raises
    ------
    TypeError, ValueError
        If an argument, or the result of `fun`, is not as described.
    KeyboardInterrupt
        If you interrupt. Its attribute ``result`` is the result so far, if there is a first point.

    See Also
    --------
    iterate : The same in a loop of your own, check by check.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> def fun(x):
    ...     left, right = x["a"] - 1, x["b"] - 2
    ...     return left @ left + right @ right, {"a": 2 * left, "b": 2 * right}
    >>> found = go.minimize(fun, {"a": np.zeros(2), "b": np.zeros(3)}, go.Momentum(0.2))
    >>> found.success, found.x["b"].round(4)
    (True, array([2., 2., 2.]))
    """
    search = searching(
        fun,
        x0,
        method,
        jac=jac,
        args=args,
        bounds=bounds,
        hyper=hyper,
        master=master,
        maxiter=maxiter,
        gtol=gtol,
        ftol=ftol,
        patience=patience,
        callback=callback,
        check_every=check_every,
        copy=copy,
        checkpoint=checkpoint,
    )
    (status,) = deque(search.checks(), maxlen=1)
    return search.ended(status)


def searching(
    fun: Any,
    x0: Any,
    method: Any,
    *,
    jac: Any = True,
    args: Any = (),
    bounds: Any = None,
    hyper: Any = None,
    master: bool = False,
    maxiter: Any = 1000,
    gtol: Any = 1e-6,
    ftol: Any = 0.0,
    patience: Any = None,
    callback: Any = None,
    check_every: Any = 1,
    copy: bool = True,
    checkpoint: Any = None,
) -> Search:
    """The search of `minimize` and `iterate`, with checked arguments."""
    searches = isinstance(method, Method)
    usual = 1 if searches else _PATIENCE
    returns = isinstance(method, Bindable) and takes_back(method)
    every = 1 if searches else check_every
    stopping = Stopping(maxiter, every, gtol, ftol, patience, usual, returns)
    check_callback(callback)
    check_checkpointer(checkpoint)
    spec = start(x0)
    objective = Objective(fun, jac, args, spec, copy)
    _check_calls({"fun": fun, "jac": jac}, args)
    if searches:
        given = {"bounds": bounds, "hyper": hyper, "master": master or None}
        descent: Descent = ByMethod(objective, spec, method, given)
    else:
        check_method(method)
        descent = ByRule(objective, spec, boxes(bounds, spec), method, hyper, master)
    return Search(descent, stopping, callback, checkpoint)


def _check_calls(functions: dict[str, Any], args: Any) -> None:
    """Raise TypeError for functions of other arguments than x and `args`."""
    count = len(args) if isinstance(args, tuple) else 1
    given = ["x", *(f"args[{number}]" for number in range(count))]
    for name, function in functions.items():
        if callable(function):
            check_call(name, function, given, _as_args)


def _as_args(needed: list[str]) -> str:
    return f"pass args=({', '.join(needed)}{',' * (len(needed) == 1)})"

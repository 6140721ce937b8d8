"""Minimize a function in SciPy's shape, with a rule or a line search, on the CPU or on a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, SupportsFloat, Unpack, overload

from gpuopt.arrays.typed import HyperArrays
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import takes_back
from gpuopt.training.arguments import check_callback, check_method, start
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
"""How many updates of a rule may bring nothing, where only `ftol` is given."""


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
        The starting point: one array of any shape, or several; it is copied. `fun` gets the like,
        and its gradient has the same structure. Anything but a floating-point array becomes
        float64.
    method : Rule, LBFGS, NonlinearCG or ProximalGradient
        The update rule, such as ``gpuopt.Adam(lr=0.1)``; or a method that calls the function
        itself, such as ``gpuopt.LBFGS()``, which takes neither `bounds` nor `hyper` nor `master`.
    jac : True or callable
        ``jac(x, *args) -> gradient``, if `fun` returns only the value.
    args : tuple
        Further arguments of `fun` and `jac`; anything but a tuple is one argument.
    bounds : (lo, hi), sequence of (min, max) pairs, or scipy.optimize.Bounds, optional
        ``(lo, hi)`` broadcast to x; or one pair for each element of x. None is no bound. For two
        elements, two lists or tuples of two are pairs, as in SciPy: write ``lo`` and ``hi`` as
        arrays there. For several arrays, ``lo`` and ``hi`` are numbers or trees like `x0`. Each
        update projects x onto the bounds, and `x0` too.
    hyper : dict, optional
        Arrays in place of hyperparameters, such as a learning rate for each element, as for
        `Rule.init`.
    master : bool
        Keep a float32 copy of 16-bit arrays, as `Rule.init` does.
    maxiter : int
        The largest number of updates.
    gtol : float
        Converged once no element of the gradient (with bounds, of the projected step ``x - clip(x -
        gradient)``) is larger.
    ftol, patience : float, int, optional
        Converged once `patience` updates have lowered the value by no more than ``ftol * max(1,
        |value|)``, as seen at checks. With `ftol` alone, `patience` is 100, with a method that
        calls the function itself 1; with `patience` alone, `ftol` is 0: the value no longer falls.
    callback : callable, optional
        ``callback(x)``, or ``callback(intermediate_result)`` if that name is its only parameter, at
        every check; returning True or raising StopIteration stops.
    check_every : int
        Updates between checks. A check waits for the GPU; nothing else does. A method that calls
        the function itself waits at each call anyway, and checks every iteration.
    copy : bool
        Give `fun` and `jac` a copy of x at each call, so that they may keep and alter it. False
        gives them x itself, which they must not alter and which the next update overwrites; that
        saves a copy of x at each call, on a GPU of its memory.
    checkpoint : Checkpointer, optional
        Go on from the newest checkpoint in its folder, of the same minimization, and save there as
        it says: one that was killed ends with the bits of one that was not. Iterations and calls
        count the whole run.

    Returns
    -------
    OptimizeResult
        The point with the smallest value that was seen, with its value and gradient, however the
        minimization ends. A value on a GPU is seen at a check; any other, at every call. `LBFGS`
        and `NonlinearCG` do not go uphill, so this is their last point. `ProximalGradient` is the
        exception: it returns its last point, because it does not know the value of the penalty.

    Raises
    ------
    TypeError, ValueError
        If an argument, or the result of `fun`, is not as described.
    KeyboardInterrupt
        If the user interrupts; its attribute ``result`` is then the result so far.

    See Also
    --------
    iterate : The same, one check after another, in a loop of your own.

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
    """The search that `minimize` and `iterate` make, if every argument is what it should be."""
    searches = isinstance(method, Method)
    usual = 1 if searches else _PATIENCE
    returns = isinstance(method, Bindable) and takes_back(method)
    every = 1 if searches else check_every
    stopping = Stopping(maxiter, every, gtol, ftol, patience, usual, returns)
    check_callback(callback)
    check_checkpointer(checkpoint)
    spec = start(x0)
    objective = Objective(fun, jac, args, spec, copy)
    if searches:
        given = {"bounds": bounds, "hyper": hyper, "master": master or None}
        descent: Descent = ByMethod(objective, spec, method, given)
    else:
        check_method(method)
        descent = ByRule(objective, spec, boxes(bounds, spec), method, hyper, master)
    return Search(descent, stopping, callback, checkpoint)

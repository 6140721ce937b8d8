"""A minimization in the caller's own loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, SupportsFloat, Unpack, overload

from gpuopt.rules.base import Bindable
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.given import Gradient, Options, Start, ValueAndGradient
from gpuopt.training.line_search.method import Method
from gpuopt.training.minimize import searching
from gpuopt.training.result import OptimizeResult

__all__ = ["iterate"]


@overload
def iterate(
    fun: ValueAndGradient,
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Literal[True] = True,
    **options: Unpack[Options],
) -> Iterator[OptimizeResult]: ...
@overload
def iterate(
    fun: Callable[..., SupportsFloat],
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Gradient,
    **options: Unpack[Options],
) -> Iterator[OptimizeResult]: ...
@by_known_names(
    "gpuopt.iterate(fun, x0, gpuopt.Adam())",
    ["fun", "x0", "method", "jac", *Options.__annotations__],
)
def iterate(
    fun: Callable[..., Any],
    x0: Start,
    method: Bindable | Method,
    *,
    jac: Literal[True] | Gradient = True,
    **options: Unpack[Options],
) -> Iterator[OptimizeResult]:
    """Minimize ``fun(x, *args)`` step by step, in a loop of your own.

    Parameters
    ----------
    fun, x0, method, jac
        As in `minimize`.
    **options
        The options of `minimize`. Only ``check_every`` differs: it is 1.

    Returns
    -------
    iterator of OptimizeResult
        One for each check: x, its value and its gradient, with the status -1. Each also has
        ``optimality``, which is compared with ``gtol``. With a rule it has ``opt``, the
        `Optimizer`; assign to ``opt.rule`` to continue with another learning rate. The last result
        is what `minimize` would return. ``break`` ends the minimization at any time.

    Raises
    ------
    TypeError, ValueError
        As by `minimize`; the call itself raises them.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> for state in go.iterate(lambda x: (x @ x, 2 * x), np.ones(2), go.SGD(0.9)):
    ...     if state.nit == 3:  # it swings from side to side
    ...         state.opt.rule = go.SGD(0.4)
    >>> state.nit, state.message
    (12, 'The gradient became no larger than gtol.')
    """
    return searching(fun, x0, method, jac=jac, **options).states()

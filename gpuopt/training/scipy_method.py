"""A rule of this library as a method of ``scipy.optimize.minimize``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuopt.rules.base import Bindable
from gpuopt.training.minimize import minimize

__all__ = ["scipy_method"]


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

"""What of the scalar code of a program the device computes, and what the host does."""

from __future__ import annotations

import functools

from gpuopt.tracing.expr import Expr, reachable
from gpuopt.tracing.program import Kernel

__all__ = ["device_values", "needs_scalars", "results_of"]


def results_of(kernel: Kernel) -> list[Expr]:
    """Whether the step is accepted, if that is asked, and the scalars."""
    return [*([] if kernel.accept is None else [kernel.accept]), *kernel.scalars]


def device_values(ends: list[Expr], device_counts: bool) -> list[Expr]:
    """What of `ends`, and of their inputs, needs reductions or the loss.

    With `device_counts`, all of it.
    """
    found: dict[Expr, bool] = {}
    for expr in sorted(set(reachable(ends, within=lambda e: not e.reduces)), key=lambda e: e.index):
        leaf = expr.op in ("size", "state", "loss")
        own = expr.reduces or leaf or (device_counts and expr.op != "constant")
        found[expr] = expr.host and (
            own or (not expr.reduces and any(found[arg] for arg in expr.args))
        )
    return [expr for expr, device in found.items() if device]


@functools.lru_cache(maxsize=512)
def needs_scalars(kernel: Kernel, device_counts: bool) -> bool:
    """Whether scalars are made on the device.

    Those of an update are also if it may not be made, or if it has states that are one number.
    """
    if kernel.accept is not None or kernel.scalar_states:
        return True
    return bool(device_values(results_of(kernel), device_counts))

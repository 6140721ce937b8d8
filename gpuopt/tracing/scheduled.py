"""A schedule that a device follows: run on symbols, as a formula is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.symbols import Symbol, lift

__all__ = ["traced_schedule"]


def traced_schedule(graph: Graph, name: str, schedule: Callable[[Any], Any]) -> Symbol:
    """The value of a schedule, which the hyperparameter of that full name follows."""
    completed = Symbol(graph, graph.leaf("completed", "completed"))
    try:
        return lift(graph, schedule(completed))
    except TraceError as error:
        raise TraceError(
            f"{name} follows a schedule, which must run on the GPU here, because a piece of the "
            "chain decides there whether a step is made: write it with NumPy's functions, or use "
            f"one of gpuopt.schedules. {error}"
        ) from None

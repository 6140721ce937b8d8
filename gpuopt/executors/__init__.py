"""Executors: what runs a trace. Each is a class of groups, arrays of one dtype and their state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from gpuopt.backend import cpu_executor, is_cupy
from gpuopt.trace import Trace

__all__ = ["Group", "executor"]


class Group(Protocol):
    """Arrays of one dtype under one rule. Made from a trace, its rule, and the arrays.

    Attributes
    ----------
    name : str
        The executor's name.
    states : list of dict
        For each array, its state by name, as arrays of the parameter's shape.
    """

    name: str
    states: list[dict[str, Any]]

    def __init__(self, trace: Trace, rule: Any, params: Sequence[Any]) -> None: ...

    def use(self, trace: Trace) -> None:
        """Run `trace` from now on; it has the same state."""

    def run(self, grads: Sequence[Any], scalars: tuple[float, ...], indices: Iterable[int] | None = None) -> None:
        """Update the arrays at `indices` (all by default); `grads` holds a gradient for each array of the group."""


def executor(array: Any) -> type[Group]:
    """The executor that runs arrays like `array`."""
    if is_cupy(array):
        from gpuopt.executors.cupy_kernel import CupyGroup

        return CupyGroup
    if cpu_executor() == "numba":
        from gpuopt.executors.numba_loop import NumbaGroup

        return NumbaGroup
    from gpuopt.executors.numpy_tiles import NumpyGroup

    return NumpyGroup

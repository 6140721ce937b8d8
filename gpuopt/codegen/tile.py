"""The arguments of the CPU executors' generated functions: which arrays, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from gpuopt.tracing.expr import Expr
from gpuopt.tracing.parts import components
from gpuopt.tracing.program import Kernel

__all__ = ["Place", "TileCode", "changes", "constants", "places"]


class Place(NamedTuple):
    """A component of an array that a function reads or writes; `part` is ``"real"``, ``"imag"``, or empty."""

    array: str
    component: str
    part: str
    read: bool
    written: bool


@dataclasses.dataclass(frozen=True, eq=False)
class TileCode:
    """A generated function, and what to call it with: places, scratch, masks, scalars, in this order.

    Attributes
    ----------
    function : callable
        Updates flat arrays of the compute dtype in place.
    places : tuple of Place
        What to pass first.
    scratch, masks : int
        How many arrays of the compute dtype, and of bool, come next.
    constants : tuple of Expr
        What follows the kernel's scalars.
    source : str
        The function's text.
    """

    function: Callable[..., None]
    places: tuple[Place, ...]
    scratch: int
    masks: int
    constants: tuple[Expr, ...]
    source: str


def changes(kernel: Kernel) -> dict[str, Expr]:
    """The new value of each component that changes.

    In a stage: what goes to each reduction, as the components ``total 0``, ``total 1`` and so on.
    """
    if kernel.reductions:
        return {f"total {number}": reduction.args[0] for number, reduction in enumerate(kernel.reductions)}
    pairs = (
        pair
        for array, parts in kernel.stores.items()
        for pair in zip(components(array, len(parts) == 2), parts, strict=True)
    )  # fmt: skip
    return {component: expr for component, expr in pairs if not (expr.op == "input" and expr.value == component)}


def places(kernel: Kernel) -> tuple[Place, ...]:
    """Every component that is read or changes, in a fixed order."""
    changed = changes(kernel)
    found = []
    for component in dict.fromkeys([*kernel.loads, *changed]):
        array, _, part = component.partition(".")
        kind = {"re": "real", "im": "imag", "": ""}[part]
        found.append(Place(array, component, kind, component in kernel.loads, component in changed))
    return tuple(found)


def constants(kernel: Kernel) -> tuple[Expr, ...]:
    """The numbers that the array code uses, each once."""
    operands = [arg for op in kernel.ops for arg in op.args] + list(changes(kernel).values())
    return tuple(dict.fromkeys(expr for expr in operands if expr.op == "constant"))

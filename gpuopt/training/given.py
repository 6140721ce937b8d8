"""The types of the arguments of `minimize` and `iterate`, for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat, TypeAlias, TypedDict

from numpy.typing import ArrayLike

from gpuopt.arrays.typed import AnyArray, ArrayTree, HyperArrays, PartialTree
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.result import OptimizeResult

__all__ = ["Bounds", "Callback", "Gradient", "Options", "Start", "ValueAndGradient"]

if TYPE_CHECKING:

    class ScipyBounds(Protocol):
        """A ``scipy.optimize.Bounds``."""

        lb: Any
        ub: Any

    class IntermediateCallback(Protocol):
        """A callback in SciPy's newer form."""

        def __call__(self, *, intermediate_result: OptimizeResult) -> object: ...


Side: TypeAlias = "ArrayLike | AnyArray | ArrayTree | None"
Start: TypeAlias = "ArrayLike | AnyArray | ArrayTree"
Gradient: TypeAlias = "Callable[..., ArrayLike | AnyArray | PartialTree]"
ValueAndGradient: TypeAlias = (
    "Callable[..., tuple[SupportsFloat, ArrayLike | AnyArray | PartialTree]]"
)
Bounds: TypeAlias = "tuple[Side, Side] | Sequence[Sequence[float | None]] | ScipyBounds"
Callback: TypeAlias = "Callable[[Any], object] | IntermediateCallback"


class Options(TypedDict, total=False):
    """The options of `minimize` except `jac`, which decides what `fun` returns."""

    args: tuple[Any, ...]
    bounds: Bounds | None
    hyper: HyperArrays | None
    master: bool
    maxiter: int
    gtol: float
    ftol: float
    patience: int | None
    callback: Callback | None
    check_every: int
    copy: bool
    checkpoint: Checkpointer | None

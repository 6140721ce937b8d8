"""Types of arrays and of trees of them, for type checkers; at run time, any object is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AnyArray",
    "Array",
    "ArrayTree",
    "CupyArray",
    "HyperArrays",
    "Loss",
    "LossAndGrad",
    "PartialTree",
]

if TYPE_CHECKING:
    T_co = TypeVar("T_co", covariant=True)

    class CupyArray(Protocol):
        """A CuPy array, whose own types say nothing."""

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]: ...
        def get(self) -> NDArray[Any]: ...
        def __setitem__(self, key: Any, value: Any, /) -> None: ...

    class Unknown:
        """The type of an element that no array holds."""

    class NumpyValue(Protocol):
        """A NumPy array or scalar: arithmetic makes a scalar of a 0-d array."""

        @property
        def __array_interface__(self) -> dict[str, Any]: ...

    class OpaqueArray(NumpyValue, Protocol):
        """A NumPy array of elements that a type checker does not know, such as bfloat16."""

        def item(self) -> Unknown: ...

    class Rows(Protocol):
        duplicates: str

    class ListOrTuple(Protocol[T_co]):
        """A list or tuple, whatever it is of; a ``Sequence`` could also be a string."""

        def __contains__(self, item: object, /) -> bool: ...
        def __iter__(self) -> Iterator[T_co]: ...
        def count(self, value: Any, /) -> int: ...

    class ObjectContainer(Protocol):
        """The inferred type of a dict of arrays and containers: ``dict[str, object]``."""

        def __getitem__(self, key: Any, /) -> object: ...
        def __setitem__(self, key: Any, value: object, /) -> None: ...
        def __len__(self) -> int: ...

    class ObjectDict(ObjectContainer, Protocol):
        """Such a dict."""

        def keys(self) -> Any: ...

    class Tensor(Protocol):
        """A tensor of PyTorch. NumPy's arrays support DLPack as well, also those of integers."""

        def data_ptr(self) -> int: ...
        def __dlpack_device__(self) -> tuple[Any, int]: ...

    class Lent(Protocol):
        """An array of any library that supports DLPack."""

        def __dlpack_device__(self) -> tuple[Any, int]: ...

    AnyArray: TypeAlias = NumpyValue | CupyArray | Lent
    Array: TypeAlias = NDArray[np.inexact[Any]] | OpaqueArray | CupyArray | Tensor
    ArrayTree: TypeAlias = (
        "Array | Mapping[Any, ArrayTree] | ListOrTuple[ArrayTree] | ObjectContainer"
    )
    """Arrays as `init` takes them: an array, or lists, tuples and dicts of arrays, nested."""
    Gradient: TypeAlias = AnyArray | Rows | None
    PartialTree: TypeAlias = (
        "Gradient | Mapping[Any, PartialTree] | ListOrTuple[PartialTree] | ObjectContainer"
    )
    """The same of gradients, or of arrays for hyperparameters: of any dtype, or None."""
    HyperArrays: TypeAlias = Mapping[str, PartialTree] | ObjectDict
    """Arrays in place of hyperparameters, by their names."""
    Loss: TypeAlias = float | AnyArray
    LossAndGrad: TypeAlias = Callable[..., tuple[SupportsFloat, PartialTree]]
    """``loss_and_grad(params, *batch) -> (loss, grads)``: the forward and the backward pass."""
else:
    AnyArray = Array = CupyArray = PartialTree = HyperArrays = Loss = LossAndGrad = Any
    ArrayTree = Annotated[Any, "an array, or lists, tuples and dicts of arrays, nested"]
    ArrayTree.__doc__ = (
        "``gpuopt.ArrayTree`` annotates parameters and gradients: an array, or lists, tuples and "
        "dicts of arrays, nested. For type checkers these are NumPy's floating-point and complex "
        "arrays, CuPy's, and tensors of PyTorch."
    )

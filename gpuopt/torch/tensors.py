"""Arrays that share the memory of PyTorch's tensors, and the stream in which PyTorch works.

Comes in: tensors. Goes out: arrays, the places of tensors in memory, and a stream of CuPy.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from gpuopt.arrays.device import device_of
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.memory import bounds

__all__ = [
    "address_of",
    "arrays_of",
    "in_stream",
    "layout_of",
    "strides_of",
    "view_like",
]

address_of = operator.methodcaller("data_ptr")
"""The address of a tensor's first element."""
strides_of = operator.methodcaller("stride")


def layout_of(tensor: Any) -> Any:
    """The strides, dtype and shape of a tensor."""
    return tensor.stride(), tensor.dtype, tensor.shape


def arrays_of(grads: Sequence[Any]) -> list[Any]:
    """The gradients as arrays with the same memory."""
    try:
        return [None if g is None else g.numpy() for g in grads]  # the usual case
    except (TypeError, RuntimeError):  # on a GPU, of bfloat16, sparse …
        for index, g in enumerate(grads):
            if g is not None and g.layout is not torch.strided:
                raise RuntimeError(
                    f"the gradient of parameter {index} is sparse, and rules take dense ones: make "
                    "the layer with sparse=False"
                ) from None
        return [None if g is None else shared(g, f"grads[{k}]") for k, g in enumerate(grads)]


class _Stream(NamedTuple):
    """A stream of another library, by CUDA's protocol for streams."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address


@contextmanager
def in_stream(array: Any, address: int) -> Iterator[None]:
    """Work on the device of an array of CuPy in that stream."""
    import cupy

    with device_of(array), cupy.cuda.Stream.from_external(_Stream(address)):
        yield


def view_like(array: Any, address: int) -> Any:
    """An array of CuPy like another one, in memory at that address which another library owns."""
    import cupy

    size = bounds(array)[1] - bounds(array)[0]
    memory = cupy.cuda.UnownedMemory(address, size, None, device_id=array.device.id)
    place = cupy.cuda.MemoryPointer(memory, 0)
    return cupy.ndarray(array.shape, array.dtype, place, array.strides)

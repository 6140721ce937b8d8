"""Arrays of other libraries, seen as arrays of NumPy or CuPy with the same memory, by DLPack.

Comes in: an object that a user passed. Goes out: an array of NumPy or CuPy, or the object itself if
it does not support DLPack. Nothing is copied, except a gradient of PyTorch whose conjugation or
sign is not computed yet.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_array, is_cupy, require_cupy
from gpuopt.arrays.dtypes import named
from gpuopt.arrays.foreign import conversion, convertible, on_gpu
from gpuopt.arrays.memory import overlaps_itself

__all__ = ["is_tensor", "note_written", "parameter", "place_of", "shared", "tensor_of"]

_HOST, _CUDA = {1, 3}, {2, 13}
"""DLPack's numbers of devices: the host and its pinned memory; CUDA and its managed memory."""


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor of PyTorch; imports nothing."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, getattr(torch, "Tensor", ()))


def place_of(tensor: Any) -> tuple[Any, ...]:
    """Where a tensor of PyTorch lies now, and how; its ``data`` may change later."""
    return tensor.data_ptr(), tensor.stride(), tensor.dtype, tensor.shape


def note_written(tensors: list[Any]) -> None:
    """Tell PyTorch that tensors were written to, so that autograd refuses what it saved of them."""
    sys.modules["torch"].autograd.graph.increment_version(tensors)


def tensor_of(array: Any) -> Any:
    """A tensor of PyTorch with the memory of an array."""
    torch = sys.modules["torch"]
    if array.dtype.name == "bfloat16":
        return tensor_of(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_dlpack(array) if is_cupy(array) else torch.from_numpy(array)


def parameter(x: Any, path: str) -> Any:
    """The array of NumPy or CuPy with the memory of a parameter, for writing."""
    return shared(x, f"params{path}", write=True)


def shared(x: Any, name: str, write: bool = False) -> Any:
    """The array of NumPy or CuPy with the memory of `x`, which is called `name`.

    A tensor of PyTorch that requires a gradient is taken as its data. On a GPU the current stream
    of CuPy waits for the other library's stream. An object without DLPack is returned as it is.

    Parameters
    ----------
    x : array of any library
    name : str
    write : bool
        Whether it is to be written to.

    Raises
    ------
    TypeError, ValueError
        If it cannot be shared, or not be written to; the message says why.
    """
    if is_array(x) or not hasattr(type(x), "__dlpack__"):
        return x
    kind = type(x).__name__
    try:
        array = _of_tensor(x, write) if is_tensor(x) else _exported(x)
    except ModuleNotFoundError:
        what = f"{name} is of bfloat16, which needs ml_dtypes"
        raise TypeError(f"{what} (pip install ml_dtypes)") from None
    except Exception as error:  # whatever the other library raises
        why = str(error).strip().partition("\n")[0].rstrip(".")
        what = f"{name} is a {kind} whose memory cannot be shared ({why})"
        raise TypeError(f"{what}{_remedy(x, name)}") from error
    if write and _read_only(x, array):
        what = f"{name} is a {kind} that is read-only, and parameters are updated"
        copy = f": make it cupy.array({name})" if on_gpu(x) else _remedy(x, name)
        raise ValueError(f"{what} in place{copy}")
    if write and is_tensor(x) and overlaps_itself(array):
        raise ValueError(
            f"{name} has elements that share memory (strides {x.stride()} of shape "
            f"{tuple(x.shape)}): pass a copy, {name}.clone()"
        )
    return array


def _of_tensor(x: Any, write: bool) -> Any:
    """The array of a tensor: NumPy's own view can be written with every NumPy and PyTorch."""
    torch = sys.modules["torch"]
    x = x.detach() if x.requires_grad else x
    if not write:
        x = x.resolve_conj().resolve_neg()
    elif x.is_conj() or x.is_neg():  # DLPack would leave out the sign
        raise TypeError("its conjugation or sign is not computed yet")
    elif not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"it holds {x.dtype}")
    bfloat16 = x.dtype is torch.bfloat16  # which NumPy takes from nobody
    x = x.view(torch.int16) if bfloat16 else x
    array = x.numpy() if x.device.type == "cpu" else _exported(x)
    return array.view(named("bfloat16")) if bfloat16 else array


def _exported(x: Any) -> Any:
    device = int(x.__dlpack_device__()[0])
    if device not in _HOST | _CUDA:
        raise TypeError(f"device {device} of DLPack is neither a CPU nor CUDA")
    return np.from_dlpack(x) if device in _HOST else require_cupy().from_dlpack(x)


def _read_only(x: Any, array: Any) -> bool:
    if is_tensor(x):
        return False
    if isinstance(array, np.ndarray):
        return not array.flags.writeable
    told = getattr(x, "__cuda_array_interface__", None)  # CuPy's own arrays say nothing of it
    return told is None or bool(told["data"][1])


def _remedy(x: Any, name: str) -> str:
    """The code that makes an array of it that can be shared, and written to."""
    return f": make it {conversion(x, name, writeable=True)}" if convertible(x) else ""

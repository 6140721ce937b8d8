"""Objects of other libraries, as far as they answer when somebody asks whether they are arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


class OnCuda:
    """A tensor of PyTorch on a GPU."""

    requires_grad = False

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {}

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class OnCudaWithGradient(OnCuda):
    """One that requires a gradient."""

    requires_grad = True

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad")


class Frame:
    """A DataFrame."""

    def __init__(self) -> None:
        self.values = np.ones((20, 3))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


class Sparse:
    """A sparse matrix."""

    def toarray(self) -> Any:
        return np.ones((20, 3))


class Lent:
    """An array of a library that shares it by DLPack, and does nothing else."""

    def __init__(self, array: Any, told: dict[str, Any] | None = None, device: tuple[int, int] | None = None) -> None:
        self.array, self.asked = array, dict[str, Any]()
        self._told, self._device = told, device

    def __dlpack__(self, **asked: Any) -> Any:
        self.asked = asked
        return self.array.__dlpack__(**asked)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device or self.array.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What CUDA is told; nothing where it is ``{}``, or the array is not there."""
        if self._told == {}:
            raise AttributeError("no interface")
        return self._told or self.array.__cuda_array_interface__

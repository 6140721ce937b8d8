"""Run a kernel's text on the CPU: the very text that CuPy would compile, compiled by g++.

Threads run one after another, so this shows what a kernel computes, its types, its indexing and its tails. It does not
show flushed subnormals, races or speed. Bits agree with NumPy for + - * / sqrt, minimum and maximum of numbers.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from tests.support.emulated_gpu import kernels

from .hostbuild import HostCompileError, available

__all__ = ["HostCompileError", "HostKernel", "available"]

_SIGNATURE = re.compile(r'extern "C" __global__ void (\w+)\((.*)\) \{')
_PARAMETER = re.compile(
    r"(?P<const>const )?(?:CArray<(?P<item>[\w:<> ]+), (?P<ndim>\d+), (?P<contiguous>[01]), [01](?:, 0)?>"
    r"|CIndexer<(?P<indexer>\d+), [01]>|(?P<scalar>[\w:<> ]+)) (?P<name>\w+)(?:, |$)"
)
_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16",
    "thrust::complex<float>": "complex64", "thrust::complex<double>": "complex128",
    "long long": "int64", "int": "int32", "short": "int16", "signed char": "int8", "bool": "bool",
    "unsigned long long": "uint64", "unsigned int": "uint32", "unsigned short": "uint16", "unsigned char": "uint8",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One parameter of the function: an array of ``ndim`` dimensions, a scalar (None), or the indexer (no dtype)."""

    name: str
    dtype: Any
    ndim: int | None
    contiguous: bool
    writable: bool


class HostKernel:
    """A kernel compiled for the CPU from its complete text (``gpuopt.codegen.cuda.complete.complete_source``).

    Raises
    ------
    HostCompileError
        It does not compile.
    RuntimeError
        g++ or CuPy's headers are missing.
    """

    def __init__(self, text: str) -> None:
        """Compile, or take from the cache, the text of one kernel."""
        if (reason := available()) is not None:
            raise RuntimeError(reason)
        signature = _SIGNATURE.search(text)
        if signature is None:
            raise ValueError('no kernel found: the text has no line with extern "C" __global__ void')
        self.name = signature[1]
        self.parameters = _parameters(signature[2])
        self._kernel = kernels.Kernel(kernels.library_of(text, of_host_memory=True), self.name)

    def run(self, arguments: Sequence[Any], size: int | None = None, *, grid: int = 3, block: int = 32) -> None:
        """Call the kernel once; arrays are updated in place.

        Parameters
        ----------
        arguments : sequence of ndarray or number
            One for each parameter of the signature, inputs first. Arrays have the dtype, dimensions and contiguity
            that the text was made for; scalars are converted to the parameter's type.
        size : int, optional
            Length of the loop, which a kernel of nothing but ``raw`` arrays needs; else it is that of the arrays.
        grid, block : int
            Blocks, and threads a block: small by default, so that a thread goes round the loop several times.

        Raises
        ------
        TypeError, ValueError
            An argument is not what the text was made for, or is not aligned to its items, which faults on a GPU; or what
            the text tells the compiler to assume does not hold.
        """
        *parameters, indexer = self.parameters
        if len(arguments) != len(parameters):
            raise ValueError(f"{self.name} takes {len(parameters)} arguments, got {len(arguments)}")
        packed = [_pack(parameter, argument) for parameter, argument in zip(parameters, arguments, strict=True)]
        shape = self._loop_shape(arguments, size)
        # CIndexer: size, shape, and the index that the loop sets.
        packed.append(np.array([math.prod(shape), *shape, *[0] * len(shape)], np.int64))
        if indexer.ndim != len(shape):
            raise ValueError(f"{self.name} was made for a loop of {indexer.ndim} dimensions, got {len(shape)}")
        pointers = (ctypes.c_void_p * len(packed))(*[item.ctypes.data for item in packed])
        try:
            kernels.Work(self._kernel, (grid, 1, 1), (block, 1, 1), 0, pointers, str)()
        except kernels.Fault as error:
            raise ValueError(str(error)) from None

    def _loop_shape(self, arguments: Sequence[Any], size: int | None) -> tuple[int, ...]:
        """Return the shape of the loop: that of the arrays that are not raw, which must agree, or ``(size,)``."""
        parameters = zip(self.parameters, arguments, strict=False)
        shapes = {argument.shape for parameter, argument in parameters if parameter.name.startswith("_raw_")}
        if len(shapes) > 1:
            raise ValueError(f"arrays of one call must have one shape, got {sorted(shapes)}; use np.broadcast_to")
        if not shapes:
            if size is None:
                raise ValueError("all arrays are raw: give size")
            return (size,)
        shape: tuple[int, ...] = shapes.pop()
        if size not in (None, math.prod(shape)):
            raise ValueError(f"size is {size}, but the arrays have {math.prod(shape)} elements")
        return shape


def _parameters(declarations: str) -> list[Parameter]:
    """Read the parameters of the function from its declaration."""
    found = list(_PARAMETER.finditer(declarations))
    if "".join(match[0] for match in found) != declarations:
        raise ValueError(f"cannot read the parameters {declarations!r}")
    return [_parameter(match) for match in found]


def _parameter(match: re.Match[str]) -> Parameter:
    """Read one parameter."""
    ndim = match["ndim"] or match["indexer"]
    return Parameter(
        name=match["name"],
        dtype=None if match["indexer"] else _dtype(match["item"] or match["scalar"]),
        ndim=None if ndim is None else int(ndim),
        contiguous=match["contiguous"] == "1",
        writable=match["const"] is None,
    )


def _dtype(c_type: str) -> np.dtype[Any]:
    """Return the dtype of a C++ type as CuPy spells it."""
    if c_type == "bfloat16":
        bfloat16: np.dtype[Any] = np.dtype(import_module("ml_dtypes").bfloat16)
        return bfloat16
    return np.dtype(_DTYPES[c_type])


def _pack(parameter: Parameter, argument: Any) -> np.ndarray[Any, Any]:
    """Return the bytes that the function takes: a scalar, or a CArray (pointer, size, shape, strides)."""
    if parameter.ndim is None:
        return np.array(argument, parameter.dtype)
    _check(parameter, argument)
    layout = (*argument.shape, *argument.strides) if parameter.ndim else ()
    return np.array([argument.ctypes.data, argument.size, *layout], np.int64)


def _check(parameter: Parameter, array: Any) -> None:
    """Raise where an array is not what the text was made for."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{parameter.name} is an array, got {type(array).__name__}")
    wanted = (parameter.dtype, parameter.ndim, parameter.contiguous)
    # CuPy calls an array without elements contiguous, as NumPy does.
    got = (array.dtype, array.ndim, array.flags.c_contiguous)
    if wanted != got:
        raise TypeError(f"{parameter.name}: text made for (dtype, dimensions, contiguous) = {wanted}, got {got}")
    if parameter.writable and not array.flags.writeable:
        raise ValueError(f"{parameter.name} is an output, but the array is read-only")
    if any(number % array.itemsize for number in (array.ctypes.data, *array.strides)):
        raise ValueError(f"{parameter.name} is not aligned to {array.itemsize} bytes, which faults on a GPU")

"""What a kernel of CuPy's computes on a GPU is what NumPy computes, bit by bit, if the emulated one is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpuopt.arrays.dtypes import named
from tests.support.cuda.adam import SCALARS, adam, adam_numpy, state_dtypes
from tests.support.layouts import on_device
from tests.support.variants import DTYPES, sample

pytestmark = pytest.mark.gpu
every_dtype = pytest.mark.parametrize("name", DTYPES)


def assert_same_bits(got: Any, wanted: Any) -> None:
    """Two arrays, the first one on the device, agree in dtype, shape and every bit."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    assert got.get().tobytes() == np.ascontiguousarray(wanted).tobytes()


def check_step(name: str, arrays: list[Any]) -> None:
    """Take one step of Adam on the device and compare it with NumPy's; ``arrays`` are g, p, m, v."""
    import cupy

    g, *updated = on_device(arrays)
    adam(cupy, name)(g, *SCALARS.values(), *updated)
    for got, value in zip(updated, adam_numpy(name, *arrays), strict=True):
        assert_same_bits(got, value)


@every_dtype
@pytest.mark.parametrize("size", [0, 1, 127, 1000])
def test_adam_equals_numpy(name: str, size: int) -> None:
    rng = np.random.default_rng(size)
    first, second = state_dtypes(name)
    arrays = [sample(rng, (size,), dtype) for dtype in (name, name, first)]
    check_step(name, [*arrays, np.abs(sample(rng, (size,), second))])


@every_dtype
def test_strided_arrays_of_two_dimensions(name: str) -> None:
    rng = np.random.default_rng(2)
    first, second = state_dtypes(name)
    g = np.broadcast_to(sample(rng, (7,), name), (5, 7))  # strides (0, itemsize)
    p = sample(rng, (5, 14), name)[:, ::-2]
    m = sample(rng, (7, 5), first).T
    check_step(name, [g, p, m, np.abs(sample(rng, (5, 7), second))])


@pytest.mark.parametrize("shape", [(), (4, 1, 8), (3, 5, 7)])
def test_other_dimensions(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    arrays = [sample(rng, shape, "float32") for _ in range(3)]
    check_step("float32", [*arrays, np.asarray(np.abs(sample(rng, shape[::-1], "float32"))).T])


def rounding_cases(wide: Any) -> Any:
    """Return float32 numbers that are hard to round to a dtype whose every number ``wide`` holds, and any bits."""
    finite = np.unique(wide[np.isfinite(wide)].astype(np.float64))
    halfway = ((finite[1:] + finite[:-1]) / 2).astype(np.float32)
    overflow = np.float32(finite[-1] + (finite[-1] - finite[-2]) / 2)
    near = [np.nextafter(halfway, np.float32(limit)) for limit in (-np.inf, np.inf)]
    bits = np.random.default_rng(3).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    ends = [overflow, -overflow, np.nextafter(overflow, np.float32(0))]
    return np.concatenate([halfway, *near, np.array(ends, np.float32), bits])


@pytest.mark.parametrize("name", [name for name in DTYPES if named(name).itemsize == 2])
def test_conversions_of_narrow_floats(name: str) -> None:
    import cupy

    dtype = named(name)
    every = np.arange(2**16, dtype=np.uint16).view(dtype)
    widen = cupy.ElementwiseKernel(f"{name} x", "float32 y", "y = x;", "widen")
    wide = widen(*on_device([every])).get()
    np.testing.assert_array_equal(wide, every.astype(np.float32))

    values = np.concatenate([wide, rounding_cases(wide)])
    values = values[~np.isnan(values)]  # the bits of a NaN differ between CUDA and NumPy
    narrow = cupy.ElementwiseKernel("float32 x", f"{name} y", "y = x;", "narrow")
    with np.errstate(over="ignore"):
        assert_same_bits(narrow(*on_device([values])), values.astype(dtype))


@pytest.mark.parametrize(("name", "c_type"), [("float32", "float"), ("float64", "double")])
def test_elementary_operations(name: str, c_type: str) -> None:
    import cupy

    body = f"s = sqrt(fabs(x)); q = x / y; lo = min(x, y); hi = fmax(x, y); w = x < y ? x + y : {c_type}(0);"
    outputs = ", ".join(f"{name} {output}" for output in ("s", "q", "lo", "hi", "w"))
    kernel = cupy.ElementwiseKernel(f"{name} x, {name} y", outputs, body, "elementary")
    small = 1e-30 if name == "float32" else np.finfo(name).smallest_subnormal  # those of float32 are flushed
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, small, 1.0, 3.0], name)
    x, y = (part.ravel() for part in np.meshgrid(special, special))
    rng = np.random.default_rng(4)
    x, y = (np.concatenate([part, sample(rng, (1000,), name)]) for part in (x, y))
    got = [part.get() for part in kernel(*on_device([x, y]))]
    with np.errstate(all="ignore"):
        wanted = [np.sqrt(np.abs(x)), x / y, np.fmin(x, y), np.fmax(x, y), np.where(x < y, x + y, 0).astype(name)]
    for part, value in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(part, value)
    zeros = (x == 0) & (y == 0)
    np.testing.assert_array_equal(np.signbit(got[2][zeros]), np.signbit(x[zeros]) | np.signbit(y[zeros]))
    np.testing.assert_array_equal(np.signbit(got[3][zeros]), np.signbit(x[zeros]) & np.signbit(y[zeros]))


def test_wide_loads_and_a_prefetch() -> None:
    import cupy

    body = r"""asm volatile("prefetch.global.L2 [%0];" :: "l"(&x[0]));
        reinterpret_cast<float4*>(&y[0])[i] = reinterpret_cast<const float4*>(&x[0])[i];"""
    x, y = cupy.arange(400, dtype=np.float32), cupy.zeros(400, np.float32)
    cupy.ElementwiseKernel("raw float32 x", "raw float32 y", body, "copy4")(x, y, size=100)
    assert_same_bits(y, x.get())

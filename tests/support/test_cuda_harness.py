"""The harness of ``tests/support/cuda`` is itself right.

It gives the text that CuPy compiles, reads machine code correctly, and computes what NumPy does.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuopt.codegen.cuda.complete import complete_source, kernel_options
from tests.support.cuda import hostrun, nvrtc
from tests.support.cuda.adam import REAL_TYPES, SCALARS, adam, adam_numpy, state_dtypes

DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]


@pytest.fixture(scope="module")
def cupy() -> Any:
    """CuPy, which no GPU is needed for; one CI job runs without it. One that fails to import is an error."""
    if find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    return import_module("cupy")


@pytest.fixture
def host(cupy: Any) -> Any:
    """Make a kernel that runs on the CPU from its text."""
    if (reason := hostrun.available()) is not None:
        pytest.skip(reason)
    return hostrun.HostKernel


@pytest.fixture
def compile_cubin(cupy: Any) -> Any:
    """Compile a text into machine code."""
    if (reason := nvrtc.available(disassembler=True)) is not None:
        pytest.skip(reason)
    return nvrtc.compile_cubin


def as_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of this name."""
    if name == "bfloat16":
        name = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def adam_text(cupy: Any, name: str, **layout: Any) -> str:
    """Return the text of Adam for arrays of this dtype."""
    dtype = as_dtype(name)
    return complete_source(adam(cupy, name), (dtype, *[None] * len(SCALARS), dtype, *state_dtypes(name)), **layout)


def sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return normal numbers of this dtype."""
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else values).astype(dtype)


def rounding_cases(wide: Any, dtype: Any) -> Any:
    """Return float32 numbers that are hard to round to ``dtype``, whose every number ``wide`` holds, and any bits."""
    finite = np.unique(wide[np.isfinite(wide)].astype(np.float64))
    halfway = ((finite[1:] + finite[:-1]) / 2).astype(np.float32)
    overflow = np.float32(finite[-1] + (finite[-1] - finite[-2]) / 2)
    near = [np.nextafter(halfway, np.float32(limit)) for limit in (-np.inf, np.inf)]
    bits = np.random.default_rng(3).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    ends = [overflow, -overflow, np.nextafter(overflow, np.float32(0))]
    return np.concatenate([halfway, *near, np.array(ends, np.float32), bits])


def assert_same_bits(got: Any, wanted: Any) -> None:
    """Assert that two arrays agree in dtype, shape and every bit."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(wanted).tobytes()


def check_step(host: Any, text: str, name: str, arrays: list[Any]) -> None:
    """Run one step on the CPU and compare it with NumPy's; ``arrays`` are g, p, m, v."""
    g, *updated = arrays
    wanted = adam_numpy(name, g, *updated)
    host(text).run([g, *SCALARS.values(), *updated])
    for got, value in zip(updated, wanted, strict=True):
        assert_same_bits(got, value)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 127, 1000])
def test_adam_on_the_cpu_equals_numpy_bit_by_bit(cupy: Any, host: Any, name: str, size: int) -> None:
    rng = np.random.default_rng(size)
    first, second = state_dtypes(name)
    arrays = [sample(rng, (size,), dtype) for dtype in (as_dtype(name), as_dtype(name), first)]
    check_step(host, adam_text(cupy, name), name, [*arrays, np.abs(sample(rng, (size,), second))])


@pytest.mark.parametrize("name", DTYPES)
def test_strided_arrays_of_two_dimensions(cupy: Any, host: Any, name: str) -> None:
    rng = np.random.default_rng(2)
    first, second = state_dtypes(name)
    g = np.broadcast_to(sample(rng, (7,), as_dtype(name)), (5, 7))  # strides (0, itemsize), read-only
    p = sample(rng, (5, 14), as_dtype(name))[:, ::-2]
    m = sample(rng, (7, 5), first).T
    v = np.abs(sample(rng, (5, 7), second))
    layout = [False] * 9 + [True]
    check_step(host, adam_text(cupy, name, ndim=2, contiguous=layout), name, [g, p, m, v])


@pytest.mark.parametrize("shape", [(), (4, 1, 8), (3, 5, 7)])
@pytest.mark.parametrize("index_32_bits", [True, False])
def test_other_dimensions_and_wide_indices(cupy: Any, host: Any, shape: tuple[int, ...], index_32_bits: bool) -> None:
    rng = np.random.default_rng(5)
    arrays = [np.asarray(sample(rng, shape, "float32")) for _ in range(3)]
    arrays.append(np.asarray(np.abs(sample(rng, shape[::-1], "float32"))).T)
    layout = [array.flags.c_contiguous for array in arrays]
    flags = [layout[0], *[True] * len(SCALARS), *layout[1:]]
    text = adam_text(cupy, "float32", ndim=len(shape), contiguous=flags, index_32_bits=index_32_bits)
    check_step(host, text, "float32", arrays)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_conversions_of_narrow_floats(cupy: Any, host: Any, name: str) -> None:
    dtype = as_dtype(name)
    widen = cupy.ElementwiseKernel(f"{name} x", "float32 y", "y = x;", "widen")
    every = np.arange(2**16, dtype=np.uint16).view(dtype)
    wide = np.empty(every.shape, np.float32)
    host(complete_source(widen, (dtype, "float32"))).run([every, wide])
    np.testing.assert_array_equal(wide, every.astype(np.float32))

    narrow = cupy.ElementwiseKernel("float32 x", f"{name} y", "y = x;", "narrow")
    values = np.concatenate([wide, rounding_cases(wide, dtype)])
    values = values[~np.isnan(values)]  # the bits of a NaN differ between CUDA and NumPy
    got = np.empty(values.shape, dtype)
    host(complete_source(narrow, ("float32", dtype))).run([values, got])
    with np.errstate(over="ignore"):
        assert_same_bits(got, values.astype(dtype))


@pytest.mark.parametrize(("name", "c_type"), [("float32", "float"), ("float64", "double")])
def test_elementary_operations(cupy: Any, host: Any, name: str, c_type: str) -> None:
    body = f"s = sqrt(fabs(x)); q = x / y; lo = min(x, y); hi = fmax(x, y); w = x < y ? x + y : {c_type}(0);"
    outputs = ", ".join(f"{name} {output}" for output in ("s", "q", "lo", "hi", "w"))
    kernel = cupy.ElementwiseKernel(f"{name} x, {name} y", outputs, body)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(name).smallest_subnormal, 1.0, 3.0], name)
    x, y = (part.ravel() for part in np.meshgrid(special, special))
    rng = np.random.default_rng(4)
    x, y = (np.concatenate([part, sample(rng, (1000,), name)]) for part in (x, y))
    got = [np.empty_like(x) for _ in range(5)]
    host(complete_source(kernel, [name] * 7)).run([x, y, *got])
    with np.errstate(all="ignore"):
        wanted = [np.sqrt(np.abs(x)), x / y, np.fmin(x, y), np.fmax(x, y), np.where(x < y, x + y, 0).astype(name)]
    for part, value in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(part, value)
    zeros = (x == 0) & (y == 0)
    np.testing.assert_array_equal(np.signbit(got[2][zeros]), np.signbit(x[zeros]) | np.signbit(y[zeros]))
    np.testing.assert_array_equal(np.signbit(got[3][zeros]), np.signbit(x[zeros]) & np.signbit(y[zeros]))


def test_text_and_options_are_those_that_cupy_compiles(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    core, compiler = import_module("cupy._core.core"), import_module("cupy.cuda.compiler")
    seen: dict[str, Any] = {}

    def keep(source: str, options: tuple[str, ...], **_: Any) -> None:
        seen.update(text=source, options=options)

    monkeypatch.setattr(compiler, "_compile_module_with_cache", keep)
    text = adam_text(cupy, "float16")
    core.compile_with_cache(text.split("math_constants.h>\n")[1], kernel_options(adam(cupy, "float16")))
    assert seen["text"] == text
    assert seen["options"] == core.assemble_cupy_compiler_options(("--fmad=false",))
    assert "CArray<float16, 1, 1, 1> _raw_p_io" in text
    assert "const float lr_h" in text


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_adam_compiles_for_every_architecture(cupy: Any, compile_cubin: Any, arch: str, request: pytest.FixtureRequest) -> None:
    """Every dtype for that of an H100; for each of the others, unless --exhaustive asks for all, another one."""
    of_all = arch == "sm_90" or request.config.getoption("--exhaustive")
    for name in DTYPES if of_all else [DTYPES[ARCHITECTURES.index(arch) % len(DTYPES)]]:
        compiled = compile_cubin(adam_text(cupy, name), arch, ("--fmad=false",))
        assert 16 <= compiled.registers <= 128
        assert (compiled.spill_stores, compiled.spill_loads) == (0, 0)
        if arch != "sm_90" and name not in ("float32", "float64"):
            continue  # disassembling takes most of the time
        machine_code = nvrtc.sass(compiled)
        assert bool(nvrtc.fp64_instructions(machine_code)) == (name in REAL_TYPES)
        accesses = nvrtc.global_accesses(machine_code)
        widths = [8 * np.dtype(dtype).itemsize for dtype in (as_dtype(name), as_dtype(name), *state_dtypes(name))]
        assert sorted(access.bits for access in accesses if access.is_load) == sorted(widths)
        assert sorted(access.bits for access in accesses if not access.is_load) == sorted(widths[1:])


def test_subnormals_are_flushed_as_cupy_has_it(cupy: Any, compile_cubin: Any) -> None:
    text = complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", "y = x * x;"), ("float32", "float32"))
    assert "FMUL.FTZ" in nvrtc.instructions(nvrtc.sass(compile_cubin(text)))


@pytest.mark.parametrize("operation", ["y = x * s;", "y = x * 0.1;", "y = sqrt(double(x)) / s;"])
def test_a_planted_float64_operation_is_found(cupy: Any, compile_cubin: Any, operation: str) -> None:
    kernel = cupy.ElementwiseKernel("float32 x, float64 s", "float32 y", operation)
    found = nvrtc.fp64_instructions(nvrtc.sass(compile_cubin(complete_source(kernel, ("float32", None, "float32")))))
    assert any(name.startswith(("DMUL", "MUFU")) for name in found)
    assert any(name.startswith("F2F") for name in found)


def test_spills_and_wide_loads_are_read(cupy: Any, host: Any, compile_cubin: Any) -> None:
    body = "reinterpret_cast<float4*>(&y[0])[i] = reinterpret_cast<const float4*>(&x[0])[i];"
    copy = cupy.ElementwiseKernel("raw float32 x", "raw float32 y", body, "copy4")
    text = complete_source(copy, ("float32", "float32"))
    assert [access.bits for access in nvrtc.global_accesses(nvrtc.sass(compile_cubin(text)))] == [128, 128]
    x, y = np.arange(400, dtype=np.float32), np.zeros(400, np.float32)
    host(text).run([x, y], size=100)
    assert_same_bits(y, x)

    loads = "".join(f"const float a{k} = x[i + {k}];" for k in range(64))
    stores = "".join(f"y[i * 64 + {k}] = a{k};" for k in range(64))
    crowded = cupy.ElementwiseKernel("raw float32 x", "raw float32 y", loads + stores)
    compiled = compile_cubin(complete_source(crowded, ("float32", "float32")), "sm_90", ("--maxrregcount=32",))
    assert compiled.registers <= 32
    assert min(compiled.spill_stores, compiled.spill_loads, compiled.stack) > 0
    spilled = f"{compiled.spill_stores} bytes spill stores, {compiled.spill_loads} bytes spill loads"
    assert f"{compiled.stack} bytes stack frame, {spilled}" in compiled.log


def test_errors_carry_the_message_of_the_compiler(cupy: Any, host: Any, compile_cubin: Any) -> None:
    text = complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", "y = misspelt(x);"), ("float32", "float32"))
    with pytest.raises(nvrtc.CompileError, match=r'identifier "misspelt" is undefined'):
        compile_cubin(text)
    with pytest.raises(hostrun.HostCompileError, match=r"misspelt.* was not declared"):
        host(text)


def test_inline_assembly(cupy: Any, host: Any) -> None:
    prefetch = r'asm volatile("prefetch.global.L2 [%0];" :: "l"(&x)); y = x;'
    x, y = np.ones(3, np.float32), np.zeros(3, np.float32)
    host(complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", prefetch), ("float32", "float32"))).run([x, y])
    assert_same_bits(y, x)
    square_root = r'asm volatile("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x));'
    with pytest.raises(hostrun.HostCompileError, match="with an output"):
        host(complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", square_root), ("float32", "float32")))


def test_what_the_compiler_is_told_to_assume_must_hold(cupy: Any, host: Any) -> None:
    half = cupy.ElementwiseKernel("float32 x", "float32 y", "__builtin_assume(x > 1); y = x / 2;", "half")
    kernel, x, y = host(complete_source(half, ("float32", "float32"))), np.array([2, 3, 4], np.float32), np.zeros(3, np.float32)
    kernel.run([x, y])
    assert y.tolist() == [1, 1.5, 2]
    x[2] = 1
    with pytest.raises(ValueError, match=r"half assumes what does not hold: x > 1"):
        kernel.run([x, y])


def test_arguments_that_do_not_fit_the_text_are_refused(cupy: Any, host: Any) -> None:
    scale = cupy.ElementwiseKernel("float32 x, float32 s", "float32 y", "y = s * x;")
    kernel = host(complete_source(scale, ("float32", None, "float32")))
    x = np.ones(4, np.float32)
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float32)
    readonly = np.broadcast_to(x, (4,))
    with pytest.raises(TypeError, match="_raw_x: text made for"):
        kernel.run([x.astype(np.float64), 1, x])
    with pytest.raises(TypeError, match="_raw_x: text made for"):
        kernel.run([np.ones(8, np.float32)[::2], 1, x])
    with pytest.raises(TypeError, match="_raw_x is an array"):
        kernel.run([1.0, 1, x])
    with pytest.raises(ValueError, match="one shape"):
        kernel.run([np.ones(1, np.float32), 1, x])
    with pytest.raises(ValueError, match="not aligned to 4 bytes"):
        kernel.run([x, 1, unaligned])
    with pytest.raises(ValueError, match="read-only"):
        kernel.run([x, 1, readonly])


def test_the_harness_does_not_import_cupy() -> None:
    code = (
        "import sys; sys.modules['cupy'] = None; from tests.support.cuda import hostrun, nvrtc; "
        "from gpuopt.codegen.cuda import complete; print(nvrtc.available())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "cupy" in done.stdout

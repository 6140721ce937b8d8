"""The harness of ``tests/support/cuda`` is itself right.

It gives the text that CuPy compiles, and reads machine code correctly. What a text computes is in `test_emulated_kernels`.
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
from tests.support.cuda import hostbuild, nvrtc
from tests.support.cuda.adam import REAL_TYPES, SCALARS, adam, state_dtypes

DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]


@pytest.fixture(scope="module")
def cupy() -> Any:
    """CuPy, which no GPU is needed for; one CI job runs without it. One that fails to import is an error."""
    if find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    return import_module("cupy")


def as_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of this name."""
    if name == "bfloat16":
        name = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def adam_text(cupy: Any, name: str) -> str:
    """Return the text of Adam for arrays of this dtype."""
    dtype = as_dtype(name)
    return complete_source(adam(cupy, name), (dtype, *[None] * len(SCALARS), dtype, *state_dtypes(name)))


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


@pytest.mark.machine_code
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_adam_compiles_for_every_architecture(cupy: Any, arch: str, request: pytest.FixtureRequest) -> None:
    """Every dtype for that of an H100; for each of the others, unless --exhaustive asks for all, another one."""
    of_all = arch == "sm_90" or request.config.getoption("--exhaustive")
    for name in DTYPES if of_all else [DTYPES[ARCHITECTURES.index(arch) % len(DTYPES)]]:
        compiled = nvrtc.compile_cubin(adam_text(cupy, name), arch, ("--fmad=false",))
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


@pytest.mark.machine_code
def test_subnormals_are_flushed_as_cupy_has_it(cupy: Any) -> None:
    text = complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", "y = x * x;"), ("float32", "float32"))
    assert "FMUL.FTZ" in nvrtc.instructions(nvrtc.sass(nvrtc.compile_cubin(text)))


@pytest.mark.machine_code
@pytest.mark.parametrize("operation", ["y = x * s;", "y = x * 0.1;", "y = sqrt(double(x)) / s;"])
def test_a_planted_float64_operation_is_found(cupy: Any, operation: str) -> None:
    kernel = cupy.ElementwiseKernel("float32 x, float64 s", "float32 y", operation)
    found = nvrtc.fp64_instructions(nvrtc.sass(nvrtc.compile_cubin(complete_source(kernel, ("float32", None, "float32")))))
    assert any(name.startswith(("DMUL", "MUFU")) for name in found)
    assert any(name.startswith("F2F") for name in found)


@pytest.mark.machine_code
def test_spills_and_wide_loads_are_read(cupy: Any) -> None:
    body = "reinterpret_cast<float4*>(&y[0])[i] = reinterpret_cast<const float4*>(&x[0])[i];"
    copy = cupy.ElementwiseKernel("raw float32 x", "raw float32 y", body, "copy4")
    text = complete_source(copy, ("float32", "float32"))
    assert [access.bits for access in nvrtc.global_accesses(nvrtc.sass(nvrtc.compile_cubin(text)))] == [128, 128]

    loads = "".join(f"const float a{k} = x[i + {k}];" for k in range(64))
    stores = "".join(f"y[i * 64 + {k}] = a{k};" for k in range(64))
    crowded = cupy.ElementwiseKernel("raw float32 x", "raw float32 y", loads + stores)
    compiled = nvrtc.compile_cubin(complete_source(crowded, ("float32", "float32")), "sm_90", ("--maxrregcount=32",))
    assert compiled.registers <= 32
    assert min(compiled.spill_stores, compiled.spill_loads, compiled.stack) > 0
    spilled = f"{compiled.spill_stores} bytes spill stores, {compiled.spill_loads} bytes spill loads"
    assert f"{compiled.stack} bytes stack frame, {spilled}" in compiled.log


@pytest.mark.machine_code
def test_errors_carry_the_message_of_the_compiler(cupy: Any) -> None:
    text = complete_source(cupy.ElementwiseKernel("float32 x", "float32 y", "y = misspelt(x);"), ("float32", "float32"))
    with pytest.raises(nvrtc.CompileError, match=r'identifier "misspelt" is undefined'):
        nvrtc.compile_cubin(text)
    if hostbuild.available() is None:
        with pytest.raises(hostbuild.HostCompileError, match=r"misspelt.* was not declared"):
            hostbuild.compile_library(text)


def test_inline_assembly_with_an_output_is_refused() -> None:
    """It would have to be run; `test_emulated_kernels` has a prefetch, which is dropped."""
    with pytest.raises(hostbuild.HostCompileError, match="with an output"):
        hostbuild.compile_library(r'asm volatile("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x));')


def test_the_harness_does_not_import_cupy() -> None:
    code = (
        "import sys; sys.modules['cupy'] = None; from tests.support.cuda import hostbuild, nvrtc; "
        "from gpuopt.codegen.cuda import complete; print(nvrtc.available())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "cupy" in done.stdout

"""The kernel of a single array: it compiles to lean machine code, and it computes what the NumPy executor does.

Arrays with gaps take it; `test_cuda_table` and `test_cuda_table_code` have the kernel of many arrays, and every rule. What is
compiled needs no GPU. ``GPUOPT_TEST_ARCHITECTURES=all`` in the environment compiles for every architecture; by default for one.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import gpuopt
from gpuopt.arrays.dtypes import COMPUTE, is_complex, named, state_dtype
from gpuopt.codegen.cuda.compile import compile_kernel
from gpuopt.codegen.cuda.elementwise import kernel_source
from gpuopt.codegen.cuda.reduction import reductions_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.codegen.host import compile_host
from gpuopt.codegen.source import kernels
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.rules import Adam, Momentum, Rule
from gpuopt.tracing.trace import trace
from tests.support.cuda import machine, nvrtc
from tests.support.cuda.one_by_one import one_by_one
from tests.support.layouts import on_device
from tests.support.variants import DTYPES, STRUCTURES, bits, label, mixed

EVERY_ARCHITECTURE = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
ARCHITECTURES = EVERY_ARCHITECTURE if os.environ.get("GPUOPT_TEST_ARCHITECTURES") == "all" else ["sm_90"]
REAL = [name for name in DTYPES if not name.startswith("complex")]

some_rules = pytest.mark.parametrize("rule", [Momentum(nesterov=True), Adam(amsgrad=True)], ids=label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def compiled_lean(rule: Rule, p: str, g: str, arch: str) -> nvrtc.Compiled:
    """Compile the rule's kernel with its own options; no thread may keep anything but registers."""
    compiled = machine.compile_lean(kernel_source(trace(rule, is_complex(named(p))).update, named(p), named(g)), arch)
    assert compiled.registers <= (64 if p != "complex128" else 72)  # above 64, fewer threads fit on a multiprocessor
    return compiled


@pytest.mark.machine_code
@pytest.mark.parametrize("arch", ARCHITECTURES)
@some_rules
@every_dtype
def test_it_compiles_to_lean_machine_code(rule: Rule, dtype: str, arch: str) -> None:
    """Every array is read and written once, as a whole."""
    code = machine.sass(compiled_lean(rule, dtype, dtype, arch))
    assert bool(nvrtc.fp64_instructions(code)) == (COMPUTE[dtype] == np.float64)
    traced = trace(rule, dtype.startswith("complex"))
    bits_of = {s.name: state_dtype(COMPUTE[dtype], s.complex).itemsize * 8 for s in traced.states}
    bits_of |= dict.fromkeys("pg", named(dtype).itemsize * 8)
    read, changed = ({operand.name for operand in found} for found in (traced.update.loads, traced.update.stores))
    accesses = nvrtc.global_accesses(code)
    assert sorted(a.bits for a in accesses if a.is_load) == sorted(bits_of[name] for name in read)
    assert sorted(a.bits for a in accesses if not a.is_load) == sorted(bits_of[name] for name in changed)


@pytest.mark.machine_code
@pytest.mark.parametrize("p", REAL)
def test_a_gradient_of_another_dtype_compiles(p: str) -> None:
    compiled_lean(Momentum(), p, "float64" if p != "float64" else "float16", "sm_90")


@pytest.mark.machine_code
@pytest.mark.parametrize("dtype", [*DTYPES, *map(named, DTYPES)], ids=str)
def test_the_public_text_is_the_one_that_is_compiled(dtype: Any) -> None:
    module, text = import_module("gpuopt.codegen.cuda.compile"), import_module("gpuopt.codegen.cuda.complete")
    of = named(getattr(dtype, "name", dtype))
    (written,) = kernels(Adam(), of)
    kernel = module.compile_kernel(written)
    assert gpuopt.cuda_source(Adam(lr=0.5), dtype) == text.complete_source(kernel, written.dtypes)
    assert text.kernel_options(kernel) == ("--fmad=false",)
    assert f'extern "C" __global__ void {written.name}(' in gpuopt.cuda_source(Adam(), dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex128"])
def test_the_public_text_is_the_one_that_cupy_compiles(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a reduction, of scalars and of an update."""
    import cupy

    compiler, texts = import_module("cupy.cuda.compiler"), list[str]()
    compiles = compiler._compile_module_with_cache

    def seen(source: str, *arguments: Any, **options: Any) -> Any:
        texts.append(source)
        return compiles(source, *arguments, **options)

    monkeypatch.setattr(compiler, "_compile_module_with_cache", seen)
    cupy.clear_memo()  # what was compiled before
    compile_kernel.cache_clear()
    rule = gpuopt.chain(gpuopt.clip_global_norm(1.0), Adam())
    rule.init(cupy.zeros(3, named(dtype)))
    assert gpuopt.cuda_source(rule, dtype) == "\n".join(text for text in texts if "gpuopt_" in text)


def check_steps(rule: Rule, params: Any, gradients: list[Any]) -> None:
    """Run a step for each gradient with both executors on equal arrays; p and every state agree in every bit after each."""
    traced, (twin,) = trace(rule, is_complex(params.dtype)), on_device([params])
    numpy_group = NumpyExecutor(traced, [params])
    numpy_group.prepare(traced)
    with one_by_one() as make:
        cupy_group = make(traced, [twin])
    for t, (g, given) in enumerate(zip(gradients, on_device(gradients), strict=True), start=1):
        scalars = compile_host(traced.update.scalars)(t, rule.hyper(t - 1))
        numpy_group.plan(traced.update, [g], scalars)()
        cupy_group.run(traced.update, [given], scalars)
        np.testing.assert_array_equal(bits(twin), bits(params), err_msg=f"p, step {t}")
        assert list(cupy_group.states[0]) == list(numpy_group.states[0]) == [s.name for s in traced.states]
        for name, state in numpy_group.states[0].items():
            assert cupy_group.states[0][name].dtype == state.dtype
            np.testing.assert_array_equal(bits(cupy_group.states[0][name]), bits(state), err_msg=f"{name}, step {t}")
        np.testing.assert_array_equal(bits(given), bits(g))


@pytest.mark.gpu
@some_rules
@every_dtype
def test_it_computes_the_bits_of_the_numpy_executor(rule: Rule, dtype: str, rng: np.random.Generator) -> None:
    check_steps(rule, mixed(rng, (1001,), dtype), [mixed(rng, (1001,), dtype) for _ in range(5)])


@pytest.mark.gpu
@pytest.mark.parametrize("p", REAL)
def test_gradients_of_another_dtype(p: str, rng: np.random.Generator) -> None:
    for g in REAL:
        if g != p:
            check_steps(Momentum(), mixed(rng, (1001,), p), [mixed(rng, (1001,), g) for _ in range(2)])


@pytest.mark.gpu
@every_dtype
def test_arrays_that_are_not_contiguous(dtype: str, rng: np.random.Generator) -> None:
    rule = Adam(amsgrad=True)
    whole = mixed(rng, (9, 22), dtype)
    rows, columns = mixed(rng, (9, 11), dtype), mixed(rng, (11, 9), dtype).T
    gradients = [rows, columns, rows[:, ::-1], np.broadcast_to(rows[:1], (9, 11))]
    check_steps(rule, whole[:, ::2], gradients)
    check_steps(rule, columns.copy(order="K"), gradients[:2])  # Fortran order is a flat run too


@pytest.mark.parametrize("source", [table_source, reductions_source])
def test_another_seed_is_the_same_text(source: Any) -> None:
    """So nothing is compiled for it: its parts are arguments, whatever other constants they are equal to."""
    dtype, found = np.dtype("float32"), []
    for first, second in ((0, 1), (7, 2), (70_000, 2**32 - 1)):
        rule = gpuopt.chain(
            gpuopt.gradient_noise(seed=first), gpuopt.gradient_noise(seed=second), gpuopt.clip_global_norm(1.0), Adam()
        )
        program = trace(rule.update_for(""))
        kernel = program.update if source is table_source else program.stages[0]
        found.append(source(kernel, ("m", "v"), dtype, dtype))
        assert kernel.seeds == (first % 65_536, first // 65_536, second % 65_536, second // 65_536)
    assert found[0] == found[1] == found[2]


def test_the_text_depends_on_structure_and_dtypes_alone() -> None:
    f4, f8 = np.dtype("float32"), np.dtype("float64")
    text = kernel_source(trace(Adam()).update, f4, f4)
    assert kernel_source(trace(Adam(lr=7.0, beta1=0.1)).update, f4, f4) is text
    assert kernel_source(trace(Adam(amsgrad=True)).update, f4, f4) != text
    assert kernel_source(trace(Adam()).update, f8, f8) != text
    names = {(kernel_source(trace(r).update, f4, f4).inputs, kernel_source(trace(r).update, f4, f4).body) for r in STRUCTURES}
    assert len(names) > len(STRUCTURES) // 2

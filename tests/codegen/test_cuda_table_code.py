"""The machine code of the kernel that updates many arrays: wide loads before wide stores, and nothing kept outside registers.

No GPU is needed. ``GPUOPT_TEST_ARCHITECTURES=all`` in the environment compiles everything for every architecture; by default
for one, but for two rules.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import COMPUTE, is_complex, named, state_dtype
from gpuopt.arrays.precision import Precision
from gpuopt.codegen.cuda.coded import coded_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.rules import Adam, GradientDescent, Momentum, Rule
from gpuopt.tracing.operands import Operand, hyper_array
from gpuopt.tracing.program import Kernel
from gpuopt.tracing.trace import Masked, trace
from tests.support.cuda import machine, nvrtc
from tests.support.cuda.tuned import OTHERWISE, tuned
from tests.support.variants import DTYPES, label

EVERYTHING = os.environ.get("GPUOPT_TEST_ARCHITECTURES") == "all"
EVERY_ARCHITECTURE = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
ARCHITECTURES = EVERY_ARCHITECTURE if EVERYTHING else ["sm_90"]
REAL = [name for name in DTYPES if not name.startswith("complex")]

pytestmark = pytest.mark.machine_code
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def compiled_table(
    traced: Kernel, p: str, g: str, arch: str, others: Sequence[tuple[Operand, str]] = (), stored: bool = False
) -> nvrtc.Compiled:
    """Compile the kernel with its own options; no thread may keep anything but registers."""
    states, beside = tuple(state.name for state in traced.states), tuple((name, np.dtype(dtype)) for name, dtype in others)
    compiled = machine.compile_lean(table_source(traced, states, named(p), named(g), beside, stored), arch)
    # Five blocks of 128 threads on a multiprocessor, each thread with its loads in flight; four where it has more of them.
    assert compiled.registers <= (96 if len(traced.loads) <= 9 else 128)
    return compiled


def wide_moves(traced: Kernel, p: str, g: str) -> tuple[int, int]:
    """How many times a thread loads, and stores, 16 bytes: as many elements as 16 bytes of the narrowest array hold."""
    sizes = {s.name: state_dtype(COMPUTE[p], s.complex).itemsize for s in traced.states}
    sizes |= {"p": named(p).itemsize, "g": named(g).itemsize}
    read, changed = ({operand.name for operand in found} for found in (traced.loads, traced.stores))
    elements = max(1, 16 // min(sizes[name] for name in read | changed))
    loads, stores = (sum(elements * sizes[name] for name in names) for names in (read, changed))
    assert loads % 16 == stores % 16 == 0
    return loads // 16, stores // 16


def check_code(compiled: nvrtc.Compiled, traced: Kernel, p: str, g: str) -> None:
    """Wide loads, then wide stores, nothing between them; addresses known to be global; no float64 that was not asked for."""
    code = machine.sass(compiled)
    assert bool(nvrtc.fp64_instructions(code)) == (COMPUTE[p] == np.float64 or g == "float64")
    accesses = nvrtc.global_accesses(code)
    assert [a.instruction for a in accesses if not a.instruction.startswith(("LDG", "STG"))] == []
    wide = [number for number, access in enumerate(accesses) if access.bits == 128]
    loads, stores = wide_moves(traced, p, g)
    assert [accesses[number].is_load for number in wide] == [True] * loads + [False] * stores
    assert wide == list(range(wide[0], wide[0] + loads + stores))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.every("rule", "dtype", executor=("cupy",))
def test_every_rule(rule: Rule, dtype: str, arch: str) -> None:
    traced = trace(rule, is_complex(named(dtype))).update
    compiled = compiled_table(traced, dtype, dtype, arch)
    if EVERYTHING or dtype in ("float32", "complex64") or rule in (Momentum(nesterov=True), Adam(amsgrad=True)):
        check_code(compiled, traced, dtype, dtype)  # takes longer than compiling


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex128"])
@pytest.mark.parametrize("values", OTHERWISE, ids=str)
def test_what_is_tuned_otherwise(values: dict[str, Any], dtype: str) -> None:
    with tuned(values):
        traced = trace(Adam(), is_complex(named(dtype))).update
        machine.compile_lean(table_source(traced, ("m", "v"), named(dtype), named(dtype)))


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])  # where an address not known to be global costs most
@pytest.mark.parametrize("rule", [GradientDescent(), Adam()], ids=label)
@every_dtype
def test_addresses_are_global_on_newer_architectures(rule: Rule, dtype: str, arch: str) -> None:
    traced = trace(rule, is_complex(named(dtype))).update
    check_code(compiled_table(traced, dtype, dtype, arch), traced, dtype, dtype)


@pytest.mark.parametrize(("p", "g"), [(p, g) for p in REAL for g in REAL if p != g])
def test_gradients_of_another_dtype(p: str, g: str) -> None:
    traced = trace(Momentum(), False).update
    check_code(compiled_table(traced, p, g, "sm_90"), traced, p, g)


@every_dtype
def test_scalars_that_the_device_holds(dtype: str) -> None:
    """A row of them for each array: where the arrays' step counts differ, and where the device decides about a step."""
    for rule, device_counts in ((Adam(), False), (go.chain(go.skip_nonfinite(), Adam()), True)):
        traced = trace(rule.update_for(""), is_complex(named(dtype)), mode=Masked() if device_counts else None).update
        check_code(compiled_table(traced, dtype, dtype, "sm_90", stored=True), traced, dtype, dtype)


@pytest.mark.parametrize("arch", ["sm_90", "sm_100"])
@pytest.mark.parametrize("rule", [GradientDescent(), Adam(), Adam(amsgrad=True)], ids=label)
@pytest.mark.parametrize(("dtype", "precision"), [
    ("float16", Precision(master=True)), ("bfloat16", Precision(master=True)), ("bfloat16", Precision(stochastic_rounding=True))
])  # fmt: skip
def test_parameters_of_16_bits(rule: Rule, dtype: str, precision: Precision, arch: str) -> None:
    """A parameter that has a master copy is stored and not loaded; random numbers are made and not loaded."""
    traced = trace(rule, precision=precision.of(named(dtype))).update
    loaded = tuple(operand for operand in traced.loads if operand not in traced.random)
    check_code(compiled_table(traced, dtype, dtype, arch), dataclasses.replace(traced, loads=loaded), dtype, dtype)


@pytest.mark.parametrize(
    ("dtype", "other"),
    [*(("float32", other) for other in ("bool", "int16", "float32", "float64")), ("float16", "int8"), ("complex128", "bool")],
)
def test_an_array_for_a_hyperparameter(dtype: str, other: str) -> None:
    """The narrowest of p, g and the state decides how many elements a thread takes; a narrower array has them in one load."""
    traced = trace(Adam().update_for(""), is_complex(named(dtype)), frozenset({"lr"})).update
    compiled = compiled_table(traced, dtype, dtype, "sm_90", [(hyper_array("lr"), other)])
    elements = max(1, 16 // min(4 if COMPUTE[dtype] == np.float32 else 8, named(dtype).itemsize))
    nbytes, plain = elements * np.dtype(other).itemsize, trace(Adam(), is_complex(named(dtype))).update
    accesses = nvrtc.global_accesses(machine.sass(compiled))
    assert all(access.instruction.startswith(("LDG", "STG")) for access in accesses)
    loads, stores = wide_moves(plain, dtype, dtype)
    wide = [access.is_load for access in accesses if access.bits == 128]
    assert wide == [True] * (loads + nbytes // 16) + [False] * stores
    if nbytes < 16:
        first = next(number for number, access in enumerate(accesses) if not access.is_load and access.bits == 128)
        assert 8 * nbytes in {access.bits for access in accesses[:first] if access.is_load}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_warp_takes_a_block_of_state_in_8_bits(dtype: str, arch: str) -> None:
    """All of a block is computed before any is stored, in registers; and its largest number is found without shared memory."""
    precision = Precision(state_dtype="dynamic8", stochastic_rounding=dtype == "bfloat16")
    traced = trace(Adam(), precision=precision.of(named(dtype))).update
    compiled = machine.compile_lean(coded_source(traced, ("m", "v"), named(dtype), named(dtype)), arch)
    assert compiled.registers <= 128
    code = nvrtc.instructions(machine.sass(compiled))
    assert {name for name in code if name.startswith("SHFL")} == {"SHFL.BFLY"}
    assert not any(name.startswith(("BAR", "LDS", "STS")) for name in code)

"""The machine code of reductions, of what is made of them, and of random numbers: what decides their speed."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.arrays.precision import Precision
from gpuopt.codegen.cuda.reduction import reductions_source
from gpuopt.codegen.cuda.scalars import scalar_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.tracing.trace import trace
from tests.support.cuda import machine, nvrtc

pytestmark = pytest.mark.machine_code
NORM = trace(go.chain(go.clip_global_norm(1.0), go.Adam()).update_for(""), False)


def in_flight(code: str, load: str, use: str) -> int:
    """The most loads of a kind that a thread begins before it uses what one gives: instructions of one kind without another."""
    most = now = 0
    for instruction in nvrtc.instructions(code):
        now = 0 if re.match(use, instruction) else now + bool(re.fullmatch(load, instruction))
        most = max(most, now)
    return most


@pytest.mark.parametrize(("dtype", "load"), [("float32", r"LDG\.E"), ("bfloat16", r"LDG\.E\.U16"), ("float64", r"LDG\.E\.64")])
def test_a_reduction_reads_as_fast_as_memory_gives(dtype: str, load: str) -> None:
    """Addresses known to be global, eight loads of a thread in flight, and 48 warps on a multiprocessor."""
    states = tuple(state.name for state in NORM.states)
    compiled = machine.compile_lean(reductions_source(NORM.stages[0], states, named(dtype), named(dtype)))
    code = machine.sass(compiled)
    assert compiled.registers <= 40
    assert all(access.instruction.startswith(("LDG", "STG")) for access in nvrtc.global_accesses(code))
    assert in_flight(code, load, "FADD|DADD") >= 8
    assert in_flight(code, r"LDG\.E(\.64)?\.STRONG\.SYS", "FADD|DADD") >= 8  # of the lanes that one thread adds


def test_totals_of_all_arrays_are_loaded_ahead_of_their_use() -> None:
    """Each array's thread adds the totals of all, in order, beside the other threads: what counts is how long one takes."""
    source = scalar_source(NORM, NORM.update, np.dtype("float32"), False)
    code = machine.sass(machine.compile_lean(source.kernel))
    assert in_flight(code, "DADD", "BRA") >= 8  # no branch between them, behind which a load would wait


def test_a_random_number_is_made_of_32_bits() -> None:
    """A conversion from or to 64 bits takes a unit that has a quarter of the speed."""
    program = trace(go.Adam(), precision=Precision(stochastic_rounding=True).of(named("bfloat16")))
    written = table_source(program.update, ("m", "v"), named("bfloat16"), named("bfloat16"))
    code = machine.sass(machine.compile_lean(written))
    assert not re.findall(r"(?:I2F|F2I)[\w.]*64[\w.]*", code)

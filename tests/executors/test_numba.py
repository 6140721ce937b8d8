"""The Numba executor by itself: that the loop is vector code, and what is compiled."""

from __future__ import annotations

import gc
import importlib
import linecache
import os
import platform
import re
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.arrays.precision import Precision
from gpuopt.codegen.numba import fold_source, loop_source
from gpuopt.codegen.numba_header import Stored
from gpuopt.tracing.operands import GRAD
from gpuopt.tracing.trace import trace
from tests.support.variants import bits

ROOT = Path(__file__).parents[2]
WIDE = {"sqrt": "sqrt", "divide": "div"}


@pytest.fixture(autouse=True)
def _numba(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := backend.why_not_numba():
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", "numba")


@pytest.fixture
def code() -> Any:
    return importlib.import_module("gpuopt.executors.cpu.numba_compile")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.every("rule", "dtype", executor=("numba",), dtype=("float32", "float64"))
def test_the_loop_is_vector_code(rule: Any, dtype: str, tmp_path: Path, code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed roots and divisions on wide registers; nothing contracted to a fused multiply-add."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))  # machine code from the cache has no text
    code._functions.cache_clear()
    code.loop_code.cache_clear()
    program, suffix = trace(rule).update, {"float32": "ps", "float64": "pd"}[dtype]
    (assembly,) = code.loop_code(program, np.dtype(dtype)).inspect_asm().values()
    wide = re.findall(rf"\bv?(sqrt|div){suffix}\s.*%(?:[yz]mm|xmm)\d+", assembly)
    assert {WIDE[op.op] for op in program.ops if op.op in WIDE} <= set(wide)
    assert not re.findall(r"\bvfn?m(?:add|sub)", assembly)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_rounding_at_random_is_vector_code(tmp_path: Path, code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits taken as numbers, added and cut; and the multiplications that random numbers are made of."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))
    for made in (code._functions, code.loop_code, code.fill_code):
        made.cache_clear()
    dtype = np.dtype("float32")
    loop = code.loop_code(trace(go.Adam(), precision=Precision(stochastic_rounding=True)).update, dtype)
    for function, wide in ((loop, {"sqrtps", "paddd"}), (code.fill_code(dtype), {"mulps", "psrlq"})):
        (assembly,) = function.inspect_asm().values()
        assert wide <= set(re.findall(r"\bv?(\w+)[ \t].*%[xyz]mm", assembly))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize(("is_complex", "step"), [(False, 1), (True, 1), (False, 2)])
def test_loops_fetch_all_that_they_reach(
    is_complex: bool, step: int, tmp_path: Path, code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of each array, 64 float32 at once: a fold into the second cache, an update into the first."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))
    for made in (code._functions, code.fold_code, code.loop_code):
        made.cache_clear()
    (stage,), update = trace(go.LARS(), is_complex).stages, trace(go.GradientDescent(), is_complex).update
    stored = (Stored(GRAD, "", step),) if step > 1 else ()
    for compiled, parts, hint in (
        (code.fold_code(stage, np.dtype("float32"), stored), 1 + is_complex, "prefetcht1"),
        (code.loop_code(update, np.dtype("float32"), stored), 1, "prefetcht0"),  # of one part after the other
    ):
        (assembly,) = compiled.inspect_asm().values()
        lines = parts * (1 + step) * 64 * 4 // 64  # of the parameter and the gradient
        found = len(re.findall(hint, assembly))  # some loops are there twice: LLVM makes a slower one for arrays that overlap
        assert found >= lines
        assert found % lines == 0


def test_read_only_gradients_and_other_layouts() -> None:
    """Another type of array is another compilation, not another result."""
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(2, 50_000)).astype("float32")
    frozen = g.copy()
    frozen.flags.writeable = False
    results = []
    for gradient in (g, frozen, np.repeat(g, 2)[::2]):
        opt = go.Adam().init(p.copy())
        opt.step(gradient)
        opt.step(gradient)
        results.append(bits(opt.params))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Numba, NumPy runs everything; asked for by name, it is missed."""
    monkeypatch.setattr(backend, "why_not_numba", lambda: "Numba is not installed")
    with pytest.raises(RuntimeError, match=r"GPUOPT_CPU=numba was asked for but cannot be used: Numba is not installed"):
        go.Adam().init(np.ones(3))
    monkeypatch.delenv("GPUOPT_CPU")
    assert go.Adam().init(np.ones(3)).executor == "numpy"
    assert go.info()["reasons"]["numba"] == "Numba is not installed"


def test_a_numba_that_compiles_nothing() -> None:
    """Numba's own switch for debugging leaves the arrays to NumPy."""
    script = "import numpy as np, gpuopt as go; print(go.Adam().init(np.ones(3)).executor, go.info()['reasons']['numba'])"
    variables = {name: value for name, value in os.environ.items() if name != "GPUOPT_CPU"}
    variables |= {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "numpy Numba compiles nothing, because NUMBA_DISABLE_JIT is set"


def scaled_by(constant: float) -> go.Rule:
    """A user's rule with a constant in its formula, of a class of its own."""

    class Scaled(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * np.maximum(constant * g, -constant)

    return Scaled()


OTHER_CONSTANTS: dict[str, Callable[[int], go.Rule | go.Chain]] = {
    "a user's rule": lambda k: scaled_by(1.5 + k),
    "accumulate": lambda k: go.chain(go.accumulate(2 + k), go.SGD(0.1)),
    "lookahead": lambda k: go.chain(go.SGD(0.1), go.lookahead(2 + k)),
    "the seed of noise": lambda k: go.chain(go.gradient_noise(seed=k), go.SGD(0.1)),
    "a norm": lambda k: go.chain(go.clip_norm(1.0 + k), go.SGD(0.1)),
}


@pytest.mark.parametrize("rule", OTHER_CONSTANTS.values(), ids=OTHER_CONSTANTS)
def test_another_constant_is_no_other_text(rule: Callable[[int], go.Rule | go.Chain]) -> None:
    """Which would be another compilation, whose machine code a process never gives back."""
    texts = set()
    for k in range(3):
        program = trace(rule(k).update_for(""))
        dtype = np.dtype("float32")
        texts.add("".join(fold_source(stage, dtype) for stage in program.stages) + loop_source(program.update, dtype))
    assert len(texts) == 1


def formula(terms: int) -> go.Rule:
    """A user's rule with a formula of its own, of a class made in a loop."""

    class Terms(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * sum((abs(g) * g for _ in range(terms)), g)

    return Terms()


def test_a_formula_leaves_no_module_and_no_text_behind() -> None:
    formula(1).init(np.ones(3))
    modules, lines, kept = set(sys.modules), set(linecache.cache), weakref.WeakSet[Any]()
    for terms in (2, 3):
        opt = formula(terms).init(np.ones(3))
        group = opt._binding.groups[0]
        executor: Any = group.executor
        kept.add(executor._kernels[group.programs[0].update])
        opt.step(np.ones(3))
    del opt, group, executor
    assert set(sys.modules) == modules
    assert set(linecache.cache) == lines
    gc.collect()
    assert not kept

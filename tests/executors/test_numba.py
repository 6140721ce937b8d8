"""The Numba executor by itself: its cache of machine code, and that the loop is vector code."""

from __future__ import annotations

import importlib
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.arrays.precision import Precision
from gpuopt.codegen.numba import fold_source, loop_source
from gpuopt.tracing.trace import trace
from tests.support.variants import bits

ROOT = Path(__file__).parents[2]
WIDE = {"sqrt": "sqrt", "divide": "div"}
STEP = """
import numpy as np, gpuopt as go
p = [np.ones(3, "float32"), np.ones(100_000, "float32"), np.ones((4, 4), "float32")]
opt = go.Adam().init(p)
opt.step([np.full(x.shape, 0.5, "float32") for x in p])
group = opt._binding.groups[0]
program = group.executor._kernels[group.programs[0].update]
loops = program.code.function, program.pack
print(opt.executor, p[0][0], [len(f.stats.cache_hits) for f in loops], [len(f.stats.cache_misses) for f in loops])
"""


@pytest.fixture(autouse=True)
def _numba(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := backend.why_not_numba():
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", "numba")


@pytest.fixture
def code() -> Any:
    return importlib.import_module("gpuopt.executors.cpu.numba_compile")


@pytest.fixture
def cache() -> Any:
    return importlib.import_module("gpuopt.executors.cpu.numba_cache")


def start(folder: Path) -> subprocess.Popen[str]:
    """A process that makes one step with its cache in `folder`."""
    variables = {**os.environ, "GPUOPT_CACHE_DIR": str(folder), "GPUOPT_CPU": "numba", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", STEP]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_second_process_does_not_compile(tmp_path: Path) -> None:
    outputs = []
    for _ in range(2):
        out, err = start(tmp_path / "cache").communicate(timeout=120)
        assert err == ""
        outputs.append(out.strip())
    assert outputs == ["numba 0.999 [0, 0] [1, 1]", "numba 0.999 [1, 1] [0, 0]"]


def test_processes_that_race_for_an_empty_cache(tmp_path: Path) -> None:
    racing = [start(tmp_path / "cache") for _ in range(4)]
    for process in racing:
        out, err = process.communicate(timeout=120)
        assert out.startswith("numba 0.999")
        assert err == ""
    assert not list((tmp_path / "cache" / "gpuopt").glob("*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_folder_is_private(tmp_path: Path, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading what lies there runs it, so nobody else may write there."""
    folder = tmp_path / "new" / "cache"
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(folder))
    folder = folder / "gpuopt"
    assert cache.cache_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    cache.cache_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    elsewhere = cache.cache_folder()
    assert elsewhere != folder
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made(tmp_path: Path, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path / "file"))
    assert cache.cache_folder().is_dir()


def test_no_home_folder(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user without an entry in the password file, in a container."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GPUOPT_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache.cache_folder().is_dir()


def test_a_file_that_was_changed_is_not_run(tmp_path: Path, code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path / "cache"))
    start(tmp_path / "cache").communicate(timeout=120)
    (path,) = (tmp_path / "cache" / "gpuopt").glob("*.py")
    text = path.read_text()
    path.write_text("raise SystemExit('planted')")
    out, err = start(tmp_path / "cache").communicate(timeout=120)
    assert out.startswith("numba 0.999")
    assert err == ""
    assert path.read_text() == text


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.every("rule", "dtype", executor=("numba",), dtype=("float32", "float64"))
def test_the_loop_is_vector_code(
    rule: Any, dtype: str, tmp_path: Path, code: Any, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed roots and divisions on wide registers; nothing contracted to a fused multiply-add."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))  # machine code from the cache has no text
    cache.loaded.cache_clear()
    code.loop_code.cache_clear()
    program, suffix = trace(rule).update, {"float32": "ps", "float64": "pd"}[dtype]
    (assembly,) = code.loop_code(program, np.dtype(dtype)).function.inspect_asm().values()
    wide = re.findall(rf"\bv?(sqrt|div){suffix}\s.*%(?:[yz]mm|xmm)\d+", assembly)
    assert {WIDE[op.op] for op in program.ops if op.op in WIDE} <= set(wide)
    assert not re.findall(r"\bvfn?m(?:add|sub)", assembly)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_rounding_at_random_is_vector_code(tmp_path: Path, code: Any, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits taken as numbers, added and cut; and the multiplications that random numbers are made of."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))
    for made in (cache.loaded, code.loop_code, code.fill_code):
        made.cache_clear()
    dtype = np.dtype("float32")
    loop = code.loop_code(trace(go.Adam(), precision=Precision(stochastic_rounding=True)).update, dtype).function
    for function, wide in ((loop, {"sqrtps", "paddd"}), (code.fill_code(dtype), {"mulps", "psrlq"})):
        (assembly,) = function.inspect_asm().values()
        assert wide <= set(re.findall(r"\bv?(\w+)\s.*%[xyz]mm", assembly))


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
        texts.add("".join(map(fold_source, program.stages)) + loop_source(program.update))
    assert len(texts) == 1

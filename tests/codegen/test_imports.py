"""Text is written where nothing is installed that could run it: neither Numba nor CuPy."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys

import pytest

import gpuopt.codegen
from tests.support import ROOT

MODULES = [found.name for found in pkgutil.walk_packages(gpuopt.codegen.__path__, "gpuopt.codegen.")]
WITHOUT = "import sys; sys.modules.update(numba=None, cupy=None, cupy_backends=None)"
"""To import one of them raises an error."""


def run_without(code: str) -> str:
    """What `code` prints in a process without Numba and CuPy."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GPUOPT_")}
    command = [sys.executable, "-W", "error", "-c", f"{WITHOUT}\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=120, check=False)
    assert done.stderr == ""
    return done.stdout


def test_every_module_is_imported_without_numba_and_cupy() -> None:
    assert {f"gpuopt.codegen.{name}" for name in ("host", "numpy", "numba", "cuda.elementwise", "cuda.complete")} <= set(
        MODULES
    )
    imported = "".join(f"import {name}; print({name}.__name__)\n" for name in MODULES)
    assert run_without(imported).split() == MODULES


WRITTEN = """
import gpuopt as go, numpy as np
from gpuopt.codegen import numba, numpy, source
from gpuopt.tracing.trace import trace
rule = go.chain(go.clip_global_norm(1.0), go.Adam())
program = trace(rule.update_for(""))
"""


@pytest.mark.parametrize(
    ("shown", "begins"),
    [
        ("numba.loop_source(program.update, np.dtype('float32'))", "def "),
        ("numba.fold_source(program.stages[0], np.dtype('float32'))", "def "),
        ("numpy.tile_code(program.update)", "TileCode"),
        ("source.kernels(rule, np.dtype('float32'))[-1].python()", "cupy.ElementwiseKernel("),
    ],
    ids=["Numba", "fold in Numba", "NumPy", "CUDA"],
)
def test_text_is_written_without_numba_and_cupy(shown: str, begins: str) -> None:
    assert begins in run_without(f"{WRITTEN}print({shown})")

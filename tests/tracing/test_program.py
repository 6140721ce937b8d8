"""A program prints itself: readably, and in time and space that grow with its operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen import host, numba
from gpuopt.codegen import numpy as numpy_code
from gpuopt.codegen.cuda.elementwise import kernel_source
from gpuopt.tracing.trace import trace


class Doubling(go.Rule):
    """A scalar that is a product of `n` squares: written out, its formula doubles with each."""

    lr: go.NonNegative = 0.1
    n: int = 1

    def update(self, t: Any, p: Any, g: Any) -> Any:
        k = 1.0 + 0.0 * t
        for _ in range(self.n):
            k = k * k + 0 * self.lr
        return p - self.lr * k * g


def test_adam_reads_like_adam() -> None:
    lines = str(trace(go.Adam())).splitlines()
    assert lines[0] == "Adam, update: reads p, g, m, v"
    assert any("1 - beta1" in line for line in lines)
    assert [line.split()[0] for line in lines if "<-" in line] == ["p", "m", "v"]


def test_stages_and_verdicts_are_shown() -> None:
    shown = str(trace(go.chain(go.skip_nonfinite(), go.clip_norm(1.0), go.SGD()).update_for("")))
    assert "stage 1" in shown
    assert "of the tree" in shown
    assert "made only if" in shown


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda program: numpy_code.tile_code(program.update).source,
        lambda program: numba.loop_source(program.update, np.dtype("f4")),
        lambda program: kernel_source(program.update, np.dtype("f4"), np.dtype("f4")).body,
        lambda program: "".join(map(str, map(host.compile_host, [program.update.scalars]))),
    ],
    ids=["program", "numpy", "numba", "cuda", "host"],
)
def test_what_is_written_grows_with_the_operations(write: Any) -> None:
    short, long = (len(write(trace(Doubling(n=n)))) for n in (20, 40))
    assert long < 4 * short + 4_000


def test_a_formula_of_many_shared_values_is_bound_at_once() -> None:
    x = np.ones(3)
    opt = Doubling(n=60).init(x)
    opt.step(np.ones(3))
    assert x[0] == 0.9

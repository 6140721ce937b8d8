"""Formulas that share values cost time and text in proportion to their operations, however they are nested."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen import numba
from gpuopt.codegen import numpy as numpy_code
from gpuopt.codegen.host import compile_host
from gpuopt.codegen.source import kernels
from gpuopt.tracing.trace import trace
from tests.support.executors import running_on


class Made(go.Rule):
    """A value that is made `n` times of the one before, by `step(x, p, g)`, beginning with `first`."""

    lr: go.NonNegative = 0.1
    n: int = 60

    def first(self, t: Any, p: Any, g: Any) -> Any:
        return g

    def again(self, x: Any, p: Any, g: Any) -> Any:
        raise NotImplementedError

    def update(self, t: Any, p: Any, g: Any) -> Any:
        x = self.first(t, p, g)
        for _ in range(self.n):
            x = self.again(x, p, g)
        return p - self.lr * x * g


def rule(again: Callable[[Any, Any, Any, Any], Any], first: Callable[[Any, Any, Any], Any] = lambda t, p, g: g) -> type[Made]:
    methods = {
        "again": again,
        "first": lambda self, t, p, g: first(t, p, g),
        "__module__": __name__,
    }
    return type("Shared", (Made,), methods)


SHARED: dict[str, tuple[type[Made], str]] = {
    "array": (rule(lambda self, x, p, g: x * x + 0.5 * x), "float32"),
    "a chain of arrays": (rule(lambda self, x, p, g: 0.5 * x + p), "float32"),
    "complex": (rule(lambda self, x, p, g: x * x / (x + 1) + np.sign(x) * np.abs(x)), "complex64"),
    "truth values": (rule(lambda self, x, p, g: (x & (p > 0)) | (x ^ (g > 1)), lambda t, p, g: g > 0), "float32"),
    "choices": (rule(lambda self, x, p, g: np.where(x > p, x * x, np.maximum(x, g) - x)), "float32"),
    "host": (rule(lambda self, x, p, g: x * x + 0 * self.lr, lambda t, p, g: 1 + 0.0 * t), "float32"),
    "host choices": (rule(lambda self, x, p, g: np.where(x > 1, x - 1, x + 1) * x, lambda t, p, g: 1.0 * t), "float32"),
    "a reduction": (rule(lambda self, x, p, g: x * x - x, lambda t, p, g: np.sum(g)), "float32"),
}


def made(cls: type[Made], dtype: str, n: int) -> tuple[float, int]:
    """The seconds and the letters of all texts of a rule, as every executor and a reader gets them."""
    begun = time.process_time()
    traced = trace(cls(n=n).update_for(""), dtype.startswith("c"))
    texts = [str(traced), repr(traced), *(each.body for each in kernels(cls(n=n), np.dtype(dtype)))]
    for kernel in traced.kernels:
        compile_host(kernel.scalars)
        write = numba.fold_source if kernel.reductions else numba.loop_source
        texts.append(write(kernel, np.dtype(np.float32)))
        texts.append(numpy_code.tile_code(kernel).source)
    return time.process_time() - begun, sum(map(len, texts))


@pytest.mark.parametrize("name", SHARED)
def test_sixty_lines_are_written_at_once(name: str) -> None:
    cls, dtype = SHARED[name]
    seconds, letters = made(cls, dtype, 60)
    _, half = made(cls, dtype, 30)
    assert seconds < 1.0
    assert letters < 3 * half


@pytest.mark.parametrize("name", ["array", "a chain of arrays", "host", "truth values"])
def test_a_thousand_lines_are_no_recursion(name: str) -> None:
    cls, dtype = SHARED[name]
    made(cls, dtype, 1000)


def test_a_step_of_sixty_shared_lines() -> None:
    """As bisection writes it: each round asks for a reduction, and chooses by it among numbers."""

    class simplex(go.ParameterPiece):
        rounds: int

        def update(self, t: Any, p: Any, new: Any) -> Any:
            high = np.max(new)
            low = high - 1.0
            for _ in range(self.rounds):
                middle = 0.5 * (low + high)
                over = np.sum(np.maximum(new - middle, 0.0)) > 1
                low, high = np.where(over, middle, low), np.where(over, high, middle)
            return np.maximum(new - low, 0.0)

    x = np.random.default_rng(0).normal(size=20)
    begun = time.process_time()
    with running_on("numpy"):
        go.chain(go.SGD(1.0), simplex(40)).init(x).step(np.zeros(20))
    assert time.process_time() - begun < 2.0
    assert x.sum() == pytest.approx(1.0)

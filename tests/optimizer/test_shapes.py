"""Numbers of the shape of an array in a formula: its size, its axes, and how long one is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.tracing.trace import trace
from tests.support.optimizers import everything
from tests.support.refusals import refused, table
from tests.support.variants import on_host, sample


class Scaled(go.Rule):
    """A step that depends on the shape, and a state that begins as the size."""

    lr: go.NonNegative = 0.1
    norm: bool = False

    def start(self, p: Any) -> Any:
        return (p * 0 + p.size,)

    def update(self, t: Any, p: Any, g: Any, n: Any) -> Any:
        length = np.linalg.norm(g) if self.norm else 1.0
        return p - self.lr * length / np.sqrt(g.size) * (p.ndim + p.shape[-2] / p.shape[1]) * g, n + p.size


class last_axis(go.ParameterPiece):
    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new / p.shape[1]


SHAPES = [(3, 4), (20, 30), (7, 1), (1, 5)]


@pytest.mark.every(
    "executor", kind=("float16", "float32", "float64", "complex64"), norm=(False, True), capturable=(False, True)
)
def test_the_numbers_are_those_of_each_array(
    kind: str, norm: bool, capturable: bool, executor: str, xp: Any, rng: np.random.Generator
) -> None:
    """With and without reductions beside them; what is read by hand of NumPy's arrays."""
    dtype, rule = kind, Scaled(0.1, norm=norm)
    params = [sample(rng, shape, dtype) for shape in SHAPES]
    gradients = [sample(rng, shape, dtype) for shape in SHAPES]
    opt = rule.init([xp.array(p) for p in params], capturable=capturable)
    assert [float(np.max(on_host(n).real)) for n in opt.state["n"]] == [float(p.size) for p in params]
    for step in range(2):
        opt.step([None if step == 1 and number == 1 else xp.asarray(g) for number, g in enumerate(gradients)])
    wide = complex if dtype.startswith("complex") else float
    for number, (p, g, found) in enumerate(zip(params, gradients, opt.params, strict=True)):
        exact, n = p.astype(wide), p.size * np.ones(p.shape)
        for step in range(2 - (number == 1)):
            exact, n = rule.update(step + 1, exact, g.astype(wide), n)
        tolerance = 2e-3 if dtype == "float16" else 2e-6
        assert np.allclose(on_host(found).astype(wide), exact, rtol=tolerance, atol=tolerance)
        assert np.array_equal(on_host(opt.state["n"][number]).real, n)


def test_one_text_is_for_all_shapes() -> None:
    rule = Scaled()
    assert trace(rule) is trace(rule)
    assert [str(key.name) for key in trace(rule).dimensions] == ["ndim", "shape[-2]", "shape[1]", "size"]


@table(
    ("unpacked", lambda p: p.shape, go.TraceError, ("p.shape has no length here", "p.shape[0]", "p.ndim")),
    ("sliced", lambda p: p.shape[:2], go.TraceError, ("p.shape has no length here",)),
    ("compared", lambda p: p.shape == (3, 4), go.TraceError, ("p.shape has no length here",)),
    ("multiplied", lambda p: np.prod(p.shape), go.TraceError, ("p.shape has no length here", "p.size")),
    ("given to NumPy", lambda p: np.zeros(p.shape), TypeError, ("got 'p.shape, whose entries", "write np.zeros_like(p)")),
    ("np.size", np.size, go.TraceError, ("np.size is not available in a rule: write p.size",)),
    ("np.ndim", np.ndim, go.TraceError, ("write p.ndim",)),
    ("np.shape", np.shape, go.TraceError, ("write p.shape[0] or p.shape[-1]",)),
    ("of a number", lambda p: np.sum(p).size, go.TraceError, (".size of a number", "write p.size")),
)
def test_what_is_refused(action: Any, error: Any, words: Any) -> None:
    class Wrong(go.Rule):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            value = action(p)
            return p * (sum(value) if action(p) is not None and not hasattr(value, "parts") else value)

    refused(lambda: Wrong().init(np.ones((3, 4))), error, words)


def test_an_array_without_the_axis_is_named() -> None:
    rule, params = go.chain(go.SGD(0.1), last_axis()), {"b": np.ones(3), "w": np.ones((2, 3))}
    with pytest.raises(ValueError, match=r"reads p.shape\[1\], and params\['b'\] has the shape \(3,\): .* gpuopt.partition"):
        rule.init(params)
    opt = go.partition({"b": go.SGD(0.1), "w": rule}).init(params)
    opt.step(params)
    assert np.allclose(params["w"], 0.3)


def test_a_change_of_rule_may_read_another(xp: Any) -> None:
    opt = Scaled(0.1).init([xp.ones((2, 3))])
    twin = Scaled(0.1, norm=True).init([xp.ones((2, 3))])
    opt.rule = twin.rule
    for each in (opt, twin):
        each.step([xp.ones((2, 3))])
    assert everything(opt) == everything(twin)

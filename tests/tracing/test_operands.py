"""Names that a user gives never meet each other, nor those of generated code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.cuda.table import columns
from gpuopt.tracing.operands import GRAD, PARAM, Operand, hyper_array, state
from tests.support.executors import only, running_on
from tests.support.variants import bits

RESERVED = ["size", "chunk", "number", "fold", "room", "hyper_lr", "uniform_0", "g_at", "row", "leaf", "k_in"]


def test_an_operand_is_itself_and_prints_its_name() -> None:
    assert Operand("param", "p") == PARAM
    assert len({PARAM, GRAD, state("p"), hyper_array("p")}) == 4
    assert [str(each) for each in state("m").components(is_complex=True)] == ["m.re", "m.im"]
    assert state("m").components(is_complex=False) == (state("m"),)
    assert Operand("state", "m", "im").array == state("m")
    assert [str(each) for each in (hyper_array("clip.value"), Operand("random", "1"))] == ["clip.value", "random 1"]


def test_a_state_is_no_column_of_its_name() -> None:
    for name in ("size", "chunk", "number", "fold", "room"):
        found = columns((), [name])
        assert found.index(state(name)) == len(found) - 1


@only("numba", "cupy")
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_states_may_have_any_names(dtype: str, executor: str, xp: Any) -> None:
    """With an array for lr, and random numbers beside them."""
    scope: dict[str, Any] = {"go": go, "__name__": __name__}
    exec(
        f"class R(go.Rule):\n    lr: go.NonNegative = 0.1\n"
        f"    def update(self, t, p, g, {', '.join(f'{name}={n}.0' for n, name in enumerate(RESERVED))}):\n"
        f"        {' = '.join(RESERVED[:2])} = 0.9 * {' + '.join(RESERVED)} + g\n"
        f"        return p - self.lr * size, {', '.join(f'{name} + g' for name in RESERVED)}",
        scope,
    )
    rule = go.chain(go.gradient_noise(0.1, seed=3), scope["R"]())
    found = []
    for name, module in (("numpy", np), (executor, xp)):
        with running_on(name):
            p, lr = module.array(np.arange(5).astype(dtype)), module.asarray(np.linspace(0.1, 0.5, 5, dtype="float32"))
            opt = rule.init(p, {"lr": lr})
            for _ in range(2):
                opt.step(module.asarray(np.arange(5).astype(dtype) - 2))
        found.append([bits(p), *(bits(opt.state[name]) for name in RESERVED)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)

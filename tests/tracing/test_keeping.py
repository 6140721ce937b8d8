"""What changes in some steps alone is stored in those alone, with the bits of a choice between arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.tracing.program import Kernel
from gpuopt.tracing.trace import Masked, trace
from tests.support.executors import running_on
from tests.support.optimizers import everything


class Kept(go.Rule):
    """States that a number chooses: of the step, of the array, of both; also the old value first, and one used as it was."""

    lr: go.Hyper = 0.1

    def where(self, number: Any, one: Any, other: Any, g: Any) -> Any:
        return np.where(number, one, other)

    def start(self, p: Any) -> Any:
        return p, 0.5, 0.25, p * 2, 1.5

    def update(self, t: Any, p: Any, g: Any, first: Any, even: Any, odd: Any, own: Any, both: Any) -> Any:
        large = np.max(np.abs(g)) > 1
        new = self.where(t % 3 == 0, p, p - self.lr * (g + first), g)
        even, odd = self.where(t % 2 == 0, even + 2 * g, even, g), self.where(t % 2 == 0, odd, g, g)
        both = self.where(t > 1, self.where(large, p + both, both, g), both, g)
        return new, first, even, odd, self.where(large, p, own, g), both


class Stored(Kept):
    """The same as a choice for each element, which is stored in every step."""

    def where(self, number: Any, one: Any, other: Any, g: Any) -> Any:
        return np.where((np.abs(g) >= 0) & number, one, other)


def arrays(xp: Any) -> list[Any]:
    """Packed ones, and one that is complex and has gaps."""
    rng = np.random.default_rng(5)
    real = [xp.asarray(rng.normal(size=size).astype("f")) for size in (3, 40, 7)]
    wide = xp.asarray((rng.normal(size=(30, 8)) + 1j * rng.normal(size=(30, 8))).astype("F"))
    return [*real, wide[:, ::2]]


def held(rule: go.Rule, xp: Any, gated: bool) -> Any:
    """What an optimizer holds after some steps."""
    gate = (go.accumulate(2),) if gated else ()
    opt = go.chain(*gate, rule).init(arrays(xp), capturable=gated)
    for step in range(6):
        opt.step([(x + 1) * (0.2 + step % 3 * n / 2) if step or n != 1 else None for n, x in enumerate(arrays(xp))])
    return everything(opt)[:-1]


@pytest.mark.parametrize("gated", [False, True])
def test_the_bits_of_what_is_stored_in_some_steps(executor: str, xp: Any, gated: bool) -> None:
    if gated and xp is np:
        pytest.skip("a CPU runs another program behind a gate")
    with running_on("numpy"):
        wanted = held(Stored(), np, gated)
    assert held(Kept(), xp, gated) == wanted


class Taken(go.Rule):
    """The gradient in each second step: the parameter is never read."""

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return np.where(t % 2 == 1, g, p)


def test_what_is_not_stored_stays_where_it_is_copied(executor: str, xp: Any) -> None:
    dtype = "f2"
    params = [xp.zeros((5, 6), dtype)[:, ::2], *(xp.zeros(3, dtype) for _ in range(2))]
    opt = Taken().init(params)
    opt.step([xp.ones(p.shape, dtype) for p in params])
    for p in params:
        p[...] *= 7
    opt.step([xp.ones(p.shape, dtype) for p in params])
    assert [set(p.ravel().tolist()) for p in params] == [{7.0}] * 3


def test_what_a_step_need_not_store() -> None:
    def kept(kernel: Kernel) -> set[str]:
        return {array.name for array in kernel.only_if}

    update = trace(Kept()).update
    assert kept(update) == {"p", "first", "even", "odd", "own", "both"}
    assert kept(trace(Stored()).update) == {"first"}
    assert "p0 <- p, if" in str(trace(go.DoG()).update)
    masked = trace(go.chain(go.accumulate(2), go.Adam()).update_for(None), mode=Masked())
    assert kept(masked.update) == {"p", "m", "v"}
    bytes_an_element = pytest.importorskip(
        "tools.rules_table", reason="tools is not part of this distribution"
    ).bytes_an_element
    found = {rule: bytes_an_element(trace(rule())) for rule in (go.DoG, go.Prodigy, go.MadGrad, go.COCOB)}
    assert found == {go.DoG: (24, 12), go.Prodigy: (52, 16), go.MadGrad: (32, 0), go.COCOB: (48, 0)}

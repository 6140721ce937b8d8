"""Numba's text depends on what is computed, not on the constants: a new seed or count compiles nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen import numba
from gpuopt.tracing.trace import trace


class Decays(go.Rule):
    lr: go.NonNegative = 0.1
    k: int = 1

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = m * (0.1 * self.k) + g * self.k
        return p - self.lr * m * (t + self.k) * _total(g, self.k), m


def _total(g: Any, k: int) -> Any:
    return (g * k).sum() + k


RULES: dict[str, Any] = {
    "seed": lambda k: go.chain(go.gradient_noise(seed=k), go.SGD(0.1)),
    "accumulate": lambda k: go.chain(go.accumulate(k + 1), go.SGD(0.1)),
    "lookahead": lambda k: go.chain(go.SGD(0.1), go.lookahead(k + 1)),
    "a rule's own": lambda k: Decays(k=k + 1),
}


@pytest.mark.parametrize("name", RULES)
def test_constants_are_no_part_of_the_text(name: str) -> None:
    def texts(k: int) -> list[str]:
        found, dtype = trace(RULES[name](k).update_for("")).kernels, np.dtype("float32")
        return [(numba.fold_source if kernel.reductions else numba.loop_source)(kernel, dtype) for kernel in found]

    assert texts(1) == texts(2) == texts(7)


def test_a_pair_scaled_by_a_norm_of_itself() -> None:
    """What the norm was reduced from is no part of the loop; of pairs that are alike one component is."""
    source = numba.loop_source(trace(go.LARS(weight_decay=0.1), True).update, np.dtype("float64"))
    body = source[source.rindex("for i in") :].partition("\n")[2]
    assert "o1" not in body
    assert body.count(" * ") == 3  # the decay, the learning rate, and the average


def test_a_root_of_both_parts_is_kept_between_two_loops() -> None:
    """The first takes what both parts are divided by, and the state that is real; the second both parts alike."""
    source = numba.loop_source(trace(go.Adam(), True).update, np.dtype("float32"))
    _, first, second = source.split(" for i in ")
    assert first.count("sqrt") == 1
    assert "sqrt" not in second
    assert [line.split(" = ")[0].strip()[:2] for line in second.splitlines() if "] = " in line] == ["a0", "a2"]


def test_parts_that_change_places_are_computed_together() -> None:
    class Swapped(go.Rule):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - (g.imag + 1j * g.real)

    source = numba.loop_source(trace(Swapped(), True).update, np.dtype("float32"))
    assert " for i in range(last, size):" in source

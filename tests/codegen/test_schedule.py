"""The order of NumPy's calls."""

from __future__ import annotations

import pytest

import gpuopt as go
from gpuopt.codegen import numpy as numpy_code
from gpuopt.codegen.pairs import paired
from gpuopt.codegen.schedule import arguments, misses, orders
from gpuopt.rules import rules
from gpuopt.tracing.program import Kernel
from gpuopt.tracing.trace import trace


def calls(kernel: Kernel) -> list[str]:
    return [line for line in numpy_code.tile_code.__wrapped__(kernel).source.splitlines()[1:] if "#" not in line]


def in_order(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls in the order of the formula."""
    with monkeypatch.context() as patch:
        patch.setattr(numpy_code, "orders", lambda steps: [steps])
        return calls(kernel)


def kernels(name: str) -> list[Kernel]:
    update = rules()[name]().update_for("")
    return [kernel for is_complex in (False, name != "Rprop") for kernel in trace(update, is_complex).kernels]


@pytest.mark.parametrize("name", rules())
def test_steps_come_once_and_behind_their_arguments(name: str) -> None:
    for kernel in kernels(name):
        steps = paired(kernel)
        for ordered in (each.ops for each in orders(steps)):
            assert len(ordered) == len(steps.ops)
            at = {op: number for number, op in enumerate(ordered)}
            assert at.keys() == set(steps.ops)
            assert all(at.get(arg, -1) < at[op] for op in ordered for arg in arguments(op))


@pytest.mark.parametrize("name", rules())
def test_another_order_has_neither_more_calls_nor_more_misses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in kernels(name):
        made, formula = calls(kernel), in_order(kernel, monkeypatch)
        assert (len(made), misses(made)) <= (len(formula), misses(formula))


@pytest.mark.parametrize(
    ("rule", "before", "after"), [(go.Adam(), 8, 6), (go.AdamW(), 11, 7), (go.NAdam(), 10, 8), (go.GradientDescent(), 3, 3)]
)
def test_each_array_is_read_in_one_go(rule: go.Rule, before: int, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = trace(rule).update
    assert misses(in_order(kernel, monkeypatch)) == before
    assert misses(calls(kernel)) == after


def test_misses_count_arrays_alone() -> None:
    assert misses(["multiply(k0, a1, w0)", "add(a2, w0, a2)", "sqrt(a1, a1)"]) == 3
    assert misses(["copyto(pw0[0::2], w0)", "copyto(b0, a3)", "copyto(a3, pw0)"]) == 5  # pw0 is no longer cached


def test_arrays_one_after_the_other_need_less_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest chain first would leave the root waiting while the first moment is made."""
    kernel = trace(go.Adam()).update
    assert numpy_code.tile_code.__wrapped__(kernel).scratch == ("w0",)
    monkeypatch.setattr(numpy_code, "orders", lambda steps: orders(steps)[2:])
    assert numpy_code.tile_code.__wrapped__(kernel).scratch == ("w0", "w1")

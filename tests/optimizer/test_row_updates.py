"""Rows that are updated apart: each as by an optimizer of its own, whatever was updated between."""

from __future__ import annotations

import importlib
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.codegen.host import compile_host
from gpuopt.executors import executor_of
from gpuopt.optimizer.row_counts import Numbers
from gpuopt.tracing.by_row import by_row
from gpuopt.tracing.trace import trace
from tests.support.asked import during, idle_device, on_device
from tests.support.executors import only, running_on
from tests.support.variants import bits, on_host, sample

RULES: dict[str, Any] = {
    "Adam": go.Adam(0.1),
    "a chain": go.chain(go.weight_decay(0.1), go.Momentum(0.1), go.decoupled_weight_decay(0.1)),
    "a first step that differs": go.Yogi(0.1),
    "a state that starts at p": go.MadGrad(0.1),
}


ONE = np.ones((1, 2))


def stepped(rule: Any, x: Any, steps: list[tuple[Any, Any]], **options: Any) -> list[Any]:
    """Each row by an optimizer of its own: counts, parameters, and states by name."""
    with running_on("numpy"):
        rows = [row.copy() for row in x]
        each = [rule.init(row, **options) for row in rows]
        for index, grads in steps:
            for i, g in zip(index, grads, strict=True):
                each[i].step(g)
    states = [np.array([opt.state[name] for opt in each]) for name in each[0].state]
    return [np.array([opt.counts for opt in each]), np.array(rows), *states]


def assert_same(opt: Any, path: str, wanted: list[Any]) -> None:
    np.testing.assert_array_equal(opt.counts[path], wanted[0])
    found = [opt.params[path], *(tree[path] for tree in opt.state.values())]
    for one, other in zip(found, wanted[1:], strict=True):
        np.testing.assert_array_equal(bits(one), bits(other))


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, count: int) -> list[tuple[Any, Any]]:
    """Some rows, and gradients of them, for each step."""
    indices = [rng.permutation(shape[0])[: rng.integers(1, shape[0])] for _ in range(count)]
    return [(index, sample(rng, (len(index), *shape[1:]), dtype)) for index in indices]


@pytest.mark.parametrize("dtype", ["float64", "complex64", "float16"])
@pytest.mark.parametrize("name", RULES)
def test_rows_are_arrays_of_their_own(name: str, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Also resumed, and beside an array that is updated as a whole."""
    x, rule = sample(rng, (7, 3), dtype), RULES[name]
    steps = drawn(rng, x.shape, dtype, 6)
    opt = rule.init({"rows": xp.array(x), "other": xp.ones(2)}, rows="rows")
    for number, (index, grads) in enumerate(steps):
        if number == 3:
            opt = pickle.loads(pickle.dumps(opt))
        opt.step({"rows": go.rows(index, xp.asarray(grads)), "other": xp.ones(2)})
    assert opt.counts["other"] == 6
    assert_same(opt, "rows", stepped(rule, x, steps))


def test_master_copies_and_arrays_for_hyperparameters(executor: str, xp: Any, rng: np.random.Generator) -> None:
    x, lr = sample(rng, (5, 2), "float16"), rng.random((5, 2))
    steps = drawn(rng, x.shape, "float16", 4)
    opt = go.Adam().init({"x": xp.array(x)}, {"lr": {"x": xp.asarray(lr)}}, master=True, rows="x")
    for index, grads in steps:
        opt.step({"x": go.rows(index, xp.asarray(grads))})
    with running_on("numpy"):
        rows = [row.copy() for row in x]
        each = [go.Adam().init(row, {"lr": rate}, master=True) for row, rate in zip(rows, lr, strict=True)]
        for index, grads in steps:
            for i, g in zip(index, grads, strict=True):
                each[i].step(g)
    np.testing.assert_array_equal(on_host(opt.params["x"]), rows)
    np.testing.assert_array_equal(on_host(opt.state["master"]["x"]), [opt.state["master"] for opt in each])


def test_layouts_whole_gradients_and_nothing(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """A matrix of another order, rows without elements, one axis; all rows, no row, and no gradient."""
    fortran = xp.array(np.asfortranarray(rng.normal(size=(4, 3))))
    params = {"fortran": fortran, "vector": xp.asarray(rng.normal(size=5)), "empty": xp.zeros((3, 0)), "none": xp.zeros((0, 2))}
    before = {name: on_host(x).copy() for name, x in params.items()}
    opt = go.Adam(0.1).init(params, rows="*")
    g = {name: xp.asarray(rng.normal(size=x.shape)) for name, x in params.items()}
    opt.step(g)
    opt.step({**dict.fromkeys(params), "fortran": go.rows([-1, 0], g["fortran"][:2])})
    opt.step({**dict.fromkeys(params), "vector": go.rows([], g["vector"][:0])})
    steps = [(range(4), on_host(g["fortran"])), ([3, 0], on_host(g["fortran"])[:2])]
    assert_same(opt, "fortran", stepped(go.Adam(0.1), before["fortran"], steps))
    wanted = stepped(go.Adam(0.1), before["vector"][:, None], [(range(5), on_host(g["vector"])[:, None])])
    assert_same(opt, "vector", [x.reshape(5) for x in wanted])
    assert opt.t == 3


def test_duplicates_are_refused_or_summed_in_their_order(executor: str, xp: Any) -> None:
    x = xp.zeros((4, 1), np.float32)
    opt = go.SGD(1.0).init(x, rows="*")
    grads = xp.asarray(np.array([[1e8], [5.0], [-1e8], [1.0]], np.float32))
    with pytest.raises(ValueError, match=r"index of grads holds 2 twice: .* write go\.rows\(index, grads, duplicates='sum'\)"):
        opt.step(go.rows([2, 0, 2, 2], grads))
    assert opt.t == 0
    opt.step(go.rows([2, 0, -2, 2], grads, duplicates="sum"))
    assert on_host(x)[:, 0].tolist() == [-5, 0, -1, 0]
    assert opt.counts.tolist() == [1, 0, 1, 0]


def test_a_schedule_and_another_rule(executor: str, xp: Any) -> None:
    """Schedules follow the steps of the optimizer; a new rate holds for all rows."""
    x = xp.zeros((3, 1))
    opt = go.SGD(go.schedules.Piecewise([1.0, 10.0], [1])).init(x, rows="*")
    opt.step(go.rows([0], xp.ones((1, 1))))
    opt.step(go.rows([1], xp.ones((1, 1))))
    opt.rule = go.SGD(100.0)
    opt.step(go.rows([2, 1], xp.ones((2, 1))))
    assert on_host(x)[:, 0].tolist() == [-1, -110, -100]


def test_a_new_rate_of_a_rule_that_counts() -> None:
    one, other = np.zeros((2, 1)), np.zeros(1)
    rows, alone = go.Adam(0.1).init(one, rows="*"), go.Adam(0.1).init(other)
    for rate in (0.1, 0.1, 0.5):
        rows.rule = alone.rule = go.Adam(rate)
        rows.step(go.rows([1], ONE[:, :1]))
        rows.load_state_dict({**rows.state_dict(), "counts": np.array([0, 1])})
        alone.step(np.ones(1))
        alone.load_state_dict({**alone.state_dict(), "counts": 1})
    assert one[1] == other


def test_rows_beside_a_part_that_reduces(executor: str, xp: Any) -> None:
    rule = go.partition({"rows": go.Adam(0.1), "*": go.chain(go.clip_norm(1.0), go.SGD(1.0))})
    opt = rule.init({"rows": xp.zeros((3, 2)), "whole": xp.zeros(4)}, rows=["rows"])
    for _ in range(2):
        opt.step({"rows": go.rows([1], xp.ones((1, 2))), "whole": xp.full(4, 2.0)})
    np.testing.assert_allclose(on_host(opt.params["whole"]), -1, 1e-6)
    np.testing.assert_allclose(on_host(opt.params["rows"])[:, 0], [0, -0.2, 0], 1e-6)
    assert opt.counts["rows"].tolist() == [0, 2, 0]
    assert [row.count for row in opt.summary().rows] == [2, 2]
    np.testing.assert_array_equal(on_host(opt.evaluation()["rows"]), on_host(opt.params["rows"]))


REFUSED: dict[str, Any] = {
    "accumulate, .* acts in some steps only.* a chain without it": go.chain(go.accumulate(2), go.SGD()),
    "clip_norm, .* reduces arrays.* a chain without it": go.chain(go.clip_norm(1.0), go.SGD()),
    "LAMB, .* reduces arrays.* another rule": go.chain(go.clip_norm(1.0), go.LAMB()),
    "NAdam, .* keeps a number for each array.* another rule": go.NAdam(),
    "gradient_noise, .* draws random numbers.* a chain without it": go.chain(go.gradient_noise(), go.SGD()),
    "average, .* gives other parameters.* a chain without it": go.chain(go.SGD(), go.average(0.9)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_rules_that_need_more_than_a_row(reason: str) -> None:
    with pytest.raises(ValueError, match=rf"rows: {reason} with go.partition"):
        REFUSED[reason].init({"x": np.zeros((2, 2))}, rows="x")


def test_rows_whose_state_is_rounded_at_random() -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    with pytest.raises(ValueError, match=r"rows: Adam, in the update of params, rounds at random what it stores, which"):
        go.Adam().init(np.zeros((2, 2), "f4"), rows="*", state_dtype="bfloat16")


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("y", ValueError, "rows: 'y' matches no array"),
        ([1], TypeError, "rows must be a path or a list of paths"),
        (True, TypeError, r"rows must be a path or a list of paths, .* or '\*' for all arrays, got True"),
        ("number", ValueError, r"params\['number'\] is a 0-d array, which has no rows"),
    ],
)
def test_arrays_that_have_no_rows(rows: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.SGD().init({"x": np.zeros((2, 2)), "number": np.zeros(())}, rows=rows)


def test_rows_and_a_graph() -> None:
    with pytest.raises(ValueError, match="rows cannot be combined with capturable"):
        go.SGD().init(np.zeros((2, 2)), rows="*", capturable=True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (go.rows([3], ONE), IndexError, r"index of grads\['x'\]: 3 is out of bounds for params\['x'\], which has 3 rows"),
        (go.rows([3], ONE, duplicates="sum"), IndexError, "3 is out of bounds"),
        (go.rows([True, False, False], ONE), TypeError, r"got a mask: pass np.flatnonzero\(mask\)"),
        (go.rows(np.array([[0]]), ONE), TypeError, r"1-D array or list of whole numbers, got int64 \(1, 1\)"),
        (go.rows(np.array([0.5]), ONE), TypeError, "whole numbers, got float64"),
        (go.rows([0, 1], ONE), ValueError, r"grads\['x'\] must have the shape \(2, 2\), a gradient for each of 2 rows"),
        (go.rows([0], [[1.0, 2.0]]), TypeError, r"grads\['x'\] must be a NumPy or CuPy array"),  # type: ignore[arg-type]
        (go.rows([0], ONE * 1j), TypeError, r"grads\['x'\] must have the dtype"),
        (np.ones(3), ValueError, r"grads\['x'\] must have the shape of params\['x'\]"),
    ],
)
def test_gradients_that_do_not_fit(given: Any, error: type[Exception], message: str) -> None:
    opt = go.SGD(1.0).init({"x": np.zeros((3, 2)), "w": np.zeros(1)}, rows="x")
    with pytest.raises(error, match=message):
        opt.step({"x": given, "w": np.ones(1)})
    assert not opt.params["x"].any()
    assert not opt.params["w"].any()
    assert opt.t == 0


def test_a_gradient_of_rows_that_another_array_holds() -> None:
    opt = go.SGD(1.0).init({"x": np.zeros((3, 2)), "w": np.ones(4)}, rows="x")
    with pytest.raises(ValueError, match=r"grads\['x'\] shares memory with params\['w'\]"):
        opt.step({"x": go.rows([0, 1], opt.params["w"].reshape(2, 2)), "w": None})


def test_rows_of_an_array_that_is_updated_as_a_whole() -> None:
    with pytest.raises(
        TypeError, match=r"grads has gradients of rows, but params is updated as a whole: call init with rows='\*'"
    ):
        go.SGD().init(np.zeros((3, 2))).step(go.rows([0], ONE))


def test_an_unknown_word_for_duplicates() -> None:
    with pytest.raises(ValueError, match="duplicates must be 'error' or 'sum', got 'mean'"):
        go.rows([0], ONE, duplicates="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("counts", [3, np.zeros(2, np.int64), np.full(3, -1), np.zeros(3)])
def test_counts_that_do_not_fit(counts: Any) -> None:
    opt = go.SGD().init({"x": np.zeros((3, 2))}, rows="x")
    saved = opt.state_dict()
    with pytest.raises(ValueError, match=r"counts\['x'\] must be an array of 3 whole numbers"):
        opt.load_state_dict({**saved, "counts": {"x": counts}})


def test_what_is_shown_is_a_copy() -> None:
    opt = go.SGD().init(np.zeros((3, 2)), rows="*")
    opt.counts[0] = opt.state_dict()["counts"][0] = 5
    assert opt.counts.tolist() == [0, 0, 0]


@example([[5], [7], [3, 9], [4, 10**6], [8]])
@settings(max_examples=25)
@given(st.lists(st.lists(st.one_of(st.integers(1, 40), st.integers(1, 10**6)), min_size=1, max_size=9), min_size=1, max_size=6))
def test_numbers_of_counts(steps: list[list[int]]) -> None:
    """Near each other, far apart, in any order: they are what the scalar code gives."""
    rule = go.Adam()
    rows, hyper = by_row(trace(rule)), rule.hyper(0)
    known = Numbers(rows, hyper, np.dtype(np.float64))
    for counts in steps:
        for column, number in zip(known.of(np.array(counts)), rows.numbers, strict=True):
            wanted = [compile_host((number,))(count, hyper)[0] for count in counts]
            assert column[:, 0].tolist() == wanted


def test_a_gpu_updates_rows_by_one_kernel(emulated_gpu: None) -> None:
    with idle_device() as log:
        opt = go.Adam(0.1).init({"x": on_device(np.ones((9, 2)))}, rows="x")
        for index in (1, 2):
            found = during(log, opt, {"x": go.rows([3, index], on_device(np.ones((2, 2))))})
            assert found["launch"] == 1
            assert found["copy"] == 1  # which rows, with their numbers


def test_rows_of_a_gpu_have_pinned_memory_for_the_largest_step(emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is for compiling the kernel is enough for one row."""
    module, widths = importlib.import_module("gpuopt.executors.cuda.rows"), list[int]()
    ring = module.UploadRing

    def made(runtime: Any, width: int, dtype: Any) -> Any:
        widths.append(width)
        return ring(runtime, width, dtype)

    monkeypatch.setattr(module, "UploadRing", made)
    opt = go.Adam(0.1).init({"x": on_device(np.ones((9, 2)))}, rows="x")
    for count in (1, 3, 2, 4):
        opt.step({"x": go.rows(range(count), on_device(np.ones((count, 2))))})
    assert widths == [3, 9, 12]  # for each row its index and two numbers of Adam


@only("cupy")
def test_steps_of_more_and_of_fewer_rows(xp: Any, rng: np.random.Generator) -> None:
    """More steps than are uploaded before the host waits, of arrays with gaps, and of another dtype."""
    x = sample(rng, (30, 3), "float32")
    wide = xp.zeros((30, 6), "float32")
    mine = wide[:, ::2]
    mine[...] = xp.asarray(x)
    opt = go.Adam(0.1).init(mine, rows="*")
    steps = [(rng.permutation(30)[:count], rng.normal(size=(count, 3))) for count in (*range(1, 20), 30, 2)]
    for number, (index, grads) in enumerate(steps):
        given = xp.zeros((3, len(index))).T if number % 2 else xp.zeros((len(index), 6))[:, ::2]
        given[...] = xp.asarray(grads)
        opt.step(go.rows(index, given))
    wanted = stepped(go.Adam(0.1), x, steps)
    np.testing.assert_array_equal(on_host(mine), wanted[1])
    np.testing.assert_array_equal(opt.counts, wanted[0])
    assert not on_host(wide[:, 1::2]).any()


@only("numpy", "numba")
def test_what_no_step_runs_is_not_compiled(xp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is the update of the whole array; and no step compiles."""
    kernels: list[Any] = []
    executor: Any = executor_of(np.ones(1))
    compiled = executor._compile

    def noted(self: Any, kernel: Any) -> Any:
        kernels.append(kernel)
        return compiled(self, kernel)

    monkeypatch.setattr(executor, "_compile", noted)
    opt = go.Adam(0.1).init(np.ones((4, 2)), rows="*")
    whole = trace(go.Adam())
    assert kernels == [by_row(whole).program.update]
    opt.step(go.rows([1, 2], np.ones((2, 2))))
    assert set(kernels) == {by_row(whole).program.update}

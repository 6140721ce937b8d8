"""What a step of CuPy arrays asks of the device: launches, copies and memory, counted on an emulated one that runs nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.cuda.device_values import needs_scalars
from gpuopt.codegen.host import compile_host
from gpuopt.executors import executor_of
from gpuopt.rules import USUAL, Adam, Rule, rules
from gpuopt.tracing.operands import hyper_array
from gpuopt.tracing.trace import trace
from tests.support.asked import WITHIN, arrays, asked, during, idle_device, on_device
from tests.support.pieces import EXAMPLES, chained
from tests.support.variants import ELEMENTWISE, STRUCTURES, program

every_rule = pytest.mark.every("rule", executor=("cupy",), rule=ELEMENTWISE)


@pytest.fixture
def log(emulated_gpu: None) -> Iterator[Any]:
    with idle_device() as found:
        yield found


@pytest.fixture
def without_pools(log: Any) -> Iterator[None]:
    """Each allocation is one of the device."""
    import cupy

    with cupy.cuda.using_allocator(None):
        cupy.cuda.set_pinned_memory_allocator(None)
        yield
        cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)


def gapped(array: Any) -> Any:
    """An array of the same shape with gaps between its rows."""
    return on_device(np.ones((array.shape[0], 2 * array.shape[1]), array.dtype))[:, ::2]


def uploads(kind: str, width: int, *count: int) -> Any:
    """Uploads of whole numbers: an `UploadRing`, or an `UploadCache` of so many."""
    cuda = "gpuopt.executors.cuda"
    runtime, module = (importlib.import_module(f"{cuda}.{name}") for name in ("runtime", "uploads"))
    return getattr(module, kind)(runtime.CUPY, width, np.int64, *count)


# Launches


@every_rule
def test_one_launch_updates_all_arrays(rule: Rule, log: Any) -> None:
    for count in (1, 10):
        opt, grads = rule.init(arrays(count)), arrays(count)
        assert [during(log, opt, grads)["launch"] for _ in range(3)] == [1, 1, 1]


@pytest.mark.every("rule", executor=("cupy",), rule=[rule for rule in STRUCTURES if rule not in ELEMENTWISE])
def test_the_launches_of_a_rule_that_reduces_do_not_grow_with_its_arrays(rule: Rule, log: Any) -> None:
    """Its reductions, the update, and scalars of the device for each of them. A loss that is read is put there first."""
    kernels = program(rule).kernels
    scalars = sum(needs_scalars(kernel, False) for kernel in kernels)
    launches = len(kernels) + scalars + (program(rule).loss_reader is not None)
    for count in (1, 10):
        opt, grads = rule.init(arrays(count)), arrays(count)
        assert [during(log, opt, grads)["launch"] for _ in range(3)] == [launches] * 3


@pytest.mark.parametrize("name", USUAL)
def test_one_launch_updates_a_thousand_arrays(name: str, log: Any) -> None:
    assert during(log, rules()[name]().init(arrays(1000)), arrays(1000))["launch"] == 1


@every_rule
def test_one_launch_for_each_dtype(rule: Rule, log: Any) -> None:
    opt = rule.init([*arrays(7), *arrays(5, "float64"), *arrays(3)])
    assert during(log, opt, [*arrays(7), *arrays(5, "float64"), *arrays(3)])["launch"] == 2


@every_rule
def test_one_launch_where_arrays_were_updated_unequally_often(rule: Rule, log: Any) -> None:
    opt, grads = rule.init(arrays(9)), arrays(9)
    for missing in (3, 5, 3):
        given = [None if number == missing else g for number, g in enumerate(grads)]
        assert during(log, opt, given)["launch"] == 1
    assert during(log, opt, grads)["launch"] == 1
    assert opt.counts == [2 if n == 3 else 3 if n == 5 else 4 for n in range(9)]
    assert during(log, opt, [None] * 9)["launch"] == 0


def test_an_array_with_gaps_has_a_launch_of_its_own(log: Any) -> None:
    params, grads = arrays(6), arrays(6)
    opt = Adam().init(params)
    grads[2] = gapped(grads[2])
    assert during(log, opt, grads)["launch"] == 2
    grads[3] = on_device(np.ones((2, 4), "float32")).T  # of another order than its parameter
    assert during(log, opt, grads)["launch"] == 3
    params[0] = gapped(params[0])
    assert during(log, Adam().init(params), grads)["launch"] == 4
    assert during(log, Adam().init(params), [*grads[:2], None, None, *grads[4:]])["launch"] == 2


def test_fortran_order_is_no_gap(log: Any) -> None:
    params, grads = ([on_device(np.asfortranarray(np.ones((4, 3)))), *arrays(3, "float64")] for _ in range(2))
    assert during(log, Adam().init(params), grads)["launch"] == 1
    assert during(log, go.chain(go.gradient_noise(), Adam()).init(params), grads)["launch"] == 2  # counts by indices


def test_gradients_of_another_dtype_have_a_launch_of_their_own(log: Any) -> None:
    opt, grads = Adam().init(arrays(6)), arrays(6)
    grads[1:3] = arrays(2, "float64")
    assert during(log, opt, grads)["launch"] == 2
    grads[5] = arrays(1, "float16")[0]
    assert during(log, opt, grads)["launch"] == 3


def test_arrays_without_elements_need_no_launch(log: Any) -> None:
    opt = Adam().init([*arrays(2, shape=(0, 3)), *arrays(1)])
    assert during(log, opt, [*arrays(2, shape=(0, 3)), *arrays(1)])["launch"] == 1
    assert during(log, Adam().init(arrays(2, shape=(0,))), arrays(2, shape=(0,)))["launch"] == 0


LAUNCHES = {
    "trust_ratio": 3,
    "cautious": 3,
    "update_clip": 3,
    "centralize": 3,
    "clip_global_norm": 3,
    "clip_norm": 3,
    "skip_nonfinite": 4,
    "LossScale": 4,
}
"""A reduction, scalars made of it, and the update; where the device decides about the step, it counts it too."""


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"freeze"}))
def test_the_launches_of_a_chain_do_not_grow_with_its_arrays(name: str, log: Any) -> None:
    chain = chained(EXAMPLES[name][0], Adam())
    for count in (1, 10, 100):
        opt, grads = chain.init(arrays(count)), arrays(count)
        assert [during(log, opt, grads)["launch"] for _ in range(4)][2:] == [LAUNCHES.get(name, 1)] * 2
    opt.step([None, *grads[1:]])
    more = name == "accumulate"  # one array only adds up a gradient when the others are updated
    assert [during(log, opt, grads)["launch"] for _ in range(2)] == [LAUNCHES.get(name, 1) + more] * 2


# Copies and memory


def test_addresses_are_copied_when_gradients_moved(log: Any) -> None:
    opt, one, other = Adam().init(arrays(20)), arrays(20), arrays(20)
    assert during(log, opt, one)["copy"] == 1
    assert during(log, opt, one)["copy"] == 0
    assert during(log, opt, list(one))["copy"] == 0  # another list of the same arrays
    assert during(log, opt, [g[:] for g in one])["copy"] == 0  # other objects at the same addresses
    assert during(log, opt, [*other[:1], *one[1:]])["copy"] == 1
    assert during(log, opt, other)["copy"] == 1
    assert [during(log, opt, grads)["copy"] for grads in (one, other) * 3] == [0] * 6
    several = [arrays(20) for _ in range(7)]
    assert [during(log, opt, grads)["copy"] for grads in several] == [1] * 7
    assert [during(log, opt, grads)["copy"] for grads in several * 2] == [0] * 14
    assert during(log, opt, one)["copy"] == 1  # too long ago


def test_a_row_of_scalars_is_copied_where_counts_differ(log: Any) -> None:
    opt, grads = Adam().init(arrays(5)), arrays(5)
    opt.step(grads)
    assert during(log, opt, [None, *grads[1:]])["copy"] == 1  # addresses: those that take the step were updated equally often
    assert [during(log, opt, grads)["copy"] for _ in range(3)] == [1, 1, 1]
    assert during(log, opt, [*grads[:4], None])["copy"] == 1 + 1


@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
@pytest.mark.parametrize("name", ["clip_global_norm", "LossScale", "weight_decay"])
def test_init_waits_for_what_it_began(name: str, capturable: bool, log: Any) -> None:
    """The first step may run on another stream than `init` did.

    Only hyperparameters are then copied once more, from one place of the device to another, which changes nothing.
    """
    chained(EXAMPLES[name][0], Adam()).init(arrays(3), capturable=capturable)
    while log[-1][0] == "free" or (log[-1][0] == "copy" and log[-1][3] == WITHIN):
        log.pop()
    assert log[-1][0] == "synchronize"


@every_rule
@pytest.mark.usefixtures("without_pools")
def test_a_step_allocates_nothing(rule: Rule, log: Any) -> None:
    params = [*arrays(6), *arrays(2, "float64"), gapped(arrays(1)[0])]
    opt, one, other = rule.init(params), *([*arrays(6), *arrays(2, "float64"), gapped(arrays(1)[0])] for _ in range(2))
    other[3] = gapped(other[3])
    opt.step(one)
    for grads in (
        one,
        other,
        [None, *one[1:]],
        one,
        [*other[:4], *[None] * 5],
        other,
        *([g[:] for g in one] for _ in range(9)),
    ):
        assert not {"malloc", "pinned"} & during(log, opt, grads).keys()


@pytest.mark.parametrize("kind", ["ring", "cache"])
def test_pinned_memory_is_not_written_before_it_was_copied(kind: str, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device may be many steps behind: it copies what was to be copied all the same."""
    import cupy

    from tests.support.emulated_gpu import settings

    monkeypatch.setattr(settings, "LATE", True)
    write = uploads("UploadRing", 1).write if kind == "ring" else uploads("UploadCache", 1, 2).of
    seen = cupy.empty(60, np.int64)
    for n in range(60):
        cupy.copyto(seen[n : n + 1], write([n]))
    assert asked(log)["wait"] == 60
    assert seen.get().tolist() == list(range(60))


def test_what_was_written_longest_ago_is_written_next(log: Any) -> None:
    """Where numbers change at every step, the device may be some steps behind and the host waits for none of them."""
    ring = uploads("UploadRing", 1)
    written = [ring.write([n]).data.ptr for n in range(32)]
    assert len(set(written[:16])) == 16
    assert written[16:] == written[:16]


@pytest.mark.parametrize(("width", "count"), [(1, 16), (4, 16), (5, 12), (16, 4), (40, 2), (1000, 2)])
def test_a_ring_of_large_uploads_is_short(width: int, count: int, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the rows of a large step would pin gigabytes; and the host goes on while one upload is copied."""
    monkeypatch.setattr("gpuopt.executors.cuda.uploads._RING_BYTES", 64 * 8)
    ring = uploads("UploadRing", width)
    assert len({ring.write([n]).data.ptr for n in range(32)}) == count


def test_what_was_used_longest_ago_is_forgotten_first(log: Any) -> None:
    lists = uploads("UploadCache", 1, 2)
    often, seldom = lists.of((1,)), lists.of((2,))
    assert lists.of((1,)) is often
    assert lists.of((3,)) is seldom  # another list in its place
    assert lists.of((1,)) is often
    assert asked(log)["copy"] == 3


def test_more_kinds_of_arrays_than_lists_are_kept_of_one(log: Any) -> None:
    """Each launch has a list of addresses of its own, however many launches a step has."""
    kinds, dtypes = ["bool", "int8", "int16", "float16", "float32", "float64"], ["float16", "float32", "float64"]
    params, grads = arrays(18), [arrays(1, dtype)[0] for _ in kinds for dtype in dtypes]
    others = [{hyper_array("lr"): arrays(1, kind)[0]} for kind in kinds for _ in dtypes]
    traced = trace(Adam().update_for(""), False, frozenset({"lr"}))
    group: Any = executor_of(params[0])(traced, params, hyper_arrays=others)
    log.clear()
    group.run(traced.update, grads, compile_host(traced.update.scalars)(1, Adam().hyper(0)))
    assert asked(log)["launch"] == 18
    launches = group._planner.plan(grads, None, in_order=False).launches
    held = [launch.gradients.of_all[0].get() for launch in launches]
    assert [row.nonzero()[0].tolist() for row in held] == [[number] for number in range(18)]
    assert [row.sum() for row in held] == [g.data.ptr for g in grads]


def test_a_list_that_a_graph_reads_is_never_written_again(log: Any) -> None:
    """It is there at once, for the next capture and for every step too."""
    lists = uploads("UploadCache", 2, 2)
    before = [lists.of((n, n)) for n in range(2)]
    log.clear()
    captured = lists.keep((1, 2))
    assert [what for what, *_ in log if what not in {"malloc", "pinned"}] == ["copy", "record", "synchronize"]
    assert all(captured is not other for other in before)  # a step that runs may read those
    assert lists.keep((1, 2)) is lists.of((1, 2)) is captured
    assert lists.keep((0, 0)) is before[0]
    assert all(lists.of((n, 9)) is not kept for n in range(5) for kept in (captured, before[0]))
    assert [array.get().tolist() for array in (captured, before[0])] == [[1, 2], [0, 0]]

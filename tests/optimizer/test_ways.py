"""The three ways of a step: which is chosen, what is made before a step, and what a failure leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.cuda.compile import compile_kernel
from gpuopt.optimizer.steps.plain import PlainSteps
from gpuopt.optimizer.steps.staged import StagedSteps
from gpuopt.optimizer.steps.totals import Totals, TotalsOfArray
from gpuopt.tracing.expr import Expr, ReductionKey
from tests.support.asked import arrays, asked, idle_device
from tests.support.executors import ON_CPU, only, running_on
from tests.support.optimizers import alike, everything
from tests.support.variants import bits

CHAINS = {
    "rule": go.Adam(),
    "norm": go.chain(go.clip_global_norm(1.0), go.Adam()),
    "each": go.chain(go.clip_norm(1.0), go.centralize(), go.Adam()),
    "skip": go.chain(go.skip_nonfinite(), go.Adam(), go.average()),
    "scale": go.chain(go.LossScale(), go.clip_global_norm(1.0), go.Adam()),
    "gate": go.chain(go.accumulate(2), go.clip_global_norm(1.0), go.Momentum()),
}


class Scaled(go.GradientPiece):
    """Divides by a norm if that is asked: a rule of the same structure may need reductions or not."""

    by_norm: bool = False

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g / go.tree_norm(g) if self.by_norm else g


def scaled(by_norm: bool, lr: Any = 0.5) -> Any:
    return go.chain(Scaled(by_norm), go.Momentum(lr))


@pytest.fixture
def log(emulated_gpu: None) -> Iterator[Any]:
    """What an emulated device is asked for, which runs no kernels."""
    with idle_device() as found:
        yield found


# Which way


@pytest.mark.parametrize(
    ("name", "way"), [("rule", PlainSteps), ("norm", StagedSteps), ("skip", StagedSteps), ("gate", StagedSteps)]
)
def test_the_way_on_a_cpu(name: str, way: type, tile_group: Any) -> None:
    assert type(CHAINS[name].init(np.ones(3))._steps) is way
    assert type(CHAINS[name].init(np.ones(3), capturable=True)._steps) is way


def test_the_way_on_a_gpu(log: Any) -> None:
    ways = {name: type(rule.init(arrays(2))._steps).__name__ for name, rule in CHAINS.items()}
    assert type(CHAINS["rule"].init(arrays(2), capturable=True)._steps).__name__ == "CountingSteps"
    counted_by_the_host = dict.fromkeys(("rule", "norm", "each", "gate"), "DeviceSteps")
    assert ways == {**counted_by_the_host, "skip": "CountingSteps", "scale": "CountingSteps"}


def test_nothing_is_updated() -> None:
    """A step is counted all the same."""
    x = np.ones(2)
    opt = go.chain(go.freeze("*"), go.Adam()).init({"x": x})
    opt.step({"x": np.ones(2)})
    assert (opt.t, opt.counts, x.tolist()) == (1, {"x": 0}, [1.0, 1.0])


def test_another_rule_may_change_the_way(executor: str, xp: Any) -> None:
    """State, counts and steps go on; the bits are those of an optimizer that was made for the rule then."""
    opt, lr = scaled(by_norm=False).init([xp.ones(3), xp.ones(2)]), [0.5, 0.25, 0.125, 0.0625, 0.5, 0.5]
    rules = [scaled(by_norm=step % 3 == 1, lr=lr.__getitem__ if step == 3 else lr[step]) for step in range(6)]
    ways = []
    for rule in rules:
        opt.rule = rule
        if (t := opt.t) > 0:
            resumed = rule.init([p.copy() for p in opt.params])
            resumed.load_state_dict(opt.state_dict())
            resumed.step([xp.full(3, 2.0), xp.full(2, 3.0)])
        opt.step([xp.full(3, 2.0), xp.full(2, 3.0)])
        ways.append(type(opt._steps).__name__)
        assert opt.t == t + 1
        if t:
            assert all((a == b).all() for a, b in zip(opt.params, resumed.params, strict=True))
            assert opt.counts == resumed.counts
    assert len(set(ways)) == (2 if executor in ON_CPU else 1)


# What is made before a step


@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
@pytest.mark.parametrize("name", CHAINS)
def test_init_compiles_what_a_step_of_all_arrays_launches(name: str, capturable: bool, log: Any) -> None:
    """CuPy compiles a kernel when it is first called: `init` calls each, for no array."""
    import cupy

    compile_kernel.cache_clear()  # what was compiled for another test
    cupy.clear_memo()
    opt = CHAINS[name].init([*arrays(3), *arrays(2, "float64")], capturable=capturable)
    assert asked(log)["compile"] >= 2
    log.clear()
    for _ in range(3):
        opt.step([*arrays(3), *arrays(2, "float64")])
    assert asked(log)["compile"] == 0


@only("cupy")
@pytest.mark.parametrize("name", CHAINS)
def test_what_init_launches_changes_nothing(name: str, executor: str, xp: Any) -> None:
    params: list[Any] = [np.arange(5, dtype=np.float32), np.ones((2, 3))]
    opt = CHAINS[name].init(list(map(xp.asarray, params)))
    assert (opt.t, opt.counts) == (0, [0, 0])
    assert all(np.array_equal(bits(p), bits(b)) for p, b in zip(opt.params, params, strict=True))
    wanted = CHAINS[name].init(params)
    assert {n: float(x) for n, x in opt.numbers.items()} == {n: float(x) for n, x in wanted.numbers.items()}
    assert all(np.array_equal(bits(a), bits(b)) for s in opt.state for a, b in zip(opt.state[s], wanted.state[s], strict=True))


# What is launched again

AGAIN = {
    **CHAINS,
    "schedule": go.Adam(go.schedules.Step(0.1, 2, 0.5), beta1=go.schedules.Step(0.9, 3, 0.5)),
    "noise": go.chain(go.gradient_noise(seed=7), go.Adam(go.schedules.Step(0.1, 2, 0.5))),
    "partition": go.partition({"0": go.chain(go.clip_norm(0.5), go.Adam()), "*": go.Momentum(0.1)}),
}


@only("cupy")
@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
@pytest.mark.parametrize("name", AGAIN)
def test_what_is_launched_again_has_the_numbers_of_its_step(
    name: str, capturable: bool, executor: str, xp: Any, gpu_is_emulated: bool
) -> None:
    """NumPy's bits, and those of steps with other arrays of the same values, whatever happens between them.

    A GPU's powers may differ in the last bit.
    """
    found, rule = [], AGAIN[name]
    for module, again in ((np, False), (xp, False), (xp, True)):
        params: list[Any] = [module.ones((3, 2), "float32"), module.ones(4), module.ones(5, "float32")]
        grads = [module.asarray(np.linspace(-1, 1, p.size, dtype=p.dtype).reshape(p.shape)) for p in params]
        with running_on("numpy"):
            opt = rule.init(params, capturable=capturable)
            for step in range(20):
                if step == 5:
                    opt.rule = rule.replace({next(n for n in rule.hyperparameters if n.endswith("lr")): 0.25})
                if step == 8:
                    opt.load_state_dict(opt.state_dict())
                if step == 10:
                    with pytest.raises(ValueError, match="must have the shape"):
                        opt.step([module.ones(7, "float32"), *grads[1:]])
                given = grads if again else [g.copy() for g in grads]
                opt.step([None, *given[1:]] if 12 < step < 16 else given)
            found.append(everything(opt, look=alike))
    assert found[1] == found[2]
    assert found[0] == found[1] or (capturable and not gpu_is_emulated)


@pytest.mark.parametrize("name", ["rule", "norm", "skip"])
def test_nothing_is_planned_for_gradients_like_those_of_the_step_before(name: str, log: Any) -> None:
    """The very same arrays, or others, if all are like the parameters."""
    tables: Any = import_module("gpuopt.executors.cuda.tables")
    opt, grads, others = CHAINS[name].init(arrays(3)), arrays(3), arrays(3)
    given_in_turn = (grads, grads, list(grads), others, arrays(3), *([None, *grads[1:]],) * 2, grads, others)
    with mock.patch.object(tables.LaunchPlanner, "plan", autospec=True, side_effect=tables.LaunchPlanner.plan) as plan:
        planned = []
        for given in given_in_turn:
            before = plan.call_count
            opt.step(given)
            planned.append(plan.call_count > before)
    # Once the host counts them unequally, it gives rows of numbers, which are other arrays in every step.
    assert planned == [True, False, False, False, False, True, False, True, name != "skip"]


def test_numbers_that_a_schedule_does_not_give_leave_nothing_behind(some_gpu: None) -> None:
    def schedule(step: int) -> float:
        if fails and step == 2:
            raise KeyError("mine")
        return 0.1 * step

    fails, params, grads = True, arrays(2, "float64"), arrays(2, "float64")
    opt, wanted = go.SGD(schedule).init(params), 1.0
    for step in range(4):
        if step == 2:
            with pytest.raises(KeyError, match="mine"):
                opt.step(grads)
            fails = False
        opt.step(grads)
        wanted -= 0.1 * step
        assert all((p.get() == wanted).all() for p in params)


# What a failure leaves


def test_a_kernel_that_cannot_be_written_stops_a_step_before_it_begins(log: Any) -> None:
    """Gradients of another dtype need another text; nothing was launched, and the optimizer goes on."""
    module = import_module("gpuopt.executors.cuda.launch")
    opt = go.Adam().init([*arrays(2), *arrays(1, "float64")])
    with mock.patch.object(module, "table_source", side_effect=RuntimeError("no compiler")):
        opt.step([*arrays(2), *arrays(1, "float64")])
        log.clear()
        with pytest.raises(RuntimeError, match="no compiler"):
            opt.step([*arrays(2), *arrays(1)])
    assert asked(log)["launch"] == 0
    opt.step([*arrays(2), *arrays(1)])
    assert (opt.t, opt.counts) == (2, [2, 2, 2])


@pytest.mark.parametrize("name", ["rule", "norm", "skip"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_step_is_broken_off_once_a_kernel_was_launched(name: str, number: int, log: Any) -> None:
    """If the first launch fails, as without NVRTC, nothing was written: the next step is made."""
    from tests.support.emulated_gpu import streams

    def launch(stream: int, work: Any, what: str, *of: Any) -> None:
        if what == "launch" and asked(log)["launch"] == number:
            raise RuntimeError("NVRTC could not be loaded")
        put(stream, work, what, *of)

    put, opt = streams.put, CHAINS[name].init([*arrays(2), *arrays(1, "float64")])
    given = [*arrays(2), *arrays(1, "float64")]
    log.clear()
    with mock.patch.object(streams, "put", launch), pytest.raises(RuntimeError, match="NVRTC could not be loaded"):
        opt.step(given)
    with pytest.raises(RuntimeError, match="interrupted halfway") if number else contextlib.nullcontext():
        opt.step(given)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_step_that_fails_on_a_cpu_is_broken_off(error: type[BaseException], tile_group: Any) -> None:
    opt = go.Adam().init(np.ones(3))
    with mock.patch.object(tile_group, "_run", side_effect=error), pytest.raises(error):
        opt.step(np.ones(3))
    with pytest.raises(RuntimeError, match="interrupted halfway"):
        opt.step(np.ones(3))


@contextlib.contextmanager
def failing(number: int = -1) -> Iterator[list[int]]:
    """CuPy's allocation with that number fails, on the device or in pinned memory; and how many there were."""
    import cupy

    made = [0]

    def counted(make: Callable[[int], Any]) -> Callable[[int], Any]:
        def allocate(size: int) -> Any:
            made[0] += 1
            if made[0] == number + 1:
                raise MemoryError("out of memory")
            return make(size)

        return allocate

    pinned = cupy.get_default_pinned_memory_pool().malloc
    with cupy.cuda.using_allocator(counted(cupy.get_default_memory_pool().malloc)):
        cupy.cuda.set_pinned_memory_allocator(counted(pinned))
        try:
            yield made
        finally:
            cupy.cuda.set_pinned_memory_allocator(pinned)


@only("cupy")
@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
def test_memory_that_runs_out_as_a_rule_is_set_leaves_everything_as_it_was(capturable: bool, executor: str, xp: Any) -> None:
    """Each allocation fails once; the rule before is used on, and then there is room."""
    grads = [xp.full(3, 2.0), xp.full(2, 3.0)]

    def made() -> Any:
        opt = scaled(by_norm=False).init([xp.ones(3), xp.ones(2)], capturable=capturable)
        opt.step(grads)
        return opt

    opt, twin = made(), made()
    with failing() as count:
        made().rule = scaled(by_norm=True)
    total = count[0]
    with failing() as count:
        made()
    total -= count[0]
    assert total > 3
    for number in range(total):
        with failing(number), pytest.raises(MemoryError):
            opt.rule = scaled(by_norm=True)
        assert opt.rule == scaled(by_norm=False)
        opt.step(grads)
        twin.step(grads)
        assert all(np.array_equal(bits(a), bits(b)) for a, b in zip(opt.params, twin.params, strict=True))
        opt, twin = made(), made()
    opt.rule = twin.rule = scaled(by_norm=True)
    opt.step(grads)
    twin.step(grads)
    assert opt.t == 2
    assert all(np.array_equal(bits(a), bits(b)) for a, b in zip(opt.params, twin.params, strict=True))


# Totals


def test_totals_are_of_an_array_or_of_all() -> None:
    """In the order of the tree, whatever order they came in; those that are missing count nothing."""
    size = ReductionKey("size", "array")
    totals = Totals(4, {size: [3.0, 4.0, 5.0, 6.0]}, {})
    add, largest = ReductionKey("n", "tree"), ReductionKey("m", "tree")
    values = [1e16, 1.0, -1e16]
    totals.add(Expr(0, "sum", (), add), [3, 1], [values[2], values[1]])
    totals.add(Expr(0, "sum", (), add), [0], [values[0]])
    totals.add(Expr(1, "max", (), largest), [1, 3], [-7.0, -2.0])
    assert totals.tree(add) == (values[0] + values[1]) + values[2] == 0.0
    assert totals.tree(largest) == -2.0
    assert (totals.array(add, 3), totals.array(size, 2)) == (-1e16, 5.0)
    seen = TotalsOfArray(totals, 2)
    assert (seen[size], seen[largest]) == (5.0, -2.0)

"""Memory goes when its owner goes: at once, without Python's collector of cycles."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.host import compile_host
from gpuopt.codegen.numpy import tile_code
from gpuopt.tracing.trace import trace

RULES: dict[str, tuple[go.Rule | go.Chain | go.Partition, str, dict[str, Any]]] = {
    "plain": (go.Adam(0.1), "float32", {}),
    "reductions": (go.chain(go.skip_nonfinite(), go.clip_norm(1.0), go.clip_global_norm(1.0), go.Adam(0.1)), "float32", {}),
    "pieces": (go.chain(go.accumulate(2), go.SGD(0.1), go.lookahead(2), go.average()), "float32", {}),
    "noise": (go.chain(go.gradient_noise(seed=1), go.SGD(0.1)), "float64", {}),
    "numbers": (go.chain(go.LossScale(), go.Momentum(0.1)), "float16", {}),
    "partition": (go.partition({"a": go.Adam(0.1), "*": go.SGD(0.1)}), "complex64", {}),
    "schedule": (go.Adam(go.schedules.Cosine(0.1, 100)), "float32", {}),
    "master": (go.Adam(0.1), "float16", {"master": True}),
}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing but counts of references frees memory; in the end there is no garbage of the library's."""
    gc.disable()
    gc.freeze()  # what there was before is looked at no more, which takes most of the time
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        cyclic = {type(it).__qualname__ for it in gc.garbage if type(it).__module__.startswith("gpuopt")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
    assert not cyclic


def arrays(xp: Any, dtype: str) -> dict[str, Any]:
    """Large and small ones, in several layouts."""
    order, gaps = xp.ones((30, 40), dtype).T, xp.ones((20, 8), dtype)[:, ::2]
    return {"a": xp.ones(200_000, dtype), "b": [order, gaps, xp.ones(4, dtype), xp.ones(5, dtype)]}


def used(xp: Any, rule: Any, dtype: str, options: dict[str, Any]) -> list[weakref.ref[Any]]:
    """Make an optimizer and use it in all ways; what must be gone afterwards."""
    params, grads = arrays(xp, dtype), arrays(xp, dtype)
    opt = rule.init(params, **options)
    for _ in range(3):
        opt.step(grads)
    opt.step({"a": None, "b": grads["b"]})
    opt.load_state_dict(opt.state_dict())
    opt.rule = rule
    opt.evaluation()
    with pytest.raises(ValueError):
        opt.step({"a": None})
    states = [weakref.ref(buffer) for tree in opt.state.values() if (buffer := getattr(tree["a"], "base", None)) is not None]
    return [weakref.ref(opt), weakref.ref(params["a"]), weakref.ref(grads["a"]), *states]


@pytest.mark.parametrize(("rule", "dtype", "options"), RULES.values(), ids=RULES)
def test_an_optimizer_that_is_dropped_frees_its_arrays(
    rule: Any, dtype: str, options: dict[str, Any], executor: str, xp: Any, uncollected: None
) -> None:
    assert not [alive for alive in used(xp, rule, dtype, options) if alive() is not None]


def minimized(xp: Any) -> Any:
    return go.minimize(lambda x: (float(x @ x), 2 * x), xp.ones(50_000), go.Adam(0.1), maxiter=3).x


def fitted(xp: Any) -> Any:
    params = {"w": xp.zeros(50_000)}
    go.fit(lambda p, x: (x.mean(), {"w": xp.ones(50_000)}), params, xp.ones((20, 3)), go.Adam(0.1), batch_size=10)
    return params["w"]


def stepped(xp: Any) -> Any:
    opt = go.Adam(0.1).init(xp.ones(50_000))
    opt.step(xp.ones(50_000))
    return opt.params


def most_used(xp: Any, work: Callable[[], Any]) -> int:
    """The bytes that arrays need at once, at most, while something is done."""
    if xp is np:
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    pool = xp.cuda.MemoryPool()
    with xp.cuda.using_allocator(pool.malloc):
        work()
        return int(pool.total_bytes())


@pytest.mark.parametrize("train", [stepped, minimized, fitted])
def test_twelve_in_a_row_need_the_memory_of_one(train: Callable[[Any], Any], executor: str, xp: Any, uncollected: None) -> None:
    assert train(xp) is not None  # compiled
    one = most_used(xp, lambda: train(xp))
    assert most_used(xp, lambda: [train(xp).size for _ in range(12)]) < 1.5 * one


def test_generated_code_goes_with_the_last_reference() -> None:
    """A function whose globals hold it is a cycle, which stays until the collector runs."""

    class Mine(go.Rule):
        """No other test has its code, so nothing else holds that."""

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - g * np.sqrt(0.123 * t) / 7.5

    program = trace(Mine().update_for(""))
    made = [compile_host(program.update.scalars), tile_code(program.update).function]
    seen = [weakref.ref(each) for each in made]
    gc.collect()
    gc.disable()
    try:
        del made
        compile_host.cache_clear()
        tile_code.cache_clear()
        assert [each() for each in seen] == [None, None]
    finally:
        gc.enable()


def test_a_rule_without_functions_of_whole_arrays_begins_without_a_copy() -> None:
    param = np.zeros(1_000_000, "float16")
    assert most_used(np, lambda: go.GradientDescent().init(param)) < param.nbytes

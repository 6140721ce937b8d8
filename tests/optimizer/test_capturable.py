"""Steps that may be captured: nothing in them that changes from step to step comes from the host."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.asked import WITHIN
from tests.support.captures import CHAINS, SCHEDULE, arrays, captured, fill, on_device
from tests.support.executors import mostly_asked_for
from tests.support.optimizers import alike, everything
from tests.support.variants import DTYPES, bits, sample


def mine(step: Any) -> Any:
    return 0.1 / (1 + step)


@pytest.mark.parametrize("name", mostly_asked_for(CHAINS, "norm"))
def test_a_captured_step_replays_as_steps_of_numpy(
    name: str, some_gpu: None, gpu_is_emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured once and replayed, with a new learning rate in between: parameters, state and counts of plain steps."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    rule, found = CHAINS[name], []
    changed = {
        field: 0.25 for field in rule.hyperparameters if field.rpartition(".")[2] in ("beta2", "max_norm", "beta", "eta")
    }
    params, grads = arrays()
    opt = rule.init(params)
    for step in range(9):
        if step == 5:
            opt.rule = opt.rule.replace(changed)
        opt.step(fill(grads, step))
    found.append(everything(opt, look=alike))
    for replays in (False, True):
        params, grads = map(on_device, arrays())
        opt = rule.init(params, capturable=True)

        def step_again(opt: Any = opt, grads: Any = grads) -> None:
            opt.step(grads)

        replay = captured(step_again)
        assert (opt.t, opt.counts) == (0, [0] * len(params))
        for step in range(9):
            if step == 5:
                opt.rule = opt.rule.replace(changed)
            fill(grads, step)
            replay() if replays else step_again()
        found.append(everything(opt, look=alike))
    assert found[1] == found[2]
    assert found[0] == found[1] or not gpu_is_emulated  # a GPU's powers may differ in the last bit


def test_a_capture_shares_no_memory_with_the_steps_around_it(some_gpu: None) -> None:
    """Though it has the gradients of the step before: what those brought to the device is overwritten by later ones."""
    rule = go.chain(go.clip_global_norm(0.5), go.Adam(SCHEDULE))
    found, others = [], [on_device(arrays()[1]) for _ in range(40)]  # each at other addresses
    for replays in (False, True):
        params, grads = map(on_device, arrays())
        opt = rule.init(params, capturable=True)
        opt.step(fill(grads, 0))

        def step_again(opt: Any = opt, grads: Any = grads) -> None:
            opt.step(grads)

        replay = captured(step_again) if replays else step_again
        for step, other in enumerate(others):
            opt.step(fill(other, 100 + step))
        fill(grads, 1)
        replay()
        opt.step(fill(grads, 2))
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]


class Shifting(go.Rule):
    """A shift of 0 is in no kernel."""

    shift: go.Hyper

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - (g + self.shift if self.shift else g)


def test_a_rule_that_needs_another_kernel_is_used_at_once(some_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the gradients are those of the step before."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    found = []
    for place in (list, on_device):
        params, grads = map(place, arrays())
        opt = Shifting(shift=0.0).init(params, capturable=True)
        opt.step(fill(grads, 0))
        opt.rule = Shifting(shift=0.5)
        opt.step(grads)
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]


@pytest.mark.parametrize("capturable", [False, True])
def test_gradients_with_gaps_are_not_kept_alive(capturable: bool, some_gpu: None) -> None:
    import cupy

    x, whole = cupy.ones((4, 3)), cupy.ones((4, 6))
    g, seen = whole[:, ::2], weakref.ref(whole)  # a view of a view holds the memory by the whole alone
    opt = go.Adam().init(x, capturable=capturable)
    for _ in range(2):
        opt.step(g)
    del g, whole
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("name", mostly_asked_for(CHAINS, "norm"))
def test_nothing_is_allocated_after_init(name: str, emulated_gpu: None) -> None:
    """Nor anything sent to the device, once it has the addresses of the gradients; nor does anything wait.

    What a number of the tree is after the step is copied on the device.
    """
    import cupy

    from tests.support.emulated_gpu.streams import log

    params, grads = map(on_device, arrays())
    opt = CHAINS[name].init(params, capturable=True)
    taken: list[int] = []

    class Count(cupy.cuda.MemoryHook):  # type: ignore[misc]  # untyped
        name = "count"

        def malloc_preprocess(self, **details: Any) -> None:
            taken.append(details["size"])

    for step in range(4):
        fill(grads, step)
        before = len(log)
        with Count():
            opt.step(grads)
        asked = {what for what, *how in list(log)[before:] if what != "copy" or how[2] != WITHIN}
        assert asked <= ({"launch", "copy", "record", "wait"} if step == 0 else {"launch"}), step
    assert taken == []


def test_counts_are_those_of_the_device(some_gpu: None) -> None:
    """Arrays may have different ones; a step that is skipped is none."""
    params, grads = map(on_device, arrays())
    opt = go.chain(go.skip_nonfinite(), go.Adam(SCHEDULE)).init(params, capturable=True)
    for step in range(7):
        fill(grads, step)
        opt.step([None if step == 1 else grads[0], *grads[1:]])
    assert (opt.t, opt.counts) == (6, [5, 6, 6, 6])


def test_it_changes_nothing(xp: Any, executor: str) -> None:
    """On NumPy arrays; on a GPU the last bit of a bias correction, which is made there."""
    found = []
    for capturable in (False, True):
        x = xp.linspace(-1, 1, 50)
        opt = go.Adam(lr=SCHEDULE).init(x, capturable=capturable)
        for _ in range(4):
            opt.step(x * x)
        assert (opt.t, opt.counts, opt.executor, opt.capturable) == (4, 4, executor, capturable)
        found.append(x)
    if executor == "cupy":
        assert bool(xp.allclose(*found, rtol=1e-12, atol=0))
    else:
        assert bits(found[0]).tolist() == bits(found[1]).tolist()


@pytest.mark.parametrize("dtype", mostly_asked_for(DTYPES, "complex64"))
def test_every_dtype_and_arrays_for_hyperparameters(dtype: str, emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    found = []
    for place, capturable in ((list, False), (on_device, True)):
        rng = np.random.default_rng(2)
        params = [sample(rng, (5, 4), dtype), sample(rng, (3, 4), dtype).T, sample(rng, (), dtype)]
        rates = [np.linspace(0, 0.1, 4), np.linspace(0, 0.1, 12).reshape(4, 3), None]
        opt = go.chain(go.clip_norm(0.5), go.Adam(SCHEDULE), go.average()).init(
            place(params), {"lr": [*place(rates[:2]), None]}, capturable=capturable
        )
        for _ in range(4):
            opt.step(place([sample(rng, p.shape, dtype) for p in params]))
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (go.Adam(lr=mine), "lr"),
        (go.Adam(lr=go.schedules.WarmUp(mine, 10)), "lr"),
        (go.Adam(beta2=go.schedules.Joined((go.schedules.Constant(0.9), mine), (3,))), "beta2"),
        (go.chain(go.clip(mine), go.Adam()), "clip.value"),
    ],
)
def test_a_schedule_of_ones_own_is_refused(rule: Any, name: str) -> None:
    """At init and between steps, with NumPy arrays as on a GPU; without `capturable` it is welcome."""
    x = np.ones(3)
    with pytest.raises(TypeError, match=rf"capturable=True: {name} follows <function mine .*use one of gpuopt.schedules"):
        rule.init(x, capturable=True)
    assert rule.init(x).t == 0
    plain = rule.replace(dict.fromkeys([name], 0.5))
    opt = plain.init(x, capturable=True)
    with pytest.raises(TypeError, match="capturable=True"):
        opt.rule = rule
    assert opt.rule == plain
    opt.step(x.copy())


def test_capturable_is_a_truth_value() -> None:
    with pytest.raises(TypeError, match="capturable must be True or False, got 'yes'"):
        go.Adam().init(np.ones(3), capturable="yes")  # type: ignore[arg-type]


def test_which_arrays_have_a_gradient_may_change_at_every_step(some_gpu: None) -> None:
    """What says so on the device is one of a few lists, which are written again and again."""
    opt = go.Momentum(0.1).init(on_device([np.ones(2) for _ in range(8)]), capturable=True)
    steps: Any = opt._steps
    lists, (g,) = steps._memory.mask_uploads._uploads, on_device([np.ones(2)])
    for step in range(200):
        opt.step([g if step >> n & 1 else None for n in range(8)])
    assert steps._memory.mask_uploads._uploads is lists
    assert len(lists._recent) < 12
    assert (opt.t, opt.counts) == (200, [sum(step >> n & 1 for step in range(200)) for n in range(8)])

"""What several processes do together: ``mpiexec -n 2 python -m tests.support.ranks``.

Each case runs in all of them, and asserts what must hold in each; the process whose assertion fails ends all.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import traceback
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpuopt as go
from tests.support import ROOT

Arrays = dict[str, Any]


class mean_of_all(go.Rule):
    """A step along the mean of all elements."""

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - go.tree_mean(g)


def params() -> Arrays:
    """Arrays of every kind; none of them has a multiple of four elements but one."""
    made = {"a": np.arange(7.0) + 1, "b": np.ones((3, 5), "f4"), "c": np.full(4, 1 + 1j, "c8"), "empty": np.zeros((0, 2))}
    return {**made, "number": np.array(2.0), "half": np.ones(9, "f2")}


def grads(rank: int, step: int = 0) -> Arrays:
    rng = np.random.default_rng(100 * step + rank)
    return {
        name: (rng.normal(size=p.shape) + (1j if p.dtype.kind == "c" else 0)).astype(p.dtype) for name, p in params().items()
    }


def mean(count: int, step: int = 0) -> Arrays:
    """The mean of all processes' gradients, added up in the order of their ranks."""
    wide = [{n: g.astype("f4") if g.dtype == "f2" else g for n, g in grads(rank, step).items()} for rank in range(count)]
    found = {}
    for name in wide[0]:
        total = wide[0][name].copy()
        for other in wide[1:]:
            total += other[name]
        numbers = total.view("f4") if total.dtype == "c8" else total  # a complex number / 5 is one * 0.2 for NumPy
        found[name] = np.asarray(numbers / count, numbers.dtype).view(total.dtype)
    return found


def alike(one: Any, other: Any, close: bool = False) -> bool:
    """Whether trees of arrays have the same bits, or nearly the same numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name], close) for name in one)
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, 1e-4, 1e-6)) if close else np.array_equal(one, other, equal_nan=True)


RULES = [
    go.Adam(0.1),
    go.chain(go.skip_nonfinite(), go.NAdam(0.1), go.average(0.9)),
]


def as_one_process(comm: Any) -> None:
    """Parameters, averages and state are those of one process with the mean of gradients; to the bit in a fixed order."""
    for rule in RULES:
        for shard in (False, True):
            for order in ("fixed", "fast") if rule is RULES[0] else ("fixed",):
                mine, one = params(), params()
                mine["a"] += comm.rank  # those of rank 0 are taken
                opt, alone = go.distributed.init(rule, mine, comm, shard=shard, order=order), rule.init(one)
                for step in range(2):
                    opt.step(grads(comm.rank, step))
                    alone.step(mean(comm.size, step))
                close, what = order == "fast", f"{rule!r} {shard} {order}"
                assert alike(mine, one, close), what
                assert opt.params is mine
                assert alike(opt.evaluation(), alone.evaluation(), close), what
                saved, right = opt.state_dict(), alone.state_dict()
                assert alike(saved["state"], right["state"], close), what
                assert saved.keys() == right.keys()
                assert (opt.t, opt.counts) == (alone.t, alone.counts)
                everywhere = comm.allgather(mine)
                assert all(alike(everywhere[0], each) for each in everywhere)


def norms_of_single_arrays(comm: Any) -> None:
    """A norm is that of the whole array, though it was added up share by share."""
    for rule in (go.LAMB(0.1), go.Prodigy(), go.ScheduleFreeSGD(0.1), go.chain(go.clip_global_norm(0.5), go.SGD(0.1))):
        mine, one = params(), params()
        opt, alone = go.distributed.init(rule, mine, comm, shard=True, order="fixed"), rule.init(one)
        for step in range(3):
            opt.step(grads(comm.rank, step))
            alone.step(mean(comm.size, step))
            opt.rule = alone.rule = alone.rule.replace({"lr": 0.05})
        assert alike(mine, one, close=True)


def a_share_of_the_state(comm: Any) -> None:
    x = np.zeros((comm.size * 250, 4), "f4")
    opt = go.distributed.init(go.Adam(), x, comm, shard=True)
    assert sum(array.nbytes for array in opt.state.values()) * comm.size == 2 * x.nbytes
    assert opt.state_dict()["state"]["m"].shape == x.shape


def one_process(comm: Any) -> None:
    """A communicator of one process, whose buckets have odd numbers of bytes."""
    for shard in (False, True):
        mine, one = ({"f": np.ones(9, "f4"), "d": np.ones(3)} for _ in range(2))
        opt, alone = go.distributed.init(go.Adam(), mine, comm.Split(comm.rank), shard=shard), go.Adam().init(one)
        for each in (opt, alone):
            each.step({"f": np.full(9, 0.5, "f4"), "d": np.full(3, 0.5)})
        assert alike(mine, one)


def missing_gradients_and_losses(comm: Any) -> None:
    """What one process has not counts as zeros, what none has is left out; a rule reads the mean of losses."""
    last = comm.size - 1
    for shard in (False, True):
        mine = {"a": np.full(5, 3.0), "b": np.full(3, 3.0), "c": np.ones(2)}
        opt = go.distributed.init(go.SGD(1.0), mine, comm, shard=shard)
        opt.step({"a": np.ones(5), "b": np.ones(3), "c": None})
        opt.step({"a": np.ones(5), "b": np.ones(3) if comm.rank == last else None, "c": None})
        assert opt.counts == {"a": 2, "b": 2, "c": 0}
        assert alike(mine, {"a": np.ones(5), "b": np.full(3, 2 - 1 / comm.size), "c": np.ones(2)})
        x, one = np.ones(6), np.ones(6)
        rule = go.PolyakStep(10.0)
        opt_of_x, alone = go.distributed.init(rule, x, comm, shard=shard), rule.init(one)
        opt_of_x.step(np.ones(6), loss=float(comm.rank))
        alone.step(np.ones(6), loss=last / 2)
        assert alike(x, one, close=True)


def a_step_that_is_not_finite(comm: Any) -> None:
    """An infinity in one process: all skip the step, and halve the scale."""
    for shard in (False, True):
        x = np.ones(6, "f4")
        opt = go.distributed.init(go.chain(go.LossScale(8.0), go.SGD(0.1)), x, comm, shard=shard)
        g = np.ones(6, "f4")
        g[-1] = np.inf if comm.rank == 0 else 1.0
        opt.step(g)
        assert (opt.t, float(opt.loss_scale), x.min()) == (0, 4.0, 1.0)
        opt.step(np.ones(6, "f4"))
        assert opt.t == 1


def infinities(comm: Any) -> None:
    """Of both signs, in losses and in the shares of a sum: nothing warns."""
    sign = 1 - 2 * (comm.rank % 2)
    summed = go.distributed.init(go.PolyakStep(10.0), np.ones(6), comm, shard=True)
    with np.errstate(all="raise"):
        summed.step(np.ones(6), loss=sign * np.inf)
        centered = go.distributed.init(mean_of_all(), np.ones(6), comm, shard=True)
        centered.step(np.repeat([np.inf, -np.inf], 3))


def another_number_of_processes(comm: Any) -> None:
    """State goes from one process to sharded ones and back, and on to the same bits."""
    rule, mine, one = go.NAdam(0.1), params(), params()
    alone = rule.init(one)
    alone.step(mean(comm.size))
    for name, p in one.items():
        mine[name][...] = p
    opt = go.distributed.init(rule, mine, comm, shard=True, order="fixed")
    opt.load_state_dict(alone.state_dict())
    opt.step(grads(comm.rank, 1))
    alone.step(mean(comm.size, 1))
    assert alike(mine, one)
    saved = opt.state_dict()
    again = rule.init(mine)
    again.load_state_dict(saved)
    again.step(mean(comm.size, 2))
    alone.step(mean(comm.size, 2))
    assert alike(mine, one)
    with tempfile.TemporaryDirectory() as folder:
        path = comm.bcast(f"{folder}/one.npz", 0)
        if comm.rank == 0:
            go.save(path, again)
        comm.Barrier()
        opt.step(grads(comm.rank, 3))
        go.load(path, opt)
        comm.Barrier()
    assert alike(mine, one)
    assert alike(opt.state_dict()["state"], alone.state_dict()["state"])
    wrong = {**saved, "state": {**saved["state"], "m": {**saved["state"]["m"], "a": np.ones(3)}}}
    refused(comm, lambda: opt.load_state_dict(wrong), ValueError, "state_dict['state']['m']['a'] must be an array of (7,)")
    for each in (opt, go.distributed.init(rule, params(), comm)):
        one_that_cannot_load(comm, each, saved, wrong)


def one_that_cannot_load(comm: Any, opt: Any, saved: Arrays, wrong: Arrays) -> None:
    """Where one process has another state, or no file, nothing changes in any of them."""
    before, last = opt.state_dict(), comm.rank == comm.size - 1
    arrays = {name: p.copy() for name, p in opt.params.items()}
    name = f"load: rank {comm.size - 1}"
    refused(comm, lambda: opt.load_state_dict(wrong if last else saved), RuntimeError, name, "['m']['a'] must be")
    with tempfile.TemporaryDirectory() as folder:
        path, other = f"{folder}/a.npz", go.SGD().init(params()) if last else opt.rule.init(params())
        go.save(path, other)
        refused(comm, lambda: go.load(path, opt), RuntimeError, name, "state_dict is of the rule")
        refused(comm, lambda: go.load(f"{path}{last or ''}", opt), RuntimeError, name, "No such file")
    assert alike(opt.params, arrays)
    assert opt.t == before["t"]
    assert alike(opt.state_dict()["state"], before["state"])


def refused(comm: Any, action: Any, error: type[Exception], *words: str) -> None:
    """All processes get the same error."""
    try:
        action()
    except error as caught:
        texts = comm.allgather(str(caught))
    else:
        raise AssertionError(f"not refused: {words}")
    assert len(set(texts)) == 1, texts
    assert all(word in texts[0] for word in words), texts[0]


def what_is_refused(comm: Any) -> None:
    last, init, x = comm.size - 1, typing.cast("typing.Any", go.distributed.init), np.ones(4)
    odd = comm.rank == last
    name = f"rank {last}"
    refused(comm, lambda: init(go.SGD(), np.ones(4 + odd), comm), ValueError, name, "params = float64 (5,)", "(4,)")
    refused(comm, lambda: init(go.SGD(), np.ones(4, "f4" if odd else "f8"), comm), ValueError, name, "float32")
    refused(comm, lambda: init(go.SGD(0.1 + odd), x, comm), ValueError, name, "the rule", "give every rank the same")
    refused(comm, lambda: init(go.SGD(lambda t: 0.1 + odd), x, comm), ValueError, name, "a schedule of")
    refused(comm, lambda: init(go.SGD(), x, comm, hyper={"lr": x + odd}), ValueError, name, "checksums")
    refused(comm, lambda: init(go.chain(go.SGD(), go.bounds(lo=x + odd)), x, comm), ValueError, name, "checksums")
    refused(comm, lambda: init(go.SGD(), x, comm, shard=odd), ValueError, name, "the options", "'shard': True")
    refused(comm, lambda: init(go.SGD(), [x] if odd else x, comm), ValueError, name, "paths")
    refused(comm, lambda: init(go.SGD(), 1 if odd else x, comm), RuntimeError, f"{name}: TypeError", "params must")
    refused(comm, lambda: init(go.SGD(), x, comm, order="no"), ValueError, "order must be 'fast' or 'fixed'")
    version, go.__version__ = go.__version__, "0" if odd else go.__version__
    refused(comm, lambda: init(go.SGD(), x, comm), ValueError, name, "gpuopt = 0")
    go.__version__ = version
    step = go.schedules.Step(0.1, every=3)
    assert init(go.SGD(step), x, comm).rule.lr == step  # a schedule is described alike everywhere
    assert init(go.SGD(lambda t: 0.1), x, comm).t == 0

    before = x.copy()
    opt = init(go.SGD(), x, comm)
    refused(comm, lambda: opt.step(np.ones(4 + odd)), RuntimeError, f"step: {name}: ValueError: grads", "(5,)")
    refused(comm, lambda: opt.step(np.ones(4), loss=1.0 if odd else None), ValueError, name, "loss=, or none")
    if odd:
        opt.rule = go.SGD(1.0)
    refused(comm, lambda: opt.step(np.ones(4)), ValueError, name, "the rule")
    opt.rule = go.SGD(1.0)
    assert (opt.t, alike(x, before)) == (0, True)
    opt.step(np.ones(4))
    later = go.SGD(lambda t: 0.2 if t == 2 and odd else 0.1)  # alike in the steps at which rules are compared
    bad = go.SGD(lambda t: np.nan if t == 2 and odd else 0.1)
    for shard in (False, True):
        tree, wide = {"x": np.ones(4)}, {"x": np.ones(4)}
        for rule, kind, text in (
            (later, ValueError, "what its schedules give"),
            (bad, RuntimeError, "must be a finite number"),
        ):
            one = init(rule, wide, comm, shard=shard)
            for _ in range(2):
                one.step(wide)
            refused(comm, lambda one=one, wide=wide: one.step(wide), kind, f"step: {name}", text)
        one = init(go.SGD(), tree, comm, shard=shard)
        if odd:
            tree["x"] = np.ones(4)
        text = "params['x'] is no longer the array that was given to init"
        refused(comm, lambda one=one, wide=wide: one.step(wide), RuntimeError, f"step: {name}: ValueError", text)
    for action in (lambda: opt.direction(np.ones(4)), lambda: opt.to("numpy"), opt.__getstate__):
        refused(comm, action, TypeError, "take opt.state_dict()")
    refused(comm, lambda: go.minimize(lambda x: (x @ x, 2 * x), x, typing.cast("Any", opt)), TypeError, "a loop of your own")


def what_is_not_sharded(comm: Any) -> None:
    def shard(rule: Any, x: Any = None, **given: Any) -> Any:
        return lambda: go.distributed.init(rule, np.ones((4, 4)) if x is None else x, comm, shard=True, **given)

    for rule, reason in [
        (go.Muon(), "flattens arrays: Muon is for matrices"),
        (go.SM3(), "calls functions of whole arrays"),
        (go.chain(go.gradient_noise(0.1), go.SGD()), "draws random numbers"),
        (go.chain(go.centralize(), go.SGD()), "reads the shapes of arrays"),
        (go.chain(go.SGD(), go.bounds(np.zeros((4, 4)))), "takes no arrays in place of numbers"),
    ]:
        refused(comm, shard(rule), ValueError, "shard=True", reason)
    refused(comm, shard(go.SGD(), np.ones((4, 4)).T[::2]), ValueError, "is not contiguous")
    refused(comm, shard(go.SGD(), np.ones(4, "f2"), master=True), ValueError, "takes no master")
    x = np.ones(8)
    opt = go.distributed.init(Sized(), x, comm, shard=True)
    opt.step(np.ones(8))
    opt.rule = Sized(sized=True)
    refused(comm, lambda: opt.step(np.ones(8)), ValueError, "reads the shapes of arrays")


def a_fit(comm: Any) -> None:
    """Each process goes through its own examples, and all end with the same parameters."""
    rng = np.random.default_rng(comm.rank)
    rows, right = rng.normal(size=(32, 3)), np.arange(3.0)

    def loss_and_grad(x: Any, a: Any, y: Any) -> Any:
        off = a @ x - y
        return off @ off / len(y), 2 * a.T @ off / len(y)

    x = np.zeros(3)
    opt = go.distributed.init(go.SGD(0.2), x, comm)
    go.fit(loss_and_grad, x, (rows, rows @ right), opt, batch_size=8, epochs=20)
    assert alike(x, right, close=True)
    assert all(np.array_equal(x, other) for other in comm.allgather(x))


def the_page(comm: Any) -> None:
    """The Python of docs/distributed.md."""
    (block,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "distributed.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block, {})
    assert said.getvalue() == ("True\n" if comm.rank == 0 else "")


class Sized(go.Rule):
    """Another rule of the same structure, which needs whole arrays."""

    sized: bool = False

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - g / p.size if self.sized else p - g


CASES = (
    as_one_process,
    norms_of_single_arrays,
    a_share_of_the_state,
    one_process,
    missing_gradients_and_losses,
    a_step_that_is_not_finite,
    infinities,
    another_number_of_processes,
    a_fit,
    the_page,
    what_is_refused,
    what_is_not_sharded,
)


def dies(comm: Any) -> None:
    """The last process is killed between two steps."""
    opt = go.distributed.init(go.SGD(), np.ones(4), comm)
    opt.step(np.ones(4))
    if comm.rank == comm.size - 1:
        os.kill(os.getpid(), 9)
    opt.step(np.ones(4))


def world() -> Any:
    """The communicator of all processes."""
    from mpi4py import MPI

    return MPI.COMM_WORLD


def main(names: list[str], cases: Sequence[Callable[[Any], None]] = CASES) -> None:
    comm, known = world(), {case.__name__: case for case in (*cases, dies)}
    for case in [known[name] for name in names] or cases:
        try:
            case(comm)
        except BaseException:
            print(f"rank {comm.rank}: {case.__name__}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            comm.Abort(1)
    if comm.rank == 0:
        print("done")


if __name__ == "__main__":
    main(sys.argv[1:])

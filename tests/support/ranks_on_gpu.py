"""What several processes do together with arrays on GPUs: ``mpiexec -n 2 python -m tests.support.ranks_on_gpu CASE ...``.

On the emulated device each process has GPUs of its own, NCCL is `tests.support.emulated_gpu.nccl`, and MPI is CUDA-aware.
Real processes share one GPU. NCCL lets them, if it takes each for a machine of its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, cast
from unittest import mock

import cupy
import numpy as np

import gpuopt as go
from gpuopt.distributed import transports
from gpuopt.distributed.nccl import _library
from tests.support import ranks
from tests.support.ranks import Arrays, alike, mean, params, refused

EMULATED = "tests.support.emulated_gpu" in sys.modules
NORMS = go.chain(go.clip_global_norm(0.5), go.LAMB(0.1))


def on_device(tree: Arrays) -> Arrays:
    """Arrays on the GPU, which a kernel of the current stream makes there."""
    return {name: (cupy.asarray(x) * 2 / 2).astype(x.dtype) for name, x in tree.items()}


def on_host(tree: Any) -> Any:
    return {name: cupy.asnumpy(x) for name, x in tree.items()}


def init(rule: Any, mine: Any, comm: Any, **given: Any) -> Any:
    """Every MPI is CUDA-aware for an emulated device, whose memory is the host's."""
    says = mock.patch.object(transports, "_says_cuda_aware", return_value=True) if EMULATED else contextlib.nullcontext()
    with says:
        return go.distributed.init(rule, mine, comm, **given)


def as_one_process(comm: Any, rule: Any, shard: bool, close: bool = False, **given: Any) -> Any:
    """Two steps on a stream of their own give what one process makes of the mean."""
    with cupy.cuda.Stream(non_blocking=True) as stream:
        mine, one = on_device(params()), params()
        mine["a"] += comm.rank  # those of rank 0 are taken
        opt, alone = init(rule, mine, comm, shard=shard, **given), rule.init(one)
        for step in range(2):
            opt.step(on_device(ranks.grads(comm.rank, step)))
            alone.step(mean(ranks_of(comm), step))
        found, what = on_host(mine), f"{rule!r} {shard} {given}"
        assert alike(found, one, close), what
        saved, right = opt.state_dict(), alone.state_dict()
        for name, tree in right["state"].items():
            assert alike(on_host(saved["state"][name]), tree, close), (what, name)
        assert saved["counts"] == right["counts"]
        everywhere = ranks.world().allgather(found)
        assert all(alike(everywhere[0], each) for each in everywhere), what
        stream.synchronize()
    return opt


def ranks_of(comm: Any) -> int:
    return int(comm.size() if callable(comm.size) else comm.size)


def share_one_gpu(comm: Any) -> None:
    """Let NCCL take each process for a machine of its own: those of one machine need a GPU each."""
    os.environ.update(NCCL_HOSTID=f"rank {comm.rank}", NCCL_NET="Socket", NCCL_SOCKET_IFNAME="lo")


def a_gpu_for_each(comm: Any) -> None:
    """What NCCL says of processes of one machine that share a GPU."""
    error = f"{comm.size} processes on GPU 0: NCCL_ERROR_INVALID_USAGE"
    advice = "cupy.cuda.Device(comm.rank %"
    refused(comm, lambda: init(go.SGD(), cupy.ones(3), comm, transport="nccl"), RuntimeError, error, advice)


def through_the_host(comm: Any) -> None:
    for shard in (False, True):
        as_one_process(comm, go.Adam(0.1), shard, order="fixed")
    as_one_process(comm, NORMS, True, close=True)


def every_way(comm: Any, transport: str) -> None:
    """Elementwise rules have the bits of one process, if gradients are added in the order of ranks."""
    for order in ("fast", "fixed"):
        for shard in (False, True):
            as_one_process(comm, go.Adam(0.1), shard, order == "fast", transport=transport, order=order)
    as_one_process(comm, NORMS, True, close=True, transport=transport)


def over_cuda_aware_mpi(comm: Any) -> None:
    every_way(comm, "cuda-aware")


def over_nccl(comm: Any) -> None:
    every_way(comm, "nccl")


def norms(comm: Any) -> None:
    """What reduces arrays, each of which may have no element here."""
    for rule in (go.Prodigy(), go.chain(go.LossScale(8.0), go.SGD(0.1))):
        as_one_process(comm, rule, True, close=True, transport="nccl")
    x, one = {"one": cupy.ones(())}, {"one": np.ones(())}
    opt, alone = init(NORMS, x, comm, shard=True, transport="nccl"), NORMS.init(one)
    for number in (3.0, 4.0, 5.0):
        opt.step({"one": cupy.full((), number)})
        alone.step({"one": np.full((), number)})
    assert alike(on_host(x), one, close=True)


def without_mpi(comm: Any) -> None:
    """NCCL alone: it carries the small messages, too."""
    from cupy.cuda import nccl

    unique = comm.bcast(nccl.get_unique_id() if comm.rank == 0 else None, 0)
    own = nccl.NcclCommunicator(comm.size, unique, comm.rank)
    for shard in (False, True):
        opt = as_one_process(Named(own, comm.rank), go.Adam(0.1), shard, order="fixed")
        missing = {name: None if name == "a" else g for name, g in on_device(ranks.grads(comm.rank)).items()}
        opt.step(missing)
        assert opt.counts["a"] == 2, opt.counts
        wrong = {**missing, "a": cupy.ones(7 - 4 * (comm.rank == comm.size - 1))}
        refused(comm, lambda wrong=wrong, opt=opt: opt.step(wrong), RuntimeError, f"step: rank {comm.size - 1}: ValueError")
    x = cupy.ones(3)
    refused(comm, lambda: init(go.SGD(0.1 + comm.rank), x, own), ValueError, "rank 1 has the rule")
    refused(comm, lambda: init(go.SGD(), x, own, transport="host"), ValueError, "comm is one of NCCL: leave transport= out")
    refused(comm, lambda: init(go.SGD(), np.ones(3), own), ValueError, "params are NumPy's: pass CuPy arrays")


def on_another_gpu(comm: Any) -> None:
    """A communicator of NCCL is for one GPU."""
    from cupy.cuda import nccl

    own = nccl.NcclCommunicator(comm.size, comm.bcast(nccl.get_unique_id(), 0), comm.rank)
    with cupy.cuda.Device(1):
        elsewhere = cupy.ones(3)
    refused(comm, lambda: init(go.SGD(), elsewhere, own), ValueError, "comm is for GPU 0, and params are on GPU 1")


class Named:
    """An NCCL communicator with a rank for `as_one_process`."""

    def __init__(self, comm: Any, rank: int) -> None:
        self._comm, self.rank = comm, rank

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)


def losses(comm: Any) -> None:
    """A loss on the GPU is averaged there."""
    for transport, shard in (("host", False), ("nccl", False), ("nccl", True)):
        x, one, rule = {"x": cupy.ones(6)}, {"x": np.ones(6)}, go.PolyakStep(10.0)
        opt, alone = init(rule, x, comm, transport=transport, shard=shard), rule.init(one)
        opt.step({"x": cupy.ones(6)}, loss=cupy.asarray(float(comm.rank)))
        alone.step({"x": np.ones(6)}, loss=(comm.size - 1) / 2)
        assert alike(on_host(x), one, close=True)
        own = 1.0 if comm.rank else None
        refused(
            comm, lambda opt=opt, own=own: opt.step({"x": cupy.ones(6)}, own), RuntimeError, "rank 0: ValueError: PolyakStep"
        )


def nothing_waits(comm: Any) -> None:
    """With NCCL, and MPI for what is agreed, a step waits for no GPU, whatever it reduces: the log says so."""
    from tests.support.emulated_gpu import streams

    for rule, shard in ((go.Adam(0.1), False), (NORMS, True), (go.chain(go.LossScale(8.0), go.PolyakStep(10.0)), True)):
        x = on_device(params())
        opt = init(rule, x, comm, shard=shard, transport="nccl")
        g, loss = on_device(ranks.grads(comm.rank)), cupy.asarray(1.0)
        opt.step(g, loss)
        streams.log.clear()
        for _ in range(2):
            opt.step(g, loss)
        did = [what for what, *_ in streams.log]
        assert "nccl" in did
        assert not {"synchronize", "wait"} & set(did), did
        assert not [entry for entry in streams.log if entry[0] == "copy" and entry[3] == 2], "copied to the host"


def the_host_goes_on(comm: Any) -> None:
    """A real GPU is still at what came before two steps when they return."""
    late = cupy.RawKernel(
        'extern "C" __global__ void late(long long n) { for (long long begin = clock64(); clock64() - begin < n;); }', "late"
    )
    for rule, shard in ((go.Adam(0.1), False), (NORMS, True), (go.chain(go.LossScale(8.0), go.PolyakStep(10.0)), True)):
        opt = init(rule, on_device(params()), comm, shard=shard, transport="nccl")
        g, loss, before = on_device(ranks.grads(comm.rank)), cupy.asarray(1.0), cupy.cuda.Event()
        late((1,), (1,), (0,))
        for _ in range(2):
            opt.step(g, loss)  # compiles, and connects
        late((1,), (1,), (1_000_000_000,))
        before.record()
        for _ in range(2):
            opt.step(g, loss)
        assert not before.done, rule
        cupy.cuda.get_current_stream().synchronize()


def one_communicator(comm: Any) -> None:
    """NCCL's communicator is made once for a communicator of MPI."""
    from cupy.cuda import nccl

    def anew() -> Any:
        return init(go.SGD(), cupy.ones(3), comm.Dup(), transport="nccl")

    own = comm.Dup()
    with mock.patch.object(nccl, "NcclCommunicator", wraps=nccl.NcclCommunicator) as made:
        for _ in range(2):
            init(go.SGD(), cupy.ones(3), own, transport="nccl")
    assert made.call_count == 1
    failing = mock.Mock(side_effect=RuntimeError("NCCL_ERROR_INVALID_USAGE: no"))
    with mock.patch.object(nccl, "NcclCommunicator", failing):
        refused(comm, anew, RuntimeError, f"{comm.size} processes on GPU 0: NCCL_ERROR", "cupy.cuda.Device(comm.rank %")
    _library.cache_clear()
    with mock.patch.object(nccl, "available", comm.rank != 1):
        refused(comm, anew, RuntimeError, "rank 1: RuntimeError: CuPy finds no NCCL: pip install nvidia-nccl-cu")
    _library.cache_clear()


def an_mpi_without_cuda(comm: Any) -> None:
    """As wheels have; a real GPU's may be another."""
    refused(
        comm,
        lambda: go.distributed.init(go.SGD(), cupy.ones(4), comm, transport="cuda-aware"),
        ValueError,
        "says that it does not",
        "'nccl'",
    )


def what_is_refused(comm: Any) -> None:
    x, one, given = cupy.ones(4), np.ones(4), cast("Any", go.distributed.init)
    refused(comm, lambda: given(go.SGD(), x, comm, transport="no"), ValueError, "'host', 'cuda-aware' or 'nccl', got 'no'")
    refused(comm, lambda: given(go.SGD(), one, comm, transport="nccl"), ValueError, "params are NumPy's")
    other = "nccl" if comm.rank else "host"
    refused(comm, lambda: given(go.SGD(), x, comm, transport=other), ValueError, "rank 1 has the options", "'nccl'")


def a_fit(comm: Any) -> None:
    """Losses, validation and what stops stay together, though they are on GPUs; each epoch waits for them."""
    rows, x = np.random.default_rng(comm.rank).normal(size=(16, 3)), cupy.zeros(3)
    data = cupy.asarray(rows), cupy.asarray(rows @ np.arange(3.0))
    opt = init(go.Adam(0.1), x, comm, shard=True, transport="nccl")

    def loss_and_grad(x: Any, a: Any, y: Any) -> Any:
        off = (a * x).sum(axis=1) - y
        return (off * off).mean(), 2 * (a * off[:, None]).mean(axis=0)

    stops = lambda history: comm.rank == 0 and history.epochs == 3  # noqa: E731
    history = go.fit(loss_and_grad, x, data, opt, batch_size=8, epochs=9, validation=data, callback=stops)
    assert history.epochs == 3
    assert all(alike(history.validation, other) for other in comm.allgather(history.validation))
    fails = lambda x, a, y: (cupy.asarray(np.nan if comm.rank else 1.0), a[0])  # noqa: E731
    text = "fit: rank 1: FloatingPointError: the loss is nan at update 1"
    refused(comm, lambda: go.fit(fails, x, data, opt, batch_size=8, epochs=1), RuntimeError, text)


ON_EMULATED = (
    through_the_host,
    a_fit,
    over_cuda_aware_mpi,
    over_nccl,
    norms,
    without_mpi,
    on_another_gpu,
    losses,
    nothing_waits,
    one_communicator,
    an_mpi_without_cuda,
    what_is_refused,
)
ON_REAL = (share_one_gpu, a_gpu_for_each, the_host_goes_on)

if __name__ == "__main__":
    ranks.main(sys.argv[1:] or [case.__name__ for case in ON_EMULATED], (*ON_EMULATED, *ON_REAL))

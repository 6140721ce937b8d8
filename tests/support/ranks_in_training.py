"""What training loops and files do in several processes: ``mpiexec -n 2 python -m tests.support.ranks_in_training``."""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gpuopt as go
from tests.support import ranks
from tests.support.ranks import alike, refused


def examples(rank: int, count: int = 32) -> Any:
    rows = np.random.default_rng(rank).normal(size=(count, 3))
    return rows, rows @ np.arange(3.0) + rank


def loss_and_grad(x: Any, a: Any, y: Any) -> Any:
    off = a @ x - y
    return off @ off / len(y), 2 * a.T @ off / len(y)


def trained(comm: Any, shard: bool = False, **given: Any) -> tuple[Any, Any]:
    """The parameters, and the record, of a training on examples that each process has for itself."""
    x = np.zeros(3)
    opt = go.distributed.init(go.Adam(0.1), x, comm, shard=shard, order="fixed")
    options: dict[str, Any] = {"batch_size": 8, "epochs": 5, "seed": comm.rank, **given}
    return x, go.fit(options.pop("loss_and_grad", loss_and_grad), x, options.pop("data", examples(comm.rank)), opt, **options)


def one_that_stops_stops_all(comm: Any) -> None:
    last = comm.rank == comm.size - 1
    x, history = trained(comm, callback=lambda history: last and history.epochs == 2)
    assert history.epochs == 2
    assert all(alike(x, other) for other in comm.allgather(x))
    _, history = trained(comm, validation=examples(comm.rank), patience=1, min_delta=1e9 if last else 0.0)
    assert history.epochs == 2


def validation_is_of_all_examples(comm: Any) -> None:
    """Whatever a process has of them."""
    seen = [examples(rank, 5 + 3 * rank) for rank in range(comm.size)]
    for shard in (False, True):
        metrics = {"bias": lambda x, a, y: np.mean(a @ x - y)}
        x, history = trained(comm, shard, epochs=2, validation=seen[comm.rank], metrics=metrics)
        rows, right = (np.concatenate(each) for each in zip(*seen, strict=True))
        np.testing.assert_allclose(history.validation[-1], loss_and_grad(x, rows, right)[0])
        np.testing.assert_allclose(history.metrics["bias"][-1], np.mean(rows @ x - right))
        assert all(alike(history.validation, other) for other in comm.allgather(history.validation))


def an_error_of_one_ends_all(comm: Any) -> None:
    last, name = comm.rank == comm.size - 1, f"rank {comm.size - 1}"

    def fails(x: Any, a: Any, y: Any) -> Any:
        return (np.nan if last else 1.0), np.zeros(3)

    def odd(*_: Any) -> Any:
        return 1 / 0 if last else 0.0

    refused(
        comm, lambda: trained(comm, loss_and_grad=fails), RuntimeError, f"step: {name}: FloatingPointError: the loss is nan"
    )
    refused(comm, lambda: trained(comm, callback=odd), RuntimeError, f"fit: {name}: ZeroDivisionError")
    for shard in (False, True):
        given = {"validation": examples(comm.rank), "metrics": {"odd": odd}}
        refused(
            comm, lambda given=given, shard=shard: trained(comm, shard, **given), RuntimeError, f"fit: {name}: ZeroDivision"
        )
    data = examples(comm.rank, 24 if last else 32)
    refused(comm, lambda: trained(comm, data=data), ValueError, f"fit: {name} has updates of an epoch = 3, and rank 0 has 4")
    some = {"validation": examples(0)} if last else {}
    refused(comm, lambda: trained(comm, **some), ValueError, "what validation measures = the loss, and rank 0 has nothing")


def an_argument_of_one_is_refused_in_all(comm: Any) -> None:
    last, name = comm.rank == comm.size - 1, f"rank {comm.size - 1}"
    for given, text in [
        ({"batch_size": 0 if last else 8}, "ValueError: batch_size"),
        ({"patience": 2 if last else None}, "ValueError: patience needs validation data"),
        ({"data": (np.ones((8, 3)), np.ones(9 if last else 8))}, "ValueError: the arrays of data must have equal lengths"),
        ({"seed": "x" if last else 0}, "TypeError: seed must be"),
    ]:
        refused(comm, lambda given=given: trained(comm, **given), RuntimeError, f"fit: {name}: {text}")


def calls_of_a_callback(comm: Any) -> None:
    """A callback may save and evaluate in all processes; what only some of them call is refused."""
    in_a_folder(comm, calls)


def calls(comm: Any, folder: Path, shard: bool) -> None:
    opt = go.distributed.init(go.Adam(0.1), np.zeros(3), comm, shard=shard)
    last, path, nowhere = comm.rank == comm.size - 1, folder / "x.npz", folder / "none" / "x.npz"

    def fit(callback: Any) -> Any:
        return go.fit(loss_and_grad, opt.params, examples(comm.rank), opt, batch_size=8, epochs=1, callback=callback)

    def fails(history: Any) -> None:
        if last:
            raise OSError("no room")
        go.save(path, opt)

    def of_one(history: Any) -> None:
        if comm.rank == 0:
            go.save(path, opt)

    assert fit(lambda history: go.save(path, opt, history=history)).epochs == 1
    go.load(path, opt)
    refused(comm, lambda: fit(fails), RuntimeError, f"fit: rank {comm.size - 1}: OSError: no room")
    refused(comm, lambda: fit(lambda history: go.save(nowhere, opt)), RuntimeError, "save: rank 0: FileNotFound")
    text = "rank 1 calls fit, and rank 0 calls save: let every rank make the same calls"
    refused(comm, lambda: fit(of_one), RuntimeError, text)
    x = opt.params.copy()
    step = lambda: opt.step(x)  # noqa: E731
    for other, name in ((lambda: go.save(path, opt), "save"), (lambda: go.load(path, opt), "load")):
        text = f"rank 1 calls step, and rank 0 calls {name}: let every rank make the same calls"
        refused(comm, step if comm.rank else other, RuntimeError, text)
    odd: Any = 3 if last else None
    for call in (
        lambda: go.save(path, opt, history=odd),
        lambda: go.load(path, opt, history=odd),
        lambda: go.Checkpointer(folder).save(opt, history=odd),
    ):
        refused(comm, call, RuntimeError, f"rank {comm.size - 1}: TypeError: history must be a History")


def in_a_folder(comm: Any, case: Any) -> None:
    """A case, with shards and without, in a folder of all processes."""
    for shard in (False, True):
        own = tempfile.TemporaryDirectory() if comm.rank == 0 else None
        case(comm, Path(comm.bcast(own and own.name, 0)), shard)
        comm.Barrier()
        if own is not None:
            own.cleanup()


def one_file_of_all(comm: Any) -> None:
    """The first process writes it; each has back what it had."""
    in_a_folder(comm, one_file)


def one_file(comm: Any, folder: Path, shard: bool) -> None:
    path, x, y = folder / "run.npz", np.ones(7), np.zeros(7)
    opt = go.distributed.init(go.Adam(0.1), x, comm, shard=shard)
    opt.step(np.arange(7.0) + comm.rank)
    go.save(path, opt, extra={"rank": comm.rank, "array": np.full(2, comm.rank)})
    assert path.exists()
    again = go.distributed.init(go.Adam(0.5), y, comm, shard=not shard)
    extra = go.load(path, again)
    assert (extra["rank"], extra["array"].tolist(), again.t) == (comm.rank, [comm.rank] * 2, 1)
    for each in (opt, again):
        each.step(np.ones(7))
    assert alike(x, y)
    alone = go.Adam().init(np.zeros(7))  # in one process, which is the first then
    assert go.load(path, alone)["rank"] == 0
    before, bad = path.read_bytes(), {"odd": {1, 2}} if comm.rank == 1 else {}
    refused(comm, lambda: go.save(path, opt, extra=bad), RuntimeError, "save: rank 1: TypeError: extra['odd'] is a set")
    assert path.read_bytes() == before
    nowhere = folder / "none" / "x.npz"
    refused(comm, lambda: go.save(nowhere, opt), RuntimeError, "save: rank 0: FileNotFoundError")
    gone = nowhere if comm.rank == 1 else path
    refused(comm, lambda: go.load(gone, opt), RuntimeError, "load: rank 1: FileNotFoundError")
    refused(comm, lambda: go.load(nowhere, opt), FileNotFoundError, "none")


def a_run_that_goes_on(comm: Any) -> None:
    """Each process in its own order of examples, with its own record."""
    in_a_folder(comm, a_run)


def a_run(comm: Any, folder: Path, shard: bool) -> None:
    own = folder / str(comm.rank)  # that of the first one is taken
    given: dict[str, Any] = {"shard": shard, "validation": examples(comm.rank)}
    right, whole = trained(comm, **given)
    trained(comm, epochs=2, checkpoint=go.Checkpointer(own, keep=2), **given)
    x, history = trained(comm, checkpoint=go.Checkpointer(own, keep=2), **given)
    assert alike(x, right)
    assert alike(history.loss, whole.loss)
    assert alike(history.validation, whole.validation)
    assert len(go.Checkpointer(own).paths) == (2 if comm.rank == 0 else 0)
    for path in go.Checkpointer(own).paths[1:]:
        path.write_bytes(b"damaged")
    opt = go.distributed.init(go.Adam(0.1), np.zeros(3), comm, shard=shard)
    with warnings.catch_warnings(record=True, action="always") as seen:
        go.Checkpointer(own).load(opt)
    assert (len(seen), opt.t) == (int(comm.rank == 0), 16)
    go.Checkpointer(own).save(opt)
    every = go.Checkpointer(own, every=1 + (comm.rank == 1))
    refused(comm, lambda: trained(comm, shard, checkpoint=every), ValueError, "rank 1 has the epochs between checkpoints = 2")


CASES = (
    one_that_stops_stops_all,
    validation_is_of_all_examples,
    an_error_of_one_ends_all,
    an_argument_of_one_is_refused_in_all,
    calls_of_a_callback,
    one_file_of_all,
    a_run_that_goes_on,
)

if __name__ == "__main__":
    ranks.main(sys.argv[1:], CASES)

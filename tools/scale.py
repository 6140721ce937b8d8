"""What a step of several processes sends, and what each keeps: a model, and real steps that it is held against.

python -m tools.scale                                  # the table of docs/scale.md
mpiexec -n 4 python -m mpi4py -m tools.scale --count   # messages and bytes of real steps; exit code 1 if the model says others
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import gpuopt as go
from gpuopt.distributed import buckets

SAID = 6 * 8
"""Bytes of what a process says before a step: six numbers."""
WAYS = (("fast", False), ("fixed", False), ("fast", True))
"""How gradients are added, and whether norms are."""
ALIGNED = buckets._ALIGNED
LINK, MEMORY = 50e9, 4.1e12
"""Bytes a second: a network of 400 Gbit/s, and the memory of an H200 as Adam uses it (measured)."""


class Cost(NamedTuple):
    """Of one process: messages of a step, the bytes that it must send to the others, and what it keeps.

    Attributes
    ----------
    messages, sent : int
    state, averages, scratch : int
        Bytes beside the parameters and their gradients.
    """

    messages: int
    sent: int
    state: int
    averages: int
    scratch: int


def cost(sizes: Sequence[int], ranks: int, shard: bool, order: str = "fast", norms: bool = False) -> Cost:
    """The model, for arrays of so many float32 and Adam; of the process with full shares.

    With `norms`, Adam comes after `clip_global_norm`: shares of norms are sent in one message.
    """
    shares = [-(-size // ranks) for size in sizes]
    together = cut(sizes)
    rows = [sum(shares[i] for i in bucket) if shard else row([sizes[i] for i in bucket], ranks) for bucket in together]
    own = sum(rows)
    scratch = 2 if shard else int(order == "fixed")
    return Cost(
        messages=1 + 2 * len(rows) + (norms and shard),
        sent=(ranks - 1) * (SAID + 2 * 4 * own + 8 * len(sizes) * (norms and shard)),
        state=4 * 2 * (sum(shares) if shard else sum(sizes)),
        averages=4 * (own if shard else own + ranks * own),
        scratch=scratch * (-(-ranks * max(rows) * 4 // 8) * 8),
    )


def row(sizes: Sequence[int], ranks: int) -> int:
    """The numbers of each process in a bucket of whole arrays, which begin at multiples of 16 as rows do."""
    stop = 0
    for size in sizes:
        stop = -(-stop // ALIGNED) * ALIGNED + size
    return -(-stop // (ranks * ALIGNED)) * ALIGNED


def cut(sizes: Sequence[int]) -> list[list[int]]:
    """Which arrays go together: as many as have no more elements than a bucket, or one."""
    found, count = list[list[int]](), 0
    for index, size in enumerate(sizes):
        if not found or count + size > buckets._LARGEST:
            found.append([])
            count = 0
        found[-1].append(index)
        count += size
    return found


class Counting:
    """A communicator that counts what goes through it."""

    def __init__(self, comm: Any) -> None:
        self._comm, self.size, self.rank = comm, comm.size, comm.rank
        self.messages = self.sent = 0

    def _count(self, to_each: int) -> None:
        self.messages += 1
        self.sent += (self.size - 1) * to_each

    def Allgather(self, own: Any, rows: Any) -> None:  # noqa: N802 # mpi4py's name
        self._count(own.nbytes)
        self._comm.Allgather(own, rows)

    def Reduce_scatter_block(self, rows: Any, own: Any) -> None:  # noqa: N802 # mpi4py's name
        self._count(own.nbytes)
        self._comm.Reduce_scatter_block(rows, own)

    def Alltoall(self, rows: Any, more: Any) -> None:  # noqa: N802 # mpi4py's name
        self._count(rows.nbytes // self.size)
        self._comm.Alltoall(rows, more)

    def Bcast(self, array: Any, root: int) -> None:  # noqa: N802 # mpi4py's name
        self._comm.Bcast(array, root)

    def allgather(self, thing: Any) -> Any:
        return self._comm.allgather(thing)


def counted(comm: Any, sizes: Sequence[int], shard: bool, order: Any, norms: bool) -> Cost:
    """What the first process sends in a real step of Adam, and keeps."""
    rule: Any = go.chain(go.clip_global_norm(1.0), go.Adam()) if norms else go.Adam()
    through, rng = Counting(comm), np.random.default_rng(comm.rank)
    params = [np.ones(size, np.float32) for size in sizes]
    opt: Any = go.distributed.init(rule, params, through, shard=shard, order=order)
    grads = [rng.standard_normal(size, np.float32) for size in sizes]
    opt.step(grads)
    through.messages = through.sent = 0
    opt.step(grads)
    state = sum(array.nbytes for tree in opt.state.values() for array in tree)
    bases = {id(x if x.base is None else x.base): x if x.base is None else x.base for x in opt._averages}
    own = sum(bucket.own.nbytes for bucket in opt._buckets)
    averages = own if shard else own + sum(x.nbytes for x in bases.values())
    return Cost(through.messages, through.sent, state, averages, sum(x.nbytes for x in opt._scratch))


def check() -> int:
    """Real steps beside the model, in all processes of MPI."""
    from mpi4py import MPI

    comm, wrong = MPI.COMM_WORLD, 0
    for sizes in ([1000], [7, 10_000, 12], [3_000_000, 2_000_000, 5]):
        for shard in (False, True):
            for order, norms in WAYS if sum(sizes) < buckets._LARGEST else WAYS[:1]:
                given = shard, order, norms
                found, model = counted(comm, sizes, *given), cost(sizes, comm.size, *given)
                wrong += comm.rank == 0 and found != model
                if comm.rank == 0:
                    says = "as the model" if found == model else f"the model says {model}"
                    print(
                        f"{comm.size} processes, {sizes}, shard={shard}, order={order!r}, norms={norms}: {found}, {says}",
                        flush=True,
                    )
    return int(wrong > 0)


def table() -> str:
    """Bytes and times of a step of Adam in float32."""
    lines = [
        "| parameters | processes | `shard` | kept by each | sent by each in a step | the network's time | the update's time |",
        "|---:|---:|---|---:|---:|---:|---:|",
    ]
    for total in (10**9, 10**12):
        for ranks in (8, 1024):
            for shard in (False, True):
                found = cost([4_000_000] * (total // 4_000_000), ranks, shard)
                kept = 8 * total + found.state + found.averages + found.scratch
                update = 28 * total / (ranks if shard else 1) / MEMORY
                row = [
                    f"10{'⁹' if total == 10**9 else '¹²'}",
                    f"{ranks:,}",
                    "yes" if shard else "no",
                    f"{kept / 1e9:,.1f} GB",
                    f"{found.sent / 1e9:,.1f} GB in {found.messages:,} messages",
                    f"{found.sent / LINK:,.2f} s",
                    f"{1e3 * update:,.2f} ms",
                ]
                lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", action="store_true", help="real steps in the processes of MPI, beside the model")
    if parser.parse_args(arguments).count:
        return check()
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())

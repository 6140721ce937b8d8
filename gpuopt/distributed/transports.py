"""What carries messages between processes: MPI, from the host's memory or a GPU's.

`gpuopt.distributed.nccl` has another one. Comes in: arrays of `Transport.xp`, and small messages of
the host. Imports: no library; a communicator of mpi4py brings its own functions.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from gpuopt.arrays.backend import on_host

__all__ = ["MpiTransport", "Transport", "check_cuda_aware"]


class Transport(Protocol):
    """Messages of all processes: each call is made by all of them, in the same order.

    Attributes
    ----------
    size, rank : int
    xp : module
        NumPy or CuPy: whose arrays are sent. Those of CuPy are read and written in the order of the
        current stream.
    """

    size: int
    rank: int
    xp: ModuleType

    def here(self, array: Any) -> Any:
        """An array as one of `xp`: itself, or a copy."""

    def gather(self, thing: Any) -> list[Any]:
        """What each process gives: a small message of the host."""

    def gather_numbers(self, own: Any) -> Any:
        """Numbers of the host from each process, a row of each."""

    def reduce_scatter(self, rows: Any, own: Any) -> None:
        """Add up the rows of all processes; each gets the one of its rank."""

    def all_to_all(self, rows: Any, received: Any) -> None:
        """Send a row to each process, and get one of each."""

    def all_gather(self, own: Any, rows: Any) -> None:
        """Get what each process has, a row of each."""

    def broadcast(self, flat: Any) -> None:
        """Give a flat array of every process the values of the first one's."""


class MpiTransport:
    """MPI, which reads and writes arrays of NumPy; or those of CuPy, if it is CUDA-aware.

    Parameters
    ----------
    comm : mpi4py communicator
    xp : module
    """

    def __init__(self, comm: Any, xp: ModuleType = np) -> None:
        self._comm, self.size, self.rank, self.xp = comm, comm.size, comm.rank, xp

    def here(self, array: Any) -> Any:
        return on_host(array) if self.xp is np else array

    def gather(self, thing: Any) -> list[Any]:
        found: list[Any] = self._comm.allgather(thing)
        return found

    def gather_numbers(self, own: Any) -> Any:
        rows = np.empty((self.size, own.size), own.dtype)
        self._comm.Allgather(own, rows)
        return rows

    def reduce_scatter(self, rows: Any, own: Any) -> None:
        self._wait()
        self._comm.Reduce_scatter_block(rows, own)

    def all_to_all(self, rows: Any, received: Any) -> None:
        self._wait()
        self._comm.Alltoall(rows, received)

    def all_gather(self, own: Any, rows: Any) -> None:
        self._wait()
        self._comm.Allgather(own.view(np.uint8), rows.view(np.uint8))

    def broadcast(self, flat: Any) -> None:
        self._wait()
        self._comm.Bcast(flat.view(np.uint8), 0)

    def _wait(self) -> None:
        """MPI knows no streams: let a GPU finish what it is to send, and what reads old values."""
        if self.xp is not np:
            self.xp.cuda.get_current_stream().synchronize()


def check_cuda_aware() -> None:
    """Raise ValueError if the MPI of mpi4py says that it cannot read the memory of a GPU."""
    if _says_cuda_aware() is False:
        raise ValueError(
            "transport='cuda-aware' needs an MPI that reads the memory of a GPU, and this one says "
            "that it does not: run with one that was built with CUDA (MPICH asks for "
            "MPIR_CVAR_ENABLE_GPU=1), or use transport='nccl' or transport='host'"
        )


def _says_cuda_aware() -> bool | None:
    """What Open MPI and MPICH tell; None if this MPI tells nothing."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or mpi.__file__ is None:
        return None
    library = ctypes.CDLL(mpi.__file__)  # which finds the functions of the MPI it is linked to
    query = getattr(library, "MPIX_Query_cuda_support", None)
    return None if query is None else bool(query())

"""What carries messages between GPUs: NCCL, on the current stream, so that nothing waits.

Comes in: arrays of CuPy. The small messages in which processes agree go over MPI; where there is
none, through NCCL too, and the host waits for each.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from gpuopt.arrays.backend import require_cupy
from gpuopt.distributed.agreement import each, together
from gpuopt.distributed.transports import Transport

__all__ = ["NcclTransport", "communicator", "is_communicator"]


def is_communicator(comm: Any) -> bool:
    """Whether it is one of `cupy.cuda.nccl`; imports nothing."""
    return all(hasattr(comm, name) for name in ("rank_id", "size", "reduceScatter", "allGather"))


class NcclTransport:
    """NCCL, for the arrays of one GPU in each process.

    Parameters
    ----------
    comm : cupy.cuda.nccl.NcclCommunicator
    control : Transport, optional
        What small messages go through.
    """

    def __init__(self, comm: Any, control: Transport | None = None) -> None:
        self._comm, self._control, self._nccl = comm, control, _library()
        self.size, self.rank, self.xp = comm.size(), comm.rank_id(), require_cupy()
        self._device = self.xp.cuda.Device(comm.device_id())

    def here(self, array: Any) -> Any:
        return array

    def gather(self, thing: Any) -> list[Any]:
        if self._control is not None:
            return self._control.gather(thing)
        own = np.frombuffer(pickle.dumps(thing), np.uint8)
        sizes = self.gather_numbers(np.array([own.size]))[:, 0]
        padded = np.zeros(-(-int(sizes.max()) // 8) * 8, np.uint8)
        padded[: own.size] = own
        rows = self.gather_numbers(padded)
        return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]

    def gather_numbers(self, own: Any) -> Any:
        if self._control is not None:
            return self._control.gather_numbers(own)
        with self._device:
            rows = self.xp.empty((self.size, own.size), own.dtype)
            self.all_gather(self.xp.asarray(own), rows)
            return rows.get()

    def reduce_scatter(self, rows: Any, own: Any) -> None:
        what = own.size, self._kind(own), self._nccl.NCCL_SUM, self._stream
        self._comm.reduceScatter(rows.data.ptr, own.data.ptr, *what)

    def all_to_all(self, rows: Any, received: Any) -> None:
        what = rows.shape[1], self._kind(rows)
        self._nccl.groupStart()
        try:
            for rank in range(self.size):
                self._comm.send(rows[rank].data.ptr, *what, rank, self._stream)
                self._comm.recv(received[rank].data.ptr, *what, rank, self._stream)
        finally:
            self._nccl.groupEnd()

    def all_gather(self, own: Any, rows: Any) -> None:
        what = own.nbytes, self._nccl.NCCL_UINT8, self._stream
        self._comm.allGather(own.data.ptr, rows.data.ptr, *what)

    def broadcast(self, flat: Any) -> None:
        what = flat.nbytes, self._nccl.NCCL_UINT8, 0, self._stream
        self._comm.broadcast(flat.data.ptr, flat.data.ptr, *what)

    def _kind(self, array: Any) -> int:
        """NCCL's number for a dtype; a bucket has one of two."""
        single = array.dtype == np.float32
        return int(self._nccl.NCCL_FLOAT32 if single else self._nccl.NCCL_FLOAT64)

    @property
    def _stream(self) -> int:
        return int(self.xp.cuda.get_current_stream().ptr)


def communicator(comm: Any, control: Transport, what: str, device: int) -> Any:
    """The NCCL communicator of an MPI communicator and the current GPU; all processes ask for it.

    It is made once.

    Raises
    ------
    RuntimeError
        In all processes, if NCCL is missing in one, or makes none.
    """
    if all(each(control, what, lambda: _library() is not None and device in _made(comm))):
        return _made(comm)[device]
    first = control.rank == 0
    unique = each(control, what, lambda: _library().get_unique_id() if first else None)[0]

    def make() -> Any:
        try:
            return _library().NcclCommunicator(control.size, unique, control.rank)
        except Exception as error:
            raise RuntimeError(
                f"NCCL makes no communicator of {control.size} processes on GPU {device}: {error}. "
                "Each process needs a GPU of its own: call cupy.cuda.Device(comm.rank % "
                "cupy.cuda.runtime.getDeviceCount()).use() before you make arrays. "
                "With NCCL_DEBUG=WARN, NCCL says more"
            ) from error

    made = _made(comm)[device] = together(control, what, make)
    return made


def _made(comm: Any) -> dict[int, Any]:
    """The NCCL communicators of an MPI communicator by their GPU, kept as long as that is."""
    key = _key()
    if (made := comm.Get_attr(key)) is None:
        comm.Set_attr(key, made := dict[int, Any]())
    return made  # type: ignore[no-any-return] # an attribute of MPI


@functools.cache
def _key() -> int:
    from mpi4py import MPI

    return MPI.Comm.Create_keyval()


@functools.cache
def _library() -> ModuleType:
    """CuPy's module of NCCL."""
    cupy = require_cupy()
    with warnings.catch_warnings(action="ignore"):  # of a missing library, for which see below
        from cupy.cuda import nccl

    if not nccl.available:
        cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000
        raise RuntimeError(
            f"CuPy finds no NCCL: pip install nvidia-nccl-cu{cuda}, or use transport='host'"
        )
    return nccl  # type: ignore[no-any-return] # untyped

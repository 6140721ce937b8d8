"""In place of CuPy's module of NCCL: what one process for each device does together, through MPI.

A call only puts its work on a stream, as NCCL does: what is sent is what lies there when the stream comes to it. All else
of NCCL is refused by its name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cupy_backends.cuda.libs as libs
import numpy as np

from . import memory
from .blas import _at
from .kernels import device_library
from .streams import current_device, put, queue

NAME = "cupy_backends.cuda.libs.nccl"
KINDS = {"INT8": 0, "UINT8": 1, "INT32": 2, "UINT32": 3, "INT64": 4, "UINT64": 5, "FLOAT16": 6, "FLOAT32": 7, "FLOAT64": 8}
_DTYPES = {number: np.dtype(name.lower()) for name, number in KINDS.items()}
_SUM = 0
_waiting = list[tuple[int, Callable[[], Any]]]()
_depth = 0


class NcclError(RuntimeError):
    """As CuPy's."""


class Alone:
    """As a communicator of mpi4py, of this process alone."""

    size, rank = 1, 0

    def allgather(self, thing: Any) -> list[Any]:
        return [thing]

    def Allgather(self, given: Any, found: Any) -> None:
        found[...] = given

    Reduce_scatter_block = Allgather

    def __init__(self) -> None:
        self._sent = list[Any]()

    def Bcast(self, found: Any, root: int) -> None: ...

    def Isend(self, given: Any, peer: int) -> Alone:
        self._sent.append(given)
        return self

    def Irecv(self, found: Any, peer: int) -> Alone:
        found[...] = self._sent.pop(0)
        return self

    def Wait(self) -> None: ...


def _world(count: int, rank: int) -> Any:
    """A communicator of all processes of MPI."""
    from mpi4py import MPI

    if count != MPI.COMM_WORLD.size:
        raise NotImplementedError(f"the emulated NCCL has communicators of one process or of all, not of {count}")
    return MPI.COMM_WORLD.Split(0, rank)


class NcclCommunicator:
    """As CuPy's."""

    def __init__(self, ndev: int, commId: tuple[int, ...], rank: int) -> None:
        if not isinstance(commId, tuple):
            raise TypeError(f"Argument 'commId' has incorrect type (expected tuple, got {type(commId).__name__})")
        self._comm: Any = Alone() if ndev == 1 else _world(ndev, rank)
        ids = set(self._comm.allgather(commId))
        if len(ids) > 1 or len(commId) != 128 or self._comm.rank != rank:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: the ranks do not belong together, where NCCL waits for ever")
        self._device = current_device()

    def size(self) -> int:
        return int(self._comm.size)

    def rank_id(self) -> int:
        return int(self._comm.rank)

    def device_id(self) -> int:
        return self._device

    def reduceScatter(self, sendbuf: int, recvbuf: int, recvcount: int, datatype: int, op: int, stream: int) -> None:
        if op != _SUM:
            raise NotImplementedError("the emulated NCCL only adds up")
        given, found = self._buffers(sendbuf, recvcount * self.size(), recvbuf, recvcount, datatype)
        self._put(stream, lambda: self._comm.Reduce_scatter_block(given, found), found, "reduceScatter")

    def allGather(self, sendbuf: int, recvbuf: int, count: int, datatype: int, stream: int) -> None:
        given, found = self._buffers(sendbuf, count, recvbuf, count * self.size(), datatype)
        self._put(stream, lambda: self._comm.Allgather(given, found), found, "allGather")

    def broadcast(self, sendbuff: int, recvbuff: int, count: int, datatype: int, root: int, stream: int) -> None:
        if sendbuff != recvbuff:
            raise NotImplementedError("the emulated NCCL broadcasts in place")
        found = self._array(recvbuff, count, datatype)
        self._put(stream, lambda: self._comm.Bcast(found, root), found, "broadcast")

    def send(self, sendbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        given = self._array(sendbuf, count, datatype)
        self._wait_for_group(stream, lambda: self._comm.Isend(given, peer))

    def recv(self, recvbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        found = self._array(recvbuf, count, datatype)
        self._wait_for_group(stream, lambda: self._comm.Irecv(found, peer))

    def _buffers(self, sendbuf: int, sent: int, recvbuf: int, received: int, datatype: int) -> tuple[Any, Any]:
        given, found = self._array(sendbuf, sent, datatype), self._array(recvbuf, received, datatype)
        if np.may_share_memory(given, found):
            raise NotImplementedError("the emulated NCCL sends from other memory than it writes")
        return given, found

    def _array(self, address: int, count: int, datatype: int) -> Any:
        """Memory of a device, which must be within one allocation."""
        dtype = _DTYPES[datatype]
        if not memory.holds(address, count * dtype.itemsize, self._device):
            raise NcclError(f"NCCL_ERROR_UNHANDLED_CUDA_ERROR: {count} {dtype} at {address:#x} are not in the device's memory")
        return _at(address, count, dtype)

    def _wait_for_group(self, stream: int, begin: Callable[[], Any]) -> None:
        if not _depth:
            raise NotImplementedError("the emulated NCCL sends and receives in groups")
        self._check(stream)
        _waiting.append((stream, begin))

    def _put(self, stream: int, work: Callable[[], Any], written: Any, name: str) -> None:
        self._check(stream)

        def run() -> None:
            work()
            device_library().emulated_written(written.ctypes.data, written.nbytes)

        put(stream, run, "nccl", name)

    def _check(self, stream: int) -> None:
        if queue(stream).device != self._device:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: the stream is of another device than the communicator")


def _unique() -> tuple[int, ...]:
    """As CuPy's: a tuple of chars."""
    return tuple(np.frombuffer(os.urandom(128), np.int8).tolist())


def group_start() -> None:
    global _depth
    _depth += 1


def group_end() -> None:
    """Put what a group sends and receives on its streams, all at once."""
    global _depth
    _depth -= 1
    if _depth or not _waiting:
        return
    (stream,) = {stream for stream, _ in _waiting}
    begin = [each for _, each in _waiting]
    _waiting.clear()

    def run() -> None:
        for request in [each() for each in begin]:
            request.Wait()

    put(stream, run, "nccl", "group")


def _other(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(f"the emulated device has no NCCL function {name}: see {__file__}")


def install() -> None:
    """Let CuPy find this where it looks for NCCL."""
    module: Any = ModuleType(NAME)
    constants = {f"NCCL_{name}": number for name, number in KINDS.items()}
    found = {"get_unique_id": _unique, "groupStart": group_start, "groupEnd": group_end, "NCCL_SUM": _SUM}
    classes = {"NcclCommunicator": NcclCommunicator, "NcclError": NcclError}
    vars(module).update(found, **constants, **classes, available=True, __getattr__=_other)
    sys.modules[NAME] = libs.nccl = module

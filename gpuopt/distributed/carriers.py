"""Which transport carries messages: by the communicator of the processes, and as was asked for."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from gpuopt.arrays.backend import array_module, is_cupy
from gpuopt.arrays.packages import command
from gpuopt.distributed.nccl import NcclTransport, communicator, is_communicator
from gpuopt.distributed.transports import MpiTransport, Transport, check_cuda_aware

__all__ = ["TransportName", "carrier_of", "check_transport", "control_of"]

TransportName: TypeAlias = Literal["host", "cuda-aware", "nccl"]

_NEEDED = ("size", "rank", "allgather", "Allgather", "Alltoall", "Bcast", "Reduce_scatter_block")


def control_of(comm: Any) -> Transport:
    """What carries small messages."""
    if is_communicator(comm):
        return NcclTransport(comm)
    if missing := [name for name in _NEEDED if not hasattr(comm, name)]:
        raise TypeError(
            f"comm must be a communicator such as mpi4py.MPI.COMM_WORLD ({command('mpi4py')}), got "
            f"{type(comm).__name__}, which has no {missing[0]}"
        )
    return MpiTransport(comm)


def check_transport(name: str, comm: Any, leaf: Any) -> None:
    """Raise ValueError if arrays like this one cannot be sent so."""
    if name not in ("host", "cuda-aware", "nccl"):
        raise ValueError(f"transport must be 'host', 'cuda-aware' or 'nccl', got {name!r}")
    if name != "host" and not is_cupy(leaf):
        raise ValueError(
            f"transport={name!r} sends the arrays of a GPU, and params are NumPy's: pass CuPy "
            "arrays, or an mpi4py communicator with transport='host'"
        )
    if name == "cuda-aware":
        check_cuda_aware()
    if is_communicator(comm):
        if name != "nccl":
            raise ValueError(
                f"transport={name!r} needs an mpi4py communicator, and comm is one of NCCL: leave "
                "transport= out"
            )
        if comm.device_id() != leaf.device.id:
            raise ValueError(
                f"comm is for GPU {comm.device_id()}, and params are on GPU {leaf.device.id}: make "
                f"the NcclCommunicator with cupy.cuda.Device({leaf.device.id}) as the current one"
            )


def carrier_of(name: str, comm: Any, control: Transport, what: str, leaf: Any) -> Transport:
    """What carries the gradients of arrays like this one."""
    if name == "host" or is_communicator(comm):
        return control
    if name == "cuda-aware":
        return MpiTransport(comm, array_module(leaf))
    return NcclTransport(communicator(comm, control, what, leaf.device.id), control)

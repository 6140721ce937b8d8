"""The emulated NCCL is CuPy's, as far as it goes: its functions have the same arguments, and run in the order of a stream."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("emulated_gpu")


def test_its_functions_have_the_arguments_of_cupy() -> None:
    """As CuPy's compiled module, which is not loaded for want of NCCL, writes them in its docstrings."""
    from tests.support.emulated_gpu.nccl import NcclCommunicator

    libs = importlib.util.find_spec("cupy_backends.cuda.libs")
    assert libs is not None
    assert libs.origin is not None
    (compiled,) = Path(libs.origin).parent.glob("nccl.*.so")
    written = re.findall(rb"NcclCommunicator\.(\w+)\(self, ([^)]*)\)", compiled.read_bytes())
    right = {name.decode(): [one.split()[-1] for one in given.decode().split(",")] for name, given in written}
    ours = {name: own for name, own in vars(NcclCommunicator).items() if name in right}
    assert {"reduceScatter", "allGather", "broadcast", "send", "recv"} <= ours.keys()
    for name, own in ours.items():
        assert list(inspect.signature(own).parameters)[1:] == right[name], name


def one() -> Any:
    from cupy.cuda import nccl

    return nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)


def test_what_is_sent_is_what_lies_there_when_the_stream_comes_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy
    from cupy.cuda import nccl

    from tests.support.emulated_gpu import settings

    monkeypatch.setattr(settings, "LATE", True)
    comm, (other, stream) = one(), (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    x, seen, early = cupy.zeros(3, "f4"), cupy.zeros(3, "f4"), cupy.zeros(3, "f4")
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        x += 1
    for to, on in ((early, other), (seen, stream)):
        comm.allGather(x.data.ptr, to.data.ptr, 3, nccl.NCCL_FLOAT32, on.ptr)
        on.synchronize()
    assert (early.get().tolist(), seen.get().tolist()) == ([0.0] * 3, [1.0] * 3)


def test_what_nccl_would_not_survive_is_refused() -> None:
    import cupy
    from cupy.cuda import nccl

    comm, x = one(), cupy.zeros(3, "f4")
    host = np.zeros(3, "f4")
    with pytest.raises(nccl.NcclError, match=r"3 float32 at 0x.* are not in the device's memory"):
        comm.allGather(host.ctypes.data, x.data.ptr, 3, nccl.NCCL_FLOAT32, 0)
    with cupy.cuda.Device(1), pytest.raises(nccl.NcclError, match="the stream is of another device"):
        comm.broadcast(x.data.ptr, x.data.ptr, 3, nccl.NCCL_FLOAT32, 0, 0)
    with pytest.raises(NotImplementedError, match="sends and receives in groups"):
        comm.send(x.data.ptr, 3, nccl.NCCL_FLOAT32, 0, 0)

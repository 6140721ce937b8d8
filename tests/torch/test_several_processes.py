"""Parameters of several processes that are tensors; here of one, which is all that this needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go

torch = pytest.importorskip("torch", reason="torch is not installed")


class Communicator:
    """As mpi4py's, of this process alone."""

    size, rank = 1, 0

    def allgather(self, thing: Any) -> list[Any]:
        return [thing]

    def Allgather(self, given: Any, found: Any) -> None:
        found[...] = np.reshape(given, found.shape)

    Reduce_scatter_block = Alltoall = Allgather

    def Bcast(self, found: Any, root: int) -> None: ...


@pytest.mark.parametrize("shard", [False, True])
def test_tensors_stay_tensors(shard: bool) -> None:
    x = torch.ones(5, requires_grad=True)
    opt = go.distributed.init(go.SGD(0.5), {"x": x}, Communicator(), shard=shard)
    before = x._version
    opt.step({"x": torch.ones(5)})
    found = opt.evaluation()["x"]
    assert isinstance(found, torch.Tensor)
    assert found.requires_grad
    assert np.array_equal(found.detach(), np.full(5, 0.5))
    assert np.array_equal(x.detach(), np.full(5, 0.5))
    assert x._version > before, "autograd does not see that it changed"

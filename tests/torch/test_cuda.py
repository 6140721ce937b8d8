"""PyTorch's tensors on a GPU: only where both are."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import gpuopt as go

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")


def nets(dtype: Any = None) -> tuple[Any, Any]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)).to("cuda", dtype)
    return net, copy.deepcopy(net)


@pytest.mark.parametrize("to_none", [True, False])
def test_steps_of_a_network_as_in_pytorch(to_none: bool) -> None:
    ours, theirs = nets()
    both = [(ours, go.torch.Optimizer(ours.parameters(), go.Adam(0.01))), (theirs, torch.optim.Adam(theirs.parameters(), 0.01))]
    x, addresses = torch.randn(5, 8, device="cuda"), [p.data_ptr() for p in ours.parameters()]
    for _ in range(20):
        for net, opt in both:
            opt.zero_grad(set_to_none=to_none)
            net(x).square().mean().backward()
            opt.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    assert [p.data_ptr() for p in ours.parameters()] == addresses


def test_gradients_elsewhere_missing_strided_conjugated_and_sparse() -> None:
    p, q = (torch.nn.Parameter(torch.ones(4, 3, dtype=torch.complex64, device="cuda")) for _ in range(2))
    opt = go.torch.Optimizer([p, q], go.SGD(1.0))
    total = torch.zeros_like(p)
    for number in range(4):
        g = torch.randn(3, 4, dtype=torch.complex64, device="cuda")
        p.grad, q.grad = (g.T.conj(), None) if number % 2 else (g.T.contiguous(), g.T.contiguous())
        total += p.grad
        opt.step()
    torch.testing.assert_close(p.detach(), 1 - total)
    p.grad, q.grad = torch.eye(4, 3, device="cuda").to(torch.complex64).to_sparse(), None
    with pytest.raises(RuntimeError, match="gradient of parameter 0 is sparse"):
        opt.step()


def test_in_the_stream_of_pytorch() -> None:
    p, stream = torch.nn.Parameter(torch.zeros(1 << 22, device="cuda")), torch.cuda.Stream()
    opt = go.torch.Optimizer([p], go.SGD(1.0))
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        for _ in range(10):
            p.grad = torch.full_like(p, 2.0) - 1
            opt.step()
        wrong = (p != -10).sum()
    torch.cuda.synchronize()
    assert int(wrong) == 0


def test_16_bits_and_a_loss_that_is_scaled() -> None:
    net, _ = nets(torch.bfloat16)
    opt = go.torch.Optimizer(net.parameters(), go.Adam(0.01))
    net(torch.ones(1, 8, device="cuda", dtype=torch.bfloat16)).sum().backward()
    opt.step()
    ours, _ = nets()
    before = [p.detach().clone() for p in ours.parameters()]
    opt, scaler = go.torch.Optimizer(ours.parameters(), go.Adam(0.01)), torch.amp.GradScaler("cuda")
    scaler.scale(1e38 * ours(torch.ones(1, 8, device="cuda")).sum()).backward()  # it overflows, and is skipped
    scaler.step(opt)
    scaler.update()
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), before, strict=True))

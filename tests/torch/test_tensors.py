"""Tensors of PyTorch as parameters and gradients of `init` and `step`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gpuopt as go

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64], ids=str)
def test_leaves_are_updated_in_place_as_their_data(dtype: Any) -> None:
    params = {
        "w": torch.full((3, 2), 2.0, dtype=dtype).T.requires_grad_(),
        "b": torch.ones((), dtype=dtype, requires_grad=True),
    }
    place = params["w"].data_ptr()
    opt = go.SGD(0.5).init(params)
    (params["w"].abs() ** 2).sum().backward()
    opt.step({"w": params["w"].grad, "b": params["b"].grad})
    assert opt.counts == {"w": 1, "b": 0}
    assert opt.params is params
    assert (params["w"].data_ptr(), params["w"].tolist(), params["b"].item()) == (place, [[0, 0, 0]] * 2, 1)
    copied = copy.deepcopy(opt)
    copied.step({"w": torch.ones(2, 3, dtype=dtype), "b": None})
    assert params["w"].tolist() != copied.params["w"].tolist() == [[-0.5] * 3] * 2


def test_a_gradient_whose_conjugation_is_still_to_be_computed() -> None:
    x, y = torch.zeros(1, dtype=torch.complex128), torch.zeros(1, dtype=torch.float64)
    opt = go.SGD(1.0).init([x, y])
    lazy = torch.full((1,), 1 + 2j, dtype=torch.complex128).conj()
    opt.step([lazy, lazy.imag])
    assert (x.item(), y.item()) == (-1 + 2j, 2)
    with pytest.raises(TypeError, match=r"params is a Tensor .*not computed yet\): make it np\.asarray\(params\.resolve_conj"):
        go.SGD(1.0).init(lazy)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: torch.eye(2).to_sparse(), r"to_dense\(\) first\): make it np\.asarray\(params\.to_dense\(\)\)"),
        (lambda: torch.zeros(2, device="meta"), "meta"),
        (lambda: torch.zeros(2, dtype=torch.int64), r"it holds torch\.int64\): make it np\.asarray\(params, np\.float64\)"),
    ],
)
def test_what_cannot_be_shared(wrong: Any, why: str) -> None:
    with pytest.raises(TypeError, match=f"params is a Tensor whose memory cannot be shared .*{why}"):
        go.SGD(1.0).init(wrong())


def test_a_tensor_that_has_moved_is_not_written_where_it_was() -> None:
    x = torch.zeros(2)
    opt = go.SGD(1.0).init([x])
    x.data = torch.ones(2)
    with pytest.raises(ValueError, match=r"params\[0\] has other memory than it had in init: .* params\[0\]\.copy_\(x\)"):
        opt.step([torch.ones(2)])
    assert x.tolist() == [1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_on_cuda_in_another_stream(dtype: Any) -> None:
    """PyTorch's own numbers, where its work and the steps are in a stream that is not CuPy's."""
    torch.manual_seed(0)
    a = torch.nn.Parameter(torch.randn(1000, 1000, device="cuda", dtype=dtype))
    b = torch.nn.Parameter(a.detach().clone())
    opt, other = go.torch.Optimizer([a], go.Adam(1e-3)), torch.optim.Adam([b], 1e-3, foreach=False)
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(5):
            for p, one in ((a, opt), (b, other)):
                one.zero_grad()
                (p @ p).square().mean().backward()
                one.step()
        saved = opt.state_dict()
        opt.load_state_dict(saved)
    torch.cuda.synchronize()
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6 if dtype is torch.float32 else 0.05)
    assert saved["state"][0]["m"].is_cuda


def test_autograd_hears_of_steps() -> None:
    params = {
        "w": torch.ones(3, requires_grad=True),
        "b": torch.ones(1, requires_grad=True),
        "c": torch.ones(1, requires_grad=True),
    }
    opt = go.chain(go.freeze("c"), go.Adam()).init(params)
    opt.step({"w": torch.ones(3), "b": None, "c": torch.ones(1)})
    assert {name: p._version for name, p in params.items()} == {"w": 1, "b": 0, "c": 0}
    table = torch.ones(4, 2)
    rows = go.SGD(0.1).init({"t": table}, rows="t")
    rows.step({"t": go.rows(torch.tensor([1]).numpy(), torch.ones(1, 2).numpy())})
    assert table._version == 1


def test_autograd_hears_of_what_is_loaded(tmp_path: Any) -> None:
    x = torch.ones(2)
    go.save(tmp_path / "a.npz", go.Adam().init({"x": torch.zeros(2)}))
    go.load(tmp_path / "a.npz", go.Adam().init({"x": x}))
    assert (x.tolist(), x._version) == ([0, 0], 1)


def test_a_tensor_of_another_layout_at_the_same_address_is_refused() -> None:
    x = torch.zeros(2, 2)
    opt = go.SGD(1.0).init([x])
    x.data = x.data.T
    with pytest.raises(ValueError, match=r"params\[0\] has another layout than it had in init: .* params\[0\]\.copy_\(x\)"):
        opt.step([torch.ones(2, 2)])


def test_an_expanded_tensor_is_cloned() -> None:
    x = torch.zeros(1).expand(3)
    with pytest.raises(ValueError, match=r"params has elements that share memory .* pass a copy, params\.clone\(\)"):
        go.SGD(1.0).init(x)
    go.SGD(1.0).init(x.clone())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_like_the_parameters_is_of_tensors(dtype: Any) -> None:
    params = {"w": torch.ones(2, dtype=dtype, requires_grad=True), "b": np.ones(1)}
    opt = go.chain(go.SGD(1.0), go.average(0.5)).init(params)
    for found in (opt.direction({"w": torch.ones(2), "b": None}), opt.evaluation()):
        assert (type(found["w"]), found["w"].dtype, found["w"].requires_grad) == (torch.Tensor, dtype, True)
        assert type(found["b"]) is np.ndarray
    opt.step({"w": torch.ones(2), "b": np.ones(1)})
    assert opt.evaluation()["w"].tolist() == opt.evaluation()["w"].tolist()
    assert opt.evaluation()["w"].data_ptr() != params["w"].data_ptr()


def test_fit_validates_with_tensors() -> None:
    """The function differentiates with autograd, in training and after."""
    params = {"w": torch.zeros(2, requires_grad=True)}

    def loss_and_grad(params: Any, x: Any) -> Any:
        loss = ((params["w"] - torch.from_numpy(x)) ** 2).mean()
        return loss, dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))

    data = np.ones((8, 2), "f4")
    options: dict[str, Any] = {"validation": data, "metrics": {"far": lambda p, x: (p["w"] - 1).abs().max()}}
    history = go.fit(loss_and_grad, params, data, go.chain(go.SGD(0.1), go.average(0.5)), 4, 3, **options)
    assert history.validation[-1] < history.validation[0]
    assert history.metrics["far"][-1] < history.metrics["far"][0]

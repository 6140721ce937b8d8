"""Rules as optimizers of PyTorch: the numbers of ``torch.optim``, and all that surrounds one there."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest

import gpuopt as go

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.optim import lr_scheduler as rates  # noqa: E402 # which is there if torch is

theirs = pytest.importorskip("torch.testing._internal.common_optimizers", reason="expecttest is not installed")

pytestmark = pytest.mark.torch


def model(seed: int = 0, dtype: Any = torch.float64) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).to(dtype)


def train(net: Any, opt: Any, steps: int = 6, rate: Any = None, clip: float | None = None, scaler: Any = None) -> None:
    """Some steps on the same data each time."""
    dtype = next(net.parameters()).dtype
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4).to(dtype)
    for _ in range(steps):
        opt.zero_grad()
        loss = (net(x) ** 2).mean() if scaler is None else scaler.scale(1e6 * (net(x) ** 2).mean())
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        if scaler is None:
            opt.step()
        else:
            scaler.step(opt)
            scaler.update()
        if rate is not None:
            rate.step(*([loss.item()] if isinstance(rate, rates.ReduceLROnPlateau) else []))


def assert_alike(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=tolerance)


def pair(rule: Any, other: Callable[[Any], Any], dtype: Any = torch.float64) -> tuple[Any, Any, Any, Any]:
    a, b = model(dtype=dtype), model(dtype=dtype)
    return a, go.torch.Optimizer(a.parameters(), rule), b, other(b.parameters())


def adam(params: Any) -> Any:
    return torch.optim.Adam(params, 0.01)


APPLY = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"]
INFOS = [info for info in theirs.optim_db if info.name in APPLY]
NOT_HERE = {"capturable", "differentiable"}
"""Options that say how PyTorch runs an update."""


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_option_as_in_pytorch(info: Any) -> None:
    """In float64, against PyTorch's loop over single tensors; a tensor now and then has no gradient."""
    for given in info.optim_inputs_func("cpu"):
        options = {name: value for name, value in given.kwargs.items() if name not in NOT_HERE}
        rate = options.get("lr")
        rule = getattr(go.conventions.torch, info.name)(**{**options, **({} if rate is None else {"lr": float(rate)})})
        torch.manual_seed(1)
        ours = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 2), (4,), ())]
        others = [p.detach().clone().requires_grad_() for p in ours]
        group = {"params": ours} if rate is None else {"params": ours, "lr": rate}
        opt, other = go.torch.Optimizer([group], rule), info.optim_cls(others, **options, foreach=False)
        for step in range(5):
            for index, (p, q) in enumerate(zip(ours, others, strict=True)):
                p.grad = torch.randn_like(p) if (step, index) != (2, 1) else None
                q.grad = None if p.grad is None else p.grad.clone()
            opt.step()
            other.step()
        for p, q in zip(ours, others, strict=True):
            tolerance = 1e-6 if info.name == "NAdam" else 1e-12  # its product of decays is a float32 there
            torch.testing.assert_close(p, q, rtol=0, atol=tolerance, msg=f"{info.name}: {given}")


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_wrong_input_as_in_pytorch(info: Any) -> None:
    for wrong in info.optim_error_inputs_func("cpu", torch.float32):
        given = wrong.optimizer_error_input
        options = {name: value for name, value in given.kwargs.items() if name not in NOT_HERE}
        rate = options.pop("lr", None)
        params = [torch.nn.Parameter(torch.zeros(2))] if given.params is None else given.params
        if isinstance(rate, torch.Tensor):
            params, rate = [{"params": params, "lr": rate}], None
        if "foreach" in given.kwargs:  # what that loop alone refuses
            continue
        options |= {} if rate is None else {"lr": rate}
        with pytest.raises((wrong.error_type, TypeError)):
            go.torch.Optimizer(params, getattr(go.conventions.torch, info.name)(**options))


def test_clipping_inside_and_before() -> None:
    rule = go.chain(go.clip_global_norm(0.1), go.AdamW(0.01))
    a, opt, b, other = pair(rule, lambda params: torch.optim.AdamW(params, 0.01))
    addresses = [p.data_ptr() for p in a.parameters()]
    train(a, opt)
    train(b, other, clip=0.1)
    assert_alike(a, b)
    assert [p.data_ptr() for p in a.parameters()] == addresses
    a, opt, b, other = pair(go.Adam(0.01), adam)
    train(a, opt, clip=0.1)
    train(b, other, clip=0.1)
    assert_alike(a, b)


def few(opt: Any, **options: Any) -> Any:
    return rates.OneCycleLR(opt, 0.1, total_steps=9, **options)


@pytest.mark.parametrize(
    "rate",
    [
        lambda opt: rates.LambdaLR(opt, lambda epoch: 0.9**epoch),
        lambda opt: rates.SequentialLR(opt, [rates.LinearLR(opt, 0.1, 1, 2), rates.CosineAnnealingLR(opt, 5)], [2]),
        lambda opt: rates.CosineAnnealingWarmRestarts(opt, 2),
        lambda opt: rates.ReduceLROnPlateau(opt, patience=1, threshold=0.9),
        lambda opt: few(opt, cycle_momentum=False),
    ],
    ids=["lambda", "sequential", "restarts", "plateau", "one cycle"],
)
def test_schedulers(rate: Any) -> None:
    a, opt, b, other = pair(go.Adam(0.01), adam)
    mine, their = rate(opt), rate(other)
    train(a, opt, rate=mine)
    train(b, other, rate=their)
    assert_alike(a, b)
    assert opt.param_groups[0]["lr"] == other.param_groups[0]["lr"]
    mine.load_state_dict(their.state_dict())


def test_schedulers_of_momentum() -> None:
    """A decay that changes is corrected by the weights that the average has, and in PyTorch by the last decay alone."""
    sgd = go.Momentum(0.01, beta=0.9, dampening=0.0)
    a, opt, b, other = pair(sgd, lambda params: torch.optim.SGD(params, 0.01, momentum=0.9))
    train(a, opt, rate=few(opt))
    train(b, other, rate=few(other))
    assert_alike(a, b)
    a, opt, *_ = pair(go.Adam(0.01), adam)
    train(a, opt, rate=few(opt))
    assert opt.param_groups[0]["betas"] == (opt.rule.beta1, 0.999) != (0.9, 0.999)
    assert "debias(1)" in opt.state_dict()["state"][0]


def test_a_schedule_of_gpuopt_until_a_number_is_assigned() -> None:
    a, opt, b, other = pair(go.Adam(go.schedules.Exponential(0.01, 0.5)), adam)
    train(a, opt, 2)
    assert opt.param_groups[0]["lr"] == 0.01 * 0.5**2
    train(b, other, 2, rate=rates.ExponentialLR(other, 0.5))
    assert_alike(a, b)
    opt.param_groups[0]["lr"] = other.param_groups[0]["lr"] = 0.3
    train(a, opt, 2)
    train(b, other, 2)
    assert_alike(a, b)


def test_a_gradient_scaler_skips_what_is_not_finite() -> None:
    a, opt, b, other = pair(go.Adam(0.01), adam, torch.float32)
    for net, one in ((a, opt), (b, other)):
        train(net, one, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**120, backoff_factor=2.0**-40))
    assert_alike(a, b, 1e-6)
    assert opt.state_dict()["state"][0]["step"] == int(other.state_dict()["state"][0]["step"]) == 5


def groups(net: Any) -> list[dict[str, Any]]:
    return [{"params": net[0].parameters(), "lr": 0.001, "weight_decay": 0.0}, {"params": net[2].parameters()}]


def test_groups_with_numbers_of_their_own_share_the_pieces() -> None:
    a, b = model(), model()
    opt = go.torch.Optimizer(groups(a), go.chain(go.clip_global_norm(0.1), go.AdamW(0.01, weight_decay=0.1)))
    train(a, opt)
    train(b, torch.optim.AdamW(groups(b), 0.01, weight_decay=0.1), clip=0.1)
    assert_alike(a, b)


def test_groups_with_rules_of_their_own() -> None:
    a, b = model(), model()
    own = {"params": a[2].named_parameters(), "rule": go.SGD(0.1), "lr": 0.2}
    opt = go.torch.Optimizer([{"params": a[0].named_parameters(), "beta1": 0.8}, own], go.Adam(0.01))
    adam, sgd = torch.optim.Adam(b[0].parameters(), 0.01, betas=(0.8, 0.999)), torch.optim.SGD(b[2].parameters(), 0.2)
    train(a, opt)
    adam.register_step_post_hook(lambda *given: sgd.step())
    adam.add_param_group({"params": b[2].parameters(), "lr": 0.0})
    train(b, adam)
    assert_alike(a, b)


def test_a_partition_by_names() -> None:
    a, b = model(), model()
    rule = go.partition({"*/bias": go.SGD(0.1), "*": go.Adam(0.01)})
    train(a, go.torch.Optimizer(a.named_parameters(), rule))
    biases = [p for name, p in b.named_parameters() if name.endswith("bias")]
    train(
        b, go.torch.Optimizer([{"params": biases, "rule": go.SGD(0.1)}, {"params": [b[0].weight, b[2].weight]}], go.Adam(0.01))
    )
    assert_alike(a, b, 0.0)


def test_a_group_that_comes_later_and_tensors_that_move() -> None:
    a, b = model(), model()
    opt, other = go.torch.Optimizer(a[0].parameters(), go.Adam(0.01)), adam(b[0].parameters())
    for net, one in ((a, opt), (b, other)):
        train(net, one, 2)
        one.add_param_group({"params": net[2].parameters(), "lr": 0.1})
        train(net, one, 2)
        for p in net.parameters():
            p.data = p.data.clone()
        train(net, one, 2)
    assert_alike(a, b)
    assert set(opt.state[a[0].weight]) == {"m", "v"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex128, torch.float32], ids=str)
def test_a_saved_state_and_a_copy_go_on_bit_for_bit(dtype: Any) -> None:
    def begun() -> tuple[Any, Any]:
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.randn(7, dtype=dtype))
        return p, go.torch.Optimizer([p], go.chain(go.clip_norm(0.5), go.Adam(0.1), go.average(0.9)))

    def on(p: Any, opt: Any) -> Any:
        for _ in range(3):
            opt.zero_grad()
            (p.abs() ** 2).sum().backward()
            opt.step()
        return p.detach()

    p, opt = begun()
    before = on(p, opt).clone()
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    q, other = begun()
    with torch.no_grad():
        q.copy_(before)
    other.load_state_dict(torch.load(file, weights_only=True))
    r, copied = copy.deepcopy((p, opt))
    assert torch.equal(on(p, opt), on(q, other))
    assert torch.equal(p, on(r, copied))
    assert not torch.equal(p, before)


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    a, opt, b, other = pair(go.Adam(0.01), adam)
    train(a, opt)
    train(b, other)
    saved = opt.state_dict()
    wrong = {**saved, "state": {**saved["state"], 0: {**saved["state"][0], "m": torch.zeros(1)}}}
    lion = go.torch.Optimizer(model().parameters(), go.Lion(0.01))
    for target, given in ((opt, wrong), (opt, other.state_dict()), (lion, saved), (opt, {**saved, "state": {}})):
        with pytest.raises(ValueError, match=r"state_dict|m\["):
            target.load_state_dict(given)
    train(a, opt)
    train(b, other)
    assert_alike(a, b)


def test_closures_losses_and_versions() -> None:
    p = torch.nn.Parameter(torch.full((2,), 3.0))
    opt = go.torch.Optimizer([p], go.PolyakStep(1.0))

    def closure() -> Any:
        opt.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert opt.step(closure).item() == 18
    assert p.tolist() == [1.5, 1.5]
    opt.step(loss=closure())
    assert p.tolist() == [0.75, 0.75]
    kept = (p**2).sum()
    kept.backward(retain_graph=True)
    opt.step(loss=kept)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.backward()


def test_sparse_gradients_are_refused() -> None:
    layer = torch.nn.Embedding(3, 2, sparse=True)
    opt = go.torch.Optimizer(layer.parameters(), go.SGD(0.1))
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=r"is sparse, .* sparse=False"):
        opt.step()


def test_a_rule_is_asked_for() -> None:
    with pytest.raises(TypeError, match=r"Adam is a class, so call it, Adam\(\)"):
        go.torch.Optimizer([torch.zeros(2)], go.Adam)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"Optimizer has no argument 'lr'; .*; hyperparameters .* as in gpuopt\.Adam\(lr=0\.1\)$"
    ):
        go.torch.Optimizer(model().parameters(), lr=0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r": 'rule'; write gpuopt\.torch\.Optimizer\(params, gpuopt\.Adam\(\)\)$"):
        go.torch.Optimizer(model().parameters())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"rule must be a gpuopt\.Rule"):
        go.torch.Optimizer([{"params": [torch.zeros(2)], "rule": torch.optim.Adam}], go.Adam())


def test_what_a_group_or_a_state_dict_says_is_heard_or_refused() -> None:
    p = [torch.nn.Parameter(torch.ones(2))]
    for group, words in (
        ({"weight_decay": 0.1}, "a group has 'weight_decay', and Adam.* takes lr, "),
        ({"lrr": 1.0}, "a group has 'lrr'"),
        ({"amsgrad": True}, "a group has 'amsgrad'"),
    ):
        with pytest.raises(ValueError, match=words):
            go.torch.Optimizer([{"params": p, **group}], go.Adam())
    opt = go.torch.Optimizer([{"params": p, "name": "mine"}], go.Adam(0.1))
    p[0].grad = torch.ones(2)
    opt.step()
    kept = copy.deepcopy(opt.state_dict())
    for other in (go.torch.Optimizer(p, go.SGD(0.7)), torch.optim.Adam(p)):
        with pytest.raises(ValueError, match=r"state_dict is from another rule: a group has no|a group has 'weight_decay'"):
            opt.load_state_dict(other.state_dict())
    torch.testing.assert_close(opt.state_dict()["state"], kept["state"])
    with pytest.raises(ValueError, match=r"leave LossScale out of .*: use torch\.amp\.GradScaler"):
        go.torch.Optimizer(p, go.chain(go.LossScale(), go.SGD()))
    again = go.torch.Optimizer(p, go.PolyakStep())
    with pytest.raises(ValueError, match=r"write opt\.step\(loss=loss\), or give step a closure"):
        again.step()
    again.step(loss=1.0)


def test_tensors_are_saved_and_loaded(tmp_path: Any) -> None:
    own, other = torch.ones(3), torch.zeros(3)
    opt, again = go.Adam(0.1).init({"w": own}), go.Adam(0.1).init({"w": other})
    opt.step({"w": torch.ones(3)})
    go.save(tmp_path / "a.npz", opt)
    go.load(tmp_path / "a.npz", again)
    assert torch.equal(own, other)
    with pytest.raises(TypeError, match=r"write torch\.save\(opt\.state_dict\(\), path\)"):
        go.save(tmp_path / "a.npz", go.torch.Optimizer([torch.nn.Parameter(own)], go.Adam()))


def test_a_schedule_goes_on_in_a_resumed_optimizer() -> None:
    p, rates = [torch.nn.Parameter(torch.ones(2))], go.schedules.Exponential(0.1, 0.5, 1)
    p[0].grad = torch.ones(2)
    opt, again = (go.torch.Optimizer(p, go.SGD(rates)) for _ in range(2))
    opt.step()
    opt.step()
    again.load_state_dict(opt.state_dict())
    again.step()
    assert again.param_groups[0]["lr"] == rates(3)
    assert again.rule == go.SGD(rates)


def test_a_rate_a_hair_below_0_is_0_and_a_rule_may_have_an_empty_beta() -> None:
    p = [torch.nn.Parameter(torch.ones(2, 2))]
    p[0].grad = torch.ones(2, 2)
    opt = go.torch.Optimizer(p, go.SGD(0.1))
    opt.param_groups[0]["lr"] = -2e-20
    opt.step()
    assert torch.equal(p[0], torch.ones(2, 2))
    go.torch.Optimizer(p, go.SOAP()).step()

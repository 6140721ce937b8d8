"""Groups of parameters: rules of their own, partitions, what comes later, and what is evaluated."""

from __future__ import annotations

import contextlib
import copy
import re
from typing import Any

import pytest

import gpuopt as go

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.optim import lr_scheduler as rates  # noqa: E402 # which is there if torch is

pytestmark = pytest.mark.torch


def model() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))


def train(net: Any, opt: Any, steps: int = 3, rate: Any = None) -> None:
    for _ in range(steps):
        opt.zero_grad()
        loss = (net(torch.ones(5, 4)) ** 2).mean()
        loss.backward()
        opt.step(loss=loss.item())
        if rate is not None:
            rate.step()


def named(layer: Any) -> dict[str, Any]:
    return {"params": layer.named_parameters()}


def test_each_rule_of_a_partition_has_a_group_and_a_scheduler_reaches_it() -> None:
    rules = go.partition({"*/bias": go.SGD(0.1), "0": go.chain(go.clip_norm(1.0), go.Lion(0.01)), "*": go.Adam(0.02)})
    a, b = model(), model()
    opt = go.torch.Optimizer(a.named_parameters(), go.chain(go.clip_global_norm(0.1), go.freeze("1/bias"), rules))
    assert [(group["lr"], group["param_names"]) for group in opt.param_groups] == [
        (0.1, ["0.bias", "1.bias"]),
        (0.01, ["0.weight"]),
        (0.02, ["1.weight"]),
    ]
    assert opt.defaults == {"lr": 0.1}
    train(a, opt, rate=rates.ExponentialLR(opt, 0.5))
    assert [group["lr"] for group in opt.param_groups] == [0.1 / 8, 0.01 / 8, 0.02 / 8]
    plain = {name: p.detach().numpy() for name, p in b.named_parameters()}
    paths = {name.replace(".", "/"): p for name, p in plain.items()}
    own = go.chain(go.clip_global_norm(0.1), go.freeze("1/bias"), rules).init(paths)
    for step in range(3):
        own.rule = own.rule.replace({"*/bias/lr": 0.1 / 2**step, "0/lr": 0.01 / 2**step, "*/lr": 0.02 / 2**step})
        b.zero_grad()
        (b(torch.ones(5, 4)) ** 2).mean().backward()
        own.step({name.replace(".", "/"): p.grad for name, p in b.named_parameters()})
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(a, opt)


@pytest.mark.parametrize(
    "rule", [go.NAdam(), go.Prodigy(), go.chain(go.backtrack(), go.Adam()), go.ScheduleFreeAdamW()], ids=repr
)
def test_a_group_that_comes_after_steps_shares_what_the_others_share(rule: Any) -> None:
    """Numbers of all arrays are those that the others have; a dict that is saved before the next step can be loaded."""
    a = model()
    opt = go.torch.Optimizer([named(a[0])], rule)
    train(a, opt)
    opt.add_param_group(named(a[1]))
    saved = copy.deepcopy(opt.state_dict())
    steps = [opt.state[p].get("backtrack_steps") for p in a.parameters()]
    assert steps in ([None] * 4, [3.0] * 4)
    b = copy.deepcopy(a)
    again = go.torch.Optimizer([named(b[0]), named(b[1])], rule)
    again.load_state_dict(saved)
    assert [each["step"] for each in again.state_dict()["state"].values()] == [3, 3, 0, 0]
    train(a, opt)
    train(b, again)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_group_that_comes_after_a_scheduler_cycled_the_decays() -> None:
    """The weights of its averages begin at 0, those of the others go on."""
    a = model()
    opt = go.torch.Optimizer(a[0].named_parameters(), go.Adam(0.01))
    rate = rates.OneCycleLR(opt, 0.1, total_steps=20)
    train(a, opt, rate=rate)
    cycle = ("max_lr", "min_lr", "initial_lr", "max_momentum", "base_momentum")
    opt.add_param_group(named(a[1]) | {name: opt.param_groups[0][name] for name in cycle})
    opt.param_groups[1]["betas"] = opt.param_groups[0]["betas"]
    before = opt.state_dict()["state"]
    assert [before[k]["debias(1)"].item() for k in (2, 3)] == [0.0, 0.0] != before[0]["debias(1)"].item()
    train(a, opt, 1)
    beta = opt.param_groups[1]["betas"][0]
    assert opt.state[a[1].weight]["debias(1)"].item() == pytest.approx(1 - beta)


def test_decays_that_change_as_a_group_is_added_hold_from_then_on() -> None:
    def trained(added: bool) -> Any:
        net = model()
        opt = go.torch.Optimizer(net[0].parameters(), go.Adam(0.01))
        train(net, opt)
        opt.param_groups[0]["betas"] = (0.5, 0.6)
        if added:
            opt.add_param_group({"params": net[1].parameters(), "lr": 0.0})
        train(net, opt)
        return net[0].weight

    assert torch.equal(trained(True), trained(False))


def test_a_group_has_the_entries_of_its_own_rule_alone() -> None:
    net = model()
    opt = go.torch.Optimizer([named(net[0]) | {"rule": go.SGD(0.1)}, named(net[1])], go.Adam())
    assert opt.param_groups[0].keys() == {"params", "param_names", "lr"}
    opt.load_state_dict(opt.state_dict())
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        rates.OneCycleLR(opt, 0.1, total_steps=9)
    train(net, opt, rate=rates.OneCycleLR(opt, 0.1, total_steps=9, cycle_momentum=False))


def test_freeze_finds_names_in_several_groups() -> None:
    net = model()
    before = net[0].bias.detach().clone()
    opt = go.torch.Optimizer([named(net[0]), named(net[1])], go.chain(go.freeze("bias"), go.Adam(0.1)))
    train(net, opt)
    assert torch.equal(net[0].bias, before)
    assert not torch.equal(net[0].weight, model()[0].weight)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"lr": "a"}, "'lr' of a group must be a number, got 'a'"),
        ({"lr": None}, "'lr' of a group must be a number, got None"),
        ({"lr": torch.ones(2)}, "'lr' of a group must be one number, got tensor"),
        ({"betas": 0.9}, "'betas' of a group must be 2 numbers, (beta1, beta2), got 0.9"),
        ({"betas": (0.9,)}, "'betas' of a group must be 2 numbers, (beta1, beta2), got (0.9,)"),
        ({"betas": (0.9, "b")}, "'betas' of a group must be a number, got 'b'"),
    ],
    ids=str,
)
def test_entries_that_are_no_numbers(entries: dict[str, Any], words: str) -> None:
    net = model()
    opt = go.torch.Optimizer(net[0].parameters(), go.Adam())
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        opt.add_param_group({"params": net[1].parameters(), **entries})
    assert len(opt.param_groups) == 1
    opt.param_groups[0] |= entries
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        train(net, opt)


def test_a_model_is_not_a_list_of_tensors() -> None:
    with pytest.raises(
        TypeError, match=r"params is a Sequential, .* write gpuopt\.torch\.Optimizer\(model\.named_parameters\(\), rule"
    ):
        go.torch.Optimizer(model(), go.Adam())
    net = model()
    with pytest.raises(TypeError, match=r"got Sequential: pass its tensors, dict\(params\.named_parameters\(\)\)"):
        go.Adam().init(net)
    go.Adam().init(dict(net.named_parameters()))


@pytest.mark.parametrize("rule", [go.chain(go.Adam(0.1), go.average(0.9)), go.ScheduleFreeSGD(0.1), go.Adam(0.1)], ids=repr)
def test_evaluation_swaps_the_tensors_and_brings_them_back(rule: Any) -> None:
    net = model()
    opt = go.torch.Optimizer(net.parameters(), rule)
    with opt.evaluation():
        assert torch.equal(net[0].weight, model()[0].weight)
    train(net, opt)
    before, places = [p.detach().clone() for p in net.parameters()], [p.data_ptr() for p in net.parameters()]
    wanted = opt._binder.of(opt.param_groups).optimizer.evaluation()
    output = net(torch.ones(1, 4)).sum()
    with contextlib.suppress(KeyError), opt.evaluation():
        found = [p.detach().clone() for p in net.parameters()]
        with pytest.raises(RuntimeError, match=r"leave `with opt\.evaluation\(\):` before opt\.step"):
            opt.step()
        with pytest.raises(RuntimeError, match=r"before another one"), opt.evaluation():
            pass
        with pytest.raises(RuntimeError, match=r"before you copy or pickle the optimizer"):
            copy.deepcopy((net, opt))  # whose tensors would never again be those to step from
        raise KeyError
    for p, was, place, evaluated, new in zip(net.parameters(), before, places, found, wanted.values(), strict=True):
        assert torch.equal(p, was)
        assert p.data_ptr() == place
        assert torch.equal(evaluated, torch.from_numpy(new))
    assert torch.equal(found[0], before[0]) == isinstance(rule, go.Adam)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.backward()
    train(net, opt)


def test_state_is_that_of_now() -> None:
    p = torch.nn.Parameter(torch.ones(5000))
    opt = go.torch.Optimizer([p], go.Adam(0.1), state_dtype="dynamic8")
    assert not opt.state
    for step in (1, 2):
        p.grad = torch.ones(5000)
        opt.step()
        assert opt.state[p]["m"][0].item() == pytest.approx(1 - 0.9**step, rel=0.1)
    with pytest.raises(AttributeError, match=r"opt\.state is for reading: write opt\.load_state_dict"):
        opt.state = {}


def test_a_tensor_that_lies_otherwise_at_the_same_address() -> None:
    def trained(opt_of: Any) -> Any:
        p = torch.nn.Parameter(torch.arange(4.0).reshape(2, 2))
        opt = opt_of([p])
        p.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        opt.step()
        p.data = p.data.T
        p.grad = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
        opt.step()
        return p

    ours, other = trained(lambda p: go.torch.Optimizer(p, go.Adam(0.1))), trained(lambda p: torch.optim.Adam(p, 0.1))
    torch.testing.assert_close(ours, other)


def test_a_state_dict_that_does_not_fit_leaves_schedules_as_they_are() -> None:
    p, schedule = [torch.nn.Parameter(torch.ones(2))], go.schedules.Exponential(0.1, 0.5, 1)
    p[0].grad = torch.ones(2)
    opt, other = (go.torch.Optimizer(p, go.Momentum(schedule)) for _ in range(2))
    opt.step()
    saved = opt.state_dict()
    saved["state"][0]["v"] = torch.ones(3)
    with pytest.raises(ValueError, match=r"\['v'\]"):
        other.load_state_dict(saved)
    other.step()
    assert other.param_groups[0]["lr"] == schedule(1)


def test_a_number_that_a_schedule_gives_too_stays_a_number() -> None:
    rule = go.partition({"*/bias": go.SGD(0.1), "*": go.Adam(go.schedules.Step(0.1, 3, 0.5))})
    a, b = model(), model()
    opt, other = (go.torch.Optimizer(net.named_parameters(), rule) for net in (a, b))
    train(a, opt, 1)
    opt.param_groups[1]["lr"] = 0.05
    train(a, opt, 2)
    assert (opt.param_groups[1]["lr"], rule.hyperparameters["*/lr"](3)) == (0.05, 0.05)
    other.load_state_dict(opt.state_dict())
    train(b, other, 3)
    assert other.param_groups[1]["lr"] == 0.05


def test_a_cycle_of_momentum_is_resumed_before_its_first_step() -> None:
    opt, other = (go.torch.Optimizer(model().parameters(), go.Momentum(0.1)) for _ in range(2))
    rates.OneCycleLR(opt, 0.1, total_steps=9)
    opt.add_param_group({**opt.param_groups[0], "params": [torch.ones(2, requires_grad=True)]})
    other.add_param_group({"params": [torch.ones(2, requires_grad=True)]})
    other.load_state_dict(opt.state_dict())
    assert [group["max_momentum"] for group in other.param_groups] == [0.95] * 2


def test_a_state_in_which_the_decays_of_some_groups_were_cycled() -> None:
    """A group whose decays were always the same has no sums of weights."""

    def bound() -> tuple[Any, Any]:
        net = model()
        groups = [{"params": layer.parameters()} for layer in net]
        return net, go.torch.Optimizer(groups, go.Adam(0.01))

    (a, opt), (b, other) = bound(), bound()
    train(a, opt, 1)
    opt.param_groups[0]["betas"] = (0.8, 0.999)
    train(a, opt, 1)
    b.load_state_dict(a.state_dict())
    other.load_state_dict(opt.state_dict())
    train(a, opt, 2)
    train(b, other, 2)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))

"""Right code of a user: arrays, training, minimization, schedules, state. It runs, and no type checker objects."""

import dataclasses
from collections.abc import Callable
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import gpuopt as go

Array = NDArray[np.float64]


def loss_and_grad(params: dict[str, Array], x: Array, y: Array) -> tuple[float, dict[str, Array]]:
    residual = x @ params["w"] - y
    return float(residual @ residual), {"w": 2 * x.T @ residual}


def value(x: Array, scale: float = 1.0) -> float:
    return scale * float(x @ x)


def gradient(x: Array, scale: float = 1.0) -> Array:
    return 2 * scale * x


def value_and_gradient(x: Array) -> tuple[np.float64, Array]:
    return np.float64(x @ x), 2 * x


class Halving:
    """A schedule that is no function."""

    def __call__(self, step: int) -> float:
        return 0.1 * 0.5**step


class Late(go.schedules.Schedule):
    """A schedule of the library's kind."""

    def __call__(self, step: int) -> float:
        return 0.0 if step < 3 else 0.1


def train(rule: go.Rule | go.Chain | go.Partition) -> go.History:
    rng = np.random.default_rng(0)
    params = {"w": np.zeros(3)}
    return go.fit(loss_and_grad, params, (rng.normal(size=(8, 3)), rng.normal(size=8)), rule, batch_size=4, epochs=2)


def counted(opt: go.Optimizer) -> int:
    return opt.t


# Rules and schedules
rules = [go.Adam(0.1), go.Adam(1), go.Adam(lr=np.float32(0.1)), go.Adam(lr=Halving()), go.Adam(Late()), go.SGD()]
by_step: list[Callable[[int], float]] = [lambda step: 0.1 / (1 + step), Halving(), go.schedules.Constant(0.1)]
in_two_parts = go.Adam(lr=lambda step: np.where(step < 5, 0.1, 0.01))
scheduled = [go.Momentum(lr=each, beta=lambda step: min(0.9, 0.1 * step), dampening=None) for each in by_step]
warm = go.schedules.WarmUp(go.schedules.Cosine(1e-3, steps=900), steps=100)
rate: float = warm(3)
joined = go.schedules.Joined([warm, lambda step: 0.1], boundaries=[1000])
steps = go.schedules.Piecewise((0.1, 0.01), (5,))
rms = go.RMSProp(joined, beta=0.9, eps=1e-8, centered=True, momentum=0.5)
again = dataclasses.replace(rms, lr=steps, momentum=0)

# An optimizer knows its rule
opt = go.Adam(lr=1e-3).init({"w": np.zeros(3)})
assert_type(opt, go.Optimizer[go.Adam])
opt.rule = dataclasses.replace(opt.rule, lr=1e-4, amsgrad=False)
opt.rule = opt.rule.replace({"lr": 1e-3}).replace(lr=1e-4)
half = opt.rule.lr / 2
opt.rule = dataclasses.replace(opt.rule, lr=half)
opt.step({"w": np.ones(3)})
opt.step({"w": None})
opt.load_state_dict(opt.state_dict())
mean = opt.evaluation()["w"].mean() + opt.params["w"][0] + opt.state["m"]["w"].max() + opt.counts["w"]
text = f"{opt.executor.upper()} {opt.capturable} {opt.t + 1} {opt.numbers} {counted(opt)}"

# Chains and partitions
chained = go.chain(go.clip_global_norm(1.0), go.Adam(), go.bounds(0, 1), go.average(0.9)).init(np.zeros(3))
assert_type(chained, go.Optimizer[go.Chain])
chained.rule = chained.rule.replace({"lr": 0.05, "bounds.hi": 2.0})
pieces = [go.clip(1.0), go.accumulate(2), go.SGD(), go.lookahead(k=2)]
of_list = go.chain(*pieces)
groups = {"a": go.Adam(), "*": go.chain(go.clip_norm(1.0, eps=0.0), go.Momentum())}
divided = go.partition(groups).init({"a": np.zeros(2), "b": np.zeros(3)})
assert_type(divided, go.Optimizer[go.Partition])
by_rank = go.partition({1: go.Adam(), 2: go.SGD()}, by=lambda path, array: array.ndim)
around = go.chain(go.LossScale(growth=3.0, interval=100), go.maximize(), go.centralize(), by_rank)
noisy = (go.freeze("b"), go.gradient_noise(0.1, seed=3), go.weight_decay(1e-4))
frozen = go.chain(*noisy, go.SGD(), go.decoupled_weight_decay(0.1))
image = np.zeros((2, 3))
masked = go.chain(go.scale(1.0), go.SGD()).init(image, hyper={"lr": np.array([[0.1], [0.2]]), "factor": np.ones(3)})
small = go.SGD().init({"w": np.ones(3, np.float16)}, master=True)
several = [go.Adam().init(np.zeros(3)), go.SGD().init(np.zeros(3)), go.chain(go.SGD()).init(np.zeros(3))]
for one in several:
    one.step(np.ones(3))
for make in (go.SGD, go.Momentum, go.Adam):
    make(lr=0.1).init(np.zeros(3)).step(np.ones(3))
    make(0.1)
by_name: dict[str, type[go.Rule]] = {"adam": go.Adam, "sgd": go.SGD}
chosen: go.Optimizer[go.Rule] = by_name["adam"](0.1, eps=1e-6).init(np.zeros(3))
kept: dict[str, go.Optimizer[go.Adam]] = {"first": go.Adam().init(np.zeros(3))}

# Training
history = train(go.Adam())
train(go.chain(go.skip_nonfinite(), go.AdamW(weight_decay=0.1), go.bounds(hi=np.float64(3))))
last: float = history.loss[-1] + history.seconds
updates: int = history.steps + history.epochs
x = np.zeros(3)
go.fit(
    lambda p, batch: (np.sum(p * p), 2 * p), x, np.arange(4), go.Adam().init(x), batch_size=None, seed=np.random.default_rng(1)
)
go.fit(lambda p, batch: (0.1, p), x, np.ones(4), go.SGD(), 2, 1, shuffle=False, callback=lambda done: done.epochs > 1)

# Minimizing
rule = go.Momentum(0.1)
result = go.minimize(value_and_gradient, np.ones(3), rule, maxiter=5)
result = go.minimize(value, [1.0, 2.0], rule, jac=gradient, args=(2.0,), maxiter=5, bounds=(0.5, None), callback=print)
result = go.minimize(lambda x: (np.sum(x * x), 2 * x), np.ones(2), rule, bounds=[(0.0, 1.0), (None, 2.0)], maxiter=5)


def watch(intermediate_result: go.OptimizeResult) -> bool:
    return intermediate_result.fun < 0.1


result = go.minimize(value_and_gradient, np.ones(2), rule, callback=watch, bounds=(np.zeros(2), np.ones(2)), maxiter=5)
print(result.x.shape, result.fun + result.nit + result.nfev, result.message.upper(), result.success, result["jac"])
print(go.minimize(value_and_gradient, np.ones(2), rule, copy=False, maxiter=5).njev)
method = go.scipy_method(rule)
result = go.minimize(lambda p: (0.1, p), {"w": np.ones(3)}, go.LBFGS(memory=5), ftol=1e-6, patience=3, maxiter=2)
result = go.minimize(value, np.ones(2), go.NonlinearCG("dai-yuan"), jac=gradient, maxiter=3)
result = go.minimize(value_and_gradient, np.ones(2), go.ProximalGradient(0.1, prox=go.l1(0.1)), maxiter=3)
for state in go.iterate(value_and_gradient, np.ones(2), rule, maxiter=3):
    print(state.fun + state.optimality, state.nit, state.opt.t)
print(go.check_gradient(value_and_gradient, np.ones(3)).verdict.upper())

# Backend
go.use("numpy")
zeros = go.xp().zeros(3)
ones = go.array_module(zeros).ones(3)
version: str | None = go.info()["versions"]["numpy"]
threads: int | None = go.info()["threads"]
go.use("auto")

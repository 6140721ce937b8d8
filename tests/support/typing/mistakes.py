"""Mistakes of a user: mypy and pyright report each line that ends with ``# wrong``, and no other. It is never run.

What ``dataclasses.replace`` is given, mypy alone looks at.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gpuopt as go

Array = NDArray[np.float64]


class Mine(go.Rule):
    lr: go.NonNegative = 0.1
    _: dataclasses.KW_ONLY
    beta: go.Decay = 0.9
    nesterov: bool = False

    def update(self, t: int, p: Array, g: Array) -> Array:
        return p - self.lr * g


class shrink(go.ParameterPiece):
    amount: go.NonNegative

    def update(self, t: int, p: Array, new: Array) -> Array:
        return new - self.amount * p


class Wrong(go.Rule):
    lr: go.NonNegative = "0.1"  # wrong
    steps_per_epoch: int = 0.5  # wrong

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.rate * g  # wrong


def no_step() -> float:
    return 0.1


def text_step(step: int) -> str:
    return "0.1"


def value(x: Array) -> float:
    return float(x @ x)


def gradient(x: Array) -> Array:
    return 2 * x


def value_and_gradient(x: Array) -> tuple[float, Array]:
    return float(x @ x), 2 * x


def loss_alone(params: Array, batch: Array) -> float:
    return float(params @ params)


def loss_and_grad(params: Array, batch: Array) -> tuple[float, Array]:
    return float(params @ params), 2 * params


x = np.zeros(3)
opt = go.Adam().init(x)
history = go.fit(loss_and_grad, x, x, go.Adam())
result = go.minimize(value_and_gradient, x, go.Adam())

# Hyperparameters
go.Adam("0.1")  # wrong
go.Adam(0.1, 0.9)  # wrong
go.Adam(None)  # wrong
go.Adam([0.1])  # wrong
go.Adam(np.full(3, 0.1))  # wrong
go.Adam(1 + 2j)  # wrong
go.Adam(lr=lambda: 0.1)  # wrong
go.Adam(lr=no_step)  # wrong
go.Adam(lr=text_step)  # wrong
go.Adam(lr=lambda step: "0.1")  # wrong
go.Adam(lr=go.schedules.Cosine)  # wrong
go.Adam(learning_rate=0.1)  # wrong
go.Adam(betas=(0.9, 0.999))  # wrong
go.Adam(beta1="0.9")  # wrong
go.Adam(amsgrad="yes")  # wrong
go.Adam(eps=None)  # wrong
go.AdamW(0.1, 0.9, 0.999)  # wrong
go.RMSProp(0.1, 0.9)  # wrong
go.RMSProp(centered=1.5)  # wrong
go.Momentum(dampening="none")  # wrong
go.Momentum(0.1, 0.9)  # wrong
go.SGD(0.1, momentum=0.9)  # wrong
Mine(0.1, 0.9)  # wrong
Mine("0.1")  # wrong
Mine(beta2=0.9)  # wrong
Mine(nesterov=3)  # wrong
Mine(lr=lambda: 0.1)  # wrong
shrink()  # wrong
shrink("0.1")  # wrong
go.clip()  # wrong
go.clip("1")  # wrong
go.clip(1.0, 2.0)  # wrong
go.accumulate(0.5)  # wrong
go.freeze(3)  # wrong
go.average(decay="0.9")  # wrong
go.bounds(low=0)  # wrong
go.bounds("0", 1)  # wrong
go.LossScale(initial=lambda step: 1.0)  # wrong
go.gradient_noise(seed=0.5)  # wrong
go.lookahead(k=0.5)  # wrong

# Rules are frozen, and have their own hyperparameters only
go.Adam().lr = 0.1  # wrong
go.Adam().rate  # wrong
go.Adam(0.1).momentum  # wrong
dataclasses.replace(go.Adam(), lr="0.1")  # wrong, says mypy
dataclasses.replace(go.Adam(), momentum=0.9)  # wrong, says mypy
go.Adam() + 1  # wrong
go.Adam().update(1, x)  # wrong
go.Adam.init(x)  # wrong

# Parameters
go.Adam().init()  # wrong
go.Adam().init("x")  # wrong
go.Adam().init(0.1)  # wrong
go.Adam().init(None)  # wrong
go.Adam().init(np.float64(0.1))  # wrong
go.Adam().init({"w": 0.1})  # wrong
go.Adam().init({"w": "x"})  # wrong
go.Adam().init({"w": [0.1, 0.2]})  # wrong
go.Adam().init([0.1, 0.2])  # wrong
go.Adam().init([x, None])  # wrong
go.Adam().init(np.arange(3))  # wrong
go.Adam().init({1.0, 2.0})  # wrong
go.Adam().init(b"x")  # wrong
go.Adam().init(range(3))  # wrong
numbers = {"w": 0.1, "b": 0.2}
go.Adam().init(numbers)  # wrong
words = ["w", "b"]
go.Adam().init(words)  # wrong
go.Adam().init(x, master="yes")  # wrong
go.Adam().init(x, True)  # wrong
go.Adam().init(x, seed="0")  # wrong
go.Adam().init(x, hyper=[x])  # wrong
go.Adam().init(x, hyper={"lr": 0.1})  # wrong
go.Adam().init(x, masters=True)  # wrong

# The optimizer
opt.step()  # wrong
opt.step("x")  # wrong
opt.step(0.1)  # wrong
opt.step({"w": 0.1})  # wrong
opt.step(["x"])  # wrong
opt.step(x, "x")  # wrong
opt.step(grad=x)  # wrong
opt.zero_grad()  # wrong
opt.rule = go.SGD()  # wrong
opt.rule = go.chain(go.Adam())  # wrong
opt.rule = go.Adam  # wrong
go.chain(go.Adam()).init(x).rule = go.Adam()  # wrong
opt.lr = 0.1  # wrong
opt.t = 3  # wrong
opt.params = x  # wrong
opt.executor = "numba"  # wrong
opt.rule.momentum  # wrong
opt.load_state_dict()  # wrong
opt.load_state_dict("checkpoint")  # wrong
opt.state_dict(x)  # wrong
opt.t.item()  # wrong
other: go.Optimizer[go.SGD] = go.Adam().init(x)  # wrong
rule: go.Adam = go.Adam().init(x)  # wrong
go.Optimizer(go.Adam())  # wrong
go.Optimizer(x, go.Adam())  # wrong

# Chains and partitions
go.chain(go.Adam)  # wrong
go.chain(Mine)  # wrong
go.chain(go.clip, go.Adam())  # wrong
go.chain([go.clip(1.0), go.Adam()])  # wrong
go.chain("adam")  # wrong
go.chain(go.Adam()).lr  # wrong
go.partition({1: go.Adam()})  # wrong
go.partition({"w": go.clip(1.0)})  # wrong
go.partition({"w": go.Adam})  # wrong
go.partition([go.Adam()])  # wrong
go.partition(go.Adam())  # wrong
go.partition({"w": go.Adam()}, by="w")  # wrong
go.partition({"w": go.Adam()}, by=lambda path: path)  # wrong

# Training
go.fit(loss_and_grad, x, x)  # wrong
go.fit(loss_alone, x, x, go.Adam())  # wrong
go.fit(x, x, x, go.Adam())  # wrong
go.fit(loss_and_grad, "x", x, go.Adam())  # wrong
go.fit(loss_and_grad, x, [x, x], go.Adam())  # wrong
go.fit(loss_and_grad, x, x, go.Adam)  # wrong
go.fit(loss_and_grad, x, x, "adam")  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), batch_size="64")  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), batch_size=0.5)  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), epoch=3)  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), epochs=None)  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), seed="0")  # wrong
go.fit(loss_and_grad, x, x, go.Adam(), callback=lambda: True)  # wrong
history.losses  # wrong
history.plot("loss.png")  # wrong
history.loss.append(0.1)  # wrong
history.loss = x  # wrong

# Minimizing
go.minimize(value_and_gradient, x)  # wrong
go.minimize(value, x, go.Adam())  # wrong
go.minimize(value, x, go.Adam(), jac=True)  # wrong
go.minimize(value, x, go.Adam(), jac="2-point")  # wrong
go.minimize(value_and_gradient, x, go.Adam(), jac=gradient)  # wrong
go.minimize(value_and_gradient, x, go.Adam)  # wrong
go.minimize(value_and_gradient, x, go.Adam(), bounds=0.5)  # wrong
go.minimize(value_and_gradient, x, go.Adam(), bounds="positive")  # wrong
go.minimize(value_and_gradient, x, go.Adam(), max_iter=3)  # wrong
go.minimize(value_and_gradient, x, go.Adam(), maxiter="3")  # wrong
go.minimize(value_and_gradient, x, go.Adam(), None)  # wrong
go.minimize(value_and_gradient, x, go.Adam(), args=3)  # wrong
go.minimize(value_and_gradient, x, "adam")  # wrong
go.minimize(value_and_gradient, x, go.LBFGS)  # wrong
go.minimize(value_and_gradient, x, go.LBFGS(memory="3"))  # wrong
go.iterate(value_and_gradient, x, go.Adam(), max_iter=3)  # wrong
go.check_gradient(value, x)  # wrong
result.gradient  # wrong
result.nit.append(3)  # wrong
go.scipy_method(go.Adam)  # wrong
go.scipy_method("Adam")  # wrong

# Schedules
go.schedules.Cosine(1e-3)  # wrong
go.schedules.Cosine("1e-3", 10)  # wrong
go.schedules.Cosine(1e-3, steps=10.5)  # wrong
go.schedules.WarmUp(steps=3)  # wrong
go.schedules.WarmUp("cosine", 3)  # wrong
go.schedules.Step(1.0, 3, gamma=0.1)  # wrong
go.schedules.Piecewise(0.1, 10)  # wrong
go.schedules.Joined([0.1, 0.2], [10])  # wrong
go.schedules.Linear(0.1, 10)  # wrong
go.schedules.Constant(0.1)("1")  # wrong
go.schedules.Constant(0.1)().real  # wrong
go.schedules.Constant(0.1)(1).append(2)  # wrong

# The rest
go.use("nump")  # wrong
go.use()  # wrong
go.info("cupy")  # wrong
go.info()["gpu"]  # wrong
go.info().backend  # wrong
go.cuda_source("adam")  # wrong
go.cuda_source(go.Adam)  # wrong
go.cuda_source(go.Adam(), dtype=3.5)  # wrong
go.cuda_source(go.Adam()).decode()  # wrong
go.graph(loss_and_grad, go.Adam())  # wrong
go.graph(loss_alone, opt)  # wrong
go.graph(loss_and_grad, opt, 3)  # wrong
go.adam()  # wrong
go.Adagrad()  # wrong
go.abs2()  # wrong
name: int = opt.executor  # wrong

"""Right code of a user: trees in variables without an annotation, of every kind. It runs, and no type checker objects."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gpuopt as go

Array = NDArray[np.float64]
rng = np.random.default_rng(0)


class Layer(NamedTuple):
    w: Array
    b: Array


def any_tree(params: go.ArrayTree, opt: go.Optimizer[go.SGD]) -> go.ArrayTree:
    opt.step(params)
    return params


def annotated(own: dict[str, Array], of_any: dict[str, Any], anything: Any, layers: list[Layer]) -> None:
    for tree in (go.SGD().init(own), go.SGD().init(of_any), go.SGD().init(anything), go.SGD().init(layers)):
        print(tree)


x = np.zeros(3)
go.SGD().init(x).step(x + 1)
go.SGD().init(np.zeros((3, 4), np.complex64)).step(1j * np.ones((3, 4), np.complex64))

flat = {"w": np.zeros(3), "b": np.zeros(1)}
opt = go.SGD().init(flat)
opt.step(flat)
opt.step({"w": flat["w"] * 2, "b": None})
any_tree(flat, opt)

dtypes = {"single": np.zeros(3, np.float32), "complex": np.zeros((1, 2), complex), "normal": rng.normal(size=2)}
go.SGD().init(dtypes).step(dtypes)

layers = [{"w": np.zeros((2, 2)), "b": np.zeros(2)} for _ in range(3)]
go.SGD().init(layers).step(layers)

mixed = {"layers": [{"w": np.ones((2, 2)), "b": np.ones(2)} for _ in range(2)], "probe": np.ones(3)}
opt = go.SGD().init(mixed, hyper={"lr": {"layers": [{"w": np.ones(2), "b": None}] * 2, "probe": None}})
opt.step(mixed)
some = {"w": np.ones((2, 2)), "b": np.ones(2)}
opt.step({"layers": [{"w": None, "b": None}, some], "probe": np.ones(3)})
gradients = {"layers": [{"w": None, "b": None}, some], "probe": np.ones(3)}
opt.step(gradients)

pair = (np.zeros(3), [np.zeros(3), np.zeros((3, 2))])
go.SGD().init(pair).step([np.ones(3), (np.ones(3), np.ones((3, 2)))])
of_two = [np.zeros(3), {"a": np.zeros(3)}]
go.SGD().init(of_two).step(of_two)
named = Layer(np.zeros(3), np.zeros(1))
go.SGD().init(named).step(Layer(np.ones(3), np.ones(1)))
numbered = {0: np.zeros(3), 1: np.zeros(2)}
go.SGD().init(numbered).step(numbered)

# Arithmetic makes NumPy's scalars of 0-d arrays.
scalar = np.zeros(())
opt = go.SGD().init(scalar)
opt.step(2 * scalar + 1)
opt.step(np.sum(x * x))
both = {"s": np.zeros(()), "x": np.zeros(3)}
opt = go.SGD().init(both)
opt.step({"s": np.mean(x), "x": x})
found = {"s": 2 * both["s"], "x": both["x"]}
opt.step(found)

for dtype in (np.float32, np.float64, np.complex64):
    go.SGD().init(np.zeros(3, dtype))
for name in ("float32", "float64"):
    go.SGD().init(np.zeros(3, name))
made = [np.linspace(0, 1, 5), np.full((4, 4), 0.5), np.array([1.0, 2.0]), np.where(x > 0, x, 0.0), x.reshape(3, 1).copy()]
go.SGD().init(made)
annotated({"w": np.zeros(3)}, {"w": np.zeros(3)}, np.zeros(3), [Layer(np.zeros(3), np.zeros(1))])

# To mypy these are lists of two types, so the dict is one of objects.
rates = {"lr": [np.ones(3), None], "factor": [np.ones(3), np.ones(2)]}
go.chain(go.scale(1.0), go.SGD()).init([np.zeros(3), np.zeros(2)], rates).step([np.ones(3), np.ones(2)])

"""Rules that are made of a formula, and run by an executor on p and its gradients: for tests of what a formula may do."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.executors import executor_of
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.rules import Hyper, Rule
from gpuopt.tracing.symbols import Symbol
from gpuopt.tracing.trace import trace
from tests.support.flushing import flushed, flushing
from tests.support.variants import bits, on_host

Array = np.ndarray[Any, Any]
Formulas = dict[str, Callable[[Any, Any], Any]]


class Made(Rule):
    """A rule with two hyperparameters; `made` gives it a formula."""

    a: Hyper = 0.3
    b: Hyper = -1.7

    def update(self, t: Any, p: Any, g: Any) -> Any:
        raise NotImplementedError


def made(formula: Callable[..., Any], *states: str, numbers: bool = False) -> Rule:
    """A rule with ``formula(self, t, p, g, *states)`` as its update, and state that starts at 0.25, 0.5, 0.75 …

    Each is an array, whatever the formula makes of it, unless they may be `numbers`.
    """

    def update(self: Rule, t: Any, p: Any, g: Any, *values: Any) -> Any:
        result = formula(self, t, p, g, *values)
        if numbers or not isinstance(p, Symbol) or not isinstance(result, tuple):
            return result
        return result[0], *(x if _is_array(x) else np.where(p == p, x, x) for x in result[1:])

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [inspect.Parameter(name, kind) for name in ("self", "t", "p", "g")]
    rest = [inspect.Parameter(name, kind, default=(n + 1) / 4) for n, name in enumerate(states)]
    update.__signature__ = inspect.Signature(first + rest)  # type: ignore[attr-defined]
    rule: Rule = type("Made", (Made,), {"update": update, "__module__": __name__})()
    return rule


def _is_array(value: Any) -> bool:
    return isinstance(value, Symbol) and not value.parts[0].host


def special(dtype: str) -> list[Any]:
    info = np.finfo(dtype)
    ends: list[Any] = [0.0, info.smallest_subnormal, info.tiny, 1.0, 0.1, 3.0, 88.0, info.max / 2, info.max, np.inf]
    return [info.dtype.type(x) for x in [*ends, *(-x for x in ends), np.nan]]


def pairs(dtype: str) -> tuple[Array, Array]:
    """Every pair of special values."""
    return tuple(x.ravel() for x in np.meshgrid(special(dtype), special(dtype)))


def plain(rule: Rule, t: int, arrays: list[Array]) -> list[Array]:
    """What the formula gives as it stands, on arrays p, g and states; results in the dtype of the arrays."""
    with np.errstate(all="ignore"):
        results = rule.update(t, *arrays)
        results = results if isinstance(results, tuple) else (results,)
        return [np.full(arrays[0].shape, r, arrays[0].dtype) for r in results]


def run(rule: Rule, make: Callable[..., Any], p: Any, gradients: Sequence[Any], pieces: int = 1) -> list[Array]:
    """p and the states after a step for each gradient (None: p itself), each of so many pieces updated by itself."""
    traced, params = trace(rule, p.dtype.kind == "c"), [x.copy() for x in np.array_split(p, pieces)]
    group = make(traced, params)
    group.prepare(traced)
    for t, g in enumerate(gradients, start=1):
        split = params if g is None else np.array_split(g, pieces)
        for piece in range(pieces):
            group.plan(traced.update, split, compile_host(traced.update.scalars)(t, rule.hyper(t - 1)), [piece])()
    arrays = [params, *([state[s.name] for state in group.states] for s in traced.states)]
    return [np.concatenate(list(map(on_host, split))) for split in arrays]


def beside_numpy(rule: Rule, xp: Any, p: Array, gradients: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """What `run` gives of the executor that runs arrays of `xp` now, and of NumPy's, which flushes what CuPy's kernels do."""
    flushes = xp is not np and np.finfo(p.dtype).dtype == np.float32
    if flushes:  # what is moved only may stay subnormal on a GPU
        p, *gradients = map(flushed, (p, *gradients))
    with flushing() if flushes else contextlib.nullcontext():
        wanted = run(rule, NumpyExecutor, p, gradients)
    here, *given = map(xp.asarray, (p, *gradients))
    return run(rule, executor_of(here), here, given), wanted


def joined(*components: Any, dtype: str) -> Array:
    """Complex numbers of real and imaginary parts, without arithmetic."""
    re, im = components
    result = np.empty(np.shape(re), dtype)
    result.real, result.imag = re, im
    return result


def same(got: Array, wanted: Array, ulps: int = 0, what: str = "") -> None:
    """Assert equality of bits, or closeness to so many units in the last place."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if ulps:
        with np.errstate(all="ignore"):
            near = np.abs(got - wanted) <= ulps * np.spacing(np.abs(wanted))
        got = np.where(near, wanted, got)
    np.testing.assert_array_equal(bits(got), bits(wanted), err_msg=what)


def all_at_once(formulas: Formulas) -> Rule:
    """One rule with a state for each formula, so that one compilation serves them all; p stays as it is."""
    return made(lambda self, t, p, g, *s: (p, *(f(p, g) for f in formulas.values())), *(f"s{i}" for i in range(len(formulas))))


def parts(dtype: str, rng: np.random.Generator) -> list[Array]:
    """Four real arrays, of ordinary and special values."""
    real = np.finfo(dtype).dtype
    return [rng.choice([*special(real.name), *rng.normal(size=10).astype(real)], 1003) for _ in range(4)]


WIDE: Formulas = {
    "abs": lambda x, y: np.abs(x), "sign": lambda x, y: np.sign(x), "x/y": lambda x, y: x / y, "1/x": lambda x, y: 1 / x,
    "real/y": lambda x, y: x.real / y, "reciprocal": lambda x, y: np.reciprocal(x), "x/2j": lambda x, y: x / (1 + 2j),
    "2j/x": lambda x, y: (1 + 2j) / x, "x**-1": lambda x, y: x**-1,
}  # fmt: skip
"""What goes through the square of a modulus, and is scaled where that is small or large."""

"""Every rule in every structure: what the suite is parametrized with, found by looking at the rules' fields.

A new rule joins every test by existing. Booleans take both values; a hyperparameter that defaults to 0.0 or None, and so
switches something off, is also tried switched on. Each two of such values meet; ``pytest --exhaustive`` tries all combinations.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
from collections.abc import Hashable
from importlib import import_module
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE, named
from gpuopt.rules import Rule, rules
from gpuopt.tracing.expr import reachable
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.trace import TraceError, trace
from tests.support.covering import covering

_ON = {"warmup": 3.5}
"""What switches something on, if not 0.7: a number of steps."""
_KINDS: dict[str, list[Any]] = {"kind": ["long", "short"], "t0": [2.0], "first": [0.1]}
"""What shows more than a field's default."""


def _choices(field: dataclasses.Field[Any]) -> list[Any]:
    if field.name in _KINDS:
        return _KINDS[field.name]
    if isinstance(field.default, bool):
        return [False, True]
    if field.default is None:
        return [None, 0.0, 0.4]
    if field.default == 1.0:
        return [0.8]  # a factor of 1 could be anywhere
    return [0.0, _ON.get(field.name, 0.7)] if field.default == 0.0 else [field.default]


def structures(exhaustive: bool = False) -> list[Rule]:
    """Instances of every rule in which each two values of its options meet; or one for each combination."""
    found: list[Rule] = []
    for cls in rules().values():
        choices = {field.name: _choices(field) for field in dataclasses.fields(cls)}
        rows = itertools.product(*choices.values()) if exhaustive else covering(choices, {})
        found += [cls(**dict(zip(choices, row, strict=True))) for row in rows]
    return found


def facets(rule: Rule) -> list[Hashable]:
    """What must meet every dtype and executor: the class, and each option that may be chosen."""
    chosen = [(f.name, getattr(rule, f.name)) for f in dataclasses.fields(rule) if len(_choices(f)) > 1]
    return [type(rule).__name__, *chosen]


def label(rule: Rule) -> str:
    """The rule with what differs from its defaults."""
    fields = dataclasses.fields(rule)
    changed = [f"{f.name}={getattr(rule, f.name)}" for f in fields if getattr(rule, f.name) != f.default]
    return f"{type(rule).__name__}({','.join(changed)})"


STRUCTURES = structures()


@functools.cache
def program(rule: Rule) -> UpdateProgram:
    """What a rule runs for real arrays."""
    return trace(rule)


ELEMENTWISE = [rule for rule in STRUCTURES if not program(rule).stages and not program(rule).update.scalar_states]
"""Those without reductions and numbers, which run one kernel."""


@functools.cache
def takes(rule: Rule, dtype: str) -> bool:
    """Whether a rule takes parameters of that dtype; an error of its tracing that is not its own is none of its answers."""
    try:
        trace(rule, dtype.startswith("complex"))
    except TraceError:
        raise
    except TypeError:
        return False
    return True


def follows_parameters(rule: Rule) -> bool:
    """Whether its state is made of the parameter, which may be stored in 16 bits, and not of gradients alone."""
    update = program(rule).update
    kept = [value for place, value in update.stores.items() if place != PARAM]
    kept += [state.new for state in update.scalar_states.values()]
    return any(leaf.value == PARAM for leaf in reachable(kept))


def sees_the_tree(rule: Rule) -> bool:
    """Whether the update of an array depends on the other arrays of the optimizer."""
    return any(total.scope == "tree" for total in program(rule).totals)


# What rounding may do in five steps: of the parameter's own dtype, and of the dtype computed in.
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-6, "float64": 1e-12, "complex64": 2e-6, "complex128": 1e-12}
DTYPES = [name for name in COMPUTE if name != "bfloat16" or importlib.util.find_spec("ml_dtypes")]


def sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Normal numbers in an array of the dtype called `dtype`."""
    values = rng.normal(size=shape) * scale
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=shape) * scale
    return np.asarray(values).astype(named(dtype))


def special_values(dtype: Any) -> np.ndarray[Any, Any]:
    """Zeros, small and huge numbers, infinities, NaN and ordinary numbers of a real dtype.

    The smallest are subnormal, but in float32 and bfloat16: a GPU flushes such numbers, and what is made of them, to zero.
    """
    module = import_module("ml_dtypes") if dtype.name == "bfloat16" else np
    info = module.finfo(dtype)
    small = [1e-12] if dtype.name in ("float32", "bfloat16") else [info.smallest_subnormal, info.tiny, info.tiny / 3]
    ends = [*map(float, small), float(info.max), float(info.max) / 3, np.inf, 0.0, 1.0, 1e-3]
    return np.array([*ends, *[-x for x in ends], np.nan]).astype(dtype)


def mixed(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Normal numbers with special values among them, about one in eight."""
    values = sample(rng, shape, dtype)
    for part in (values.real, values.imag) if dtype.startswith("complex") else (values,):
        chosen = rng.random(shape) < 1 / 8
        part[chosen] = rng.choice(special_values(part.dtype), int(chosen.sum()))
    return values


def on_host(array: Any) -> Any:
    """A CuPy array's values in a NumPy array; anything else as it is."""
    return array.get() if hasattr(array, "get") else array


def bits(array: Any) -> np.ndarray[Any, Any]:
    """The array's bits as bytes, NaNs made equal, zeros told apart; CuPy arrays are brought to the host."""
    host = np.array(on_host(array), order="C")
    if host.dtype.kind == "c":
        host = host.reshape(-1).view(host.real.dtype)
    host[host != host] = np.nan
    return host.reshape(-1).view(np.uint8)

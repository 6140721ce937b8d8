"""What an optimizer holds, to be compared, and gradients for it."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.arrays.tree import TreeSpec, leaves
from tests.support.variants import bits, on_host, sample


def raw(leaf: Any) -> Any:
    """An array's dtype, shape and bytes; anything else as it is."""
    host = on_host(leaf)
    return (host.dtype, host.shape, host.tobytes()) if isinstance(host, np.ndarray) else host


def alike(leaf: Any) -> Any:
    """The same, but all NaNs are alike: their bits are not the same on every executor."""
    return (leaf.dtype, leaf.shape, bits(leaf).tobytes()) if hasattr(leaf, "dtype") else leaf


def everything(opt: go.Optimizer[Any], *trees: Any, look: Callable[[Any], Any] = raw) -> Any:
    """All that an optimizer holds, and all that is in `trees`, to be compared with ``==``."""
    held = (opt.params, opt.state, dict(opt.numbers), *trees)
    return [list(map(look, leaves(tree))) for tree in held], opt.t, opt.counts, opt.rule


Pair = collections.namedtuple("Pair", "w b")


def tree(xp: Any) -> Any:
    """Arrays of several dtypes in containers of every kind, one of them without elements."""
    return {
        "layers": [Pair(xp.ones((2, 3)), xp.zeros(3, "f4")), (xp.ones((3, 1), "f4"), xp.zeros(()))],
        "empty": xp.zeros((0, 2)),
        "scale": xp.ones(2, "c8"),
    }


def gradients(params: Any, seed: int = 0) -> Any:
    """A tree of gradients like `params`."""
    rng, spec = np.random.default_rng(seed), TreeSpec(params, "params")
    return spec.map(lambda p: go.array_module(p).asarray(sample(rng, p.shape, p.dtype.name)))

"""State that is coded in bytes, as users see it, and as it is read from what was saved otherwise.

Comes in: trees of state as it is stored. Goes out: the same with float32 arrays in place of bytes;
or what can be assigned to the arrays of an optimizer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_array
from gpuopt.arrays.dynamic8 import coded_bytes, decoded, encoded
from gpuopt.optimizer.binding import Binding

__all__ = ["as_stored", "coded_arrays", "shown"]


def coded_arrays(binding: Binding) -> Iterator[tuple[str, int]]:
    """The names of the states that are coded, each with the array of the optimizer."""
    for group in binding.groups:
        names = [state.name for state in group.programs[-1].states if state.coded]
        yield from ((name, index) for name in names for index in group.indices)


def shown(
    binding: Binding, state: Mapping[str, Any], which: Collection[int] | None = None
) -> dict[str, Any]:
    """Trees of state as users see them: decoded, for the arrays at `which` (None for all)."""
    spec, found = binding.spec, dict[str, list[Any]]()
    for name, index in coded_arrays(binding):
        if which is None or index in which:
            arrays = found.setdefault(name, list(spec.match(state[name], name)))
            arrays[index] = decoded(arrays[index], binding.leaves[index].shape)
    return {**state, **{name: spec.build(arrays) for name, arrays in found.items()}}


def as_stored(source: Any, target: Any, shape: tuple[int, ...], encodes: bool, coded: bool) -> Any:
    """What was saved of an array of that shape, as it may be assigned to `target`.

    The target `encodes`, and perhaps the source is `coded`; what does not fit stays as it is.
    """
    if not is_array(source) or isinstance(source, np.ma.MaskedArray) or target is None:
        return source
    if encodes and source.shape == shape and source.dtype.name in ("float32", "bfloat16"):
        return encoded(source)
    size = int(np.prod(shape))
    if coded and not encodes and (source.dtype, source.shape) == (np.uint8, (coded_bytes(size),)):
        return source if target.dtype == np.uint8 else decoded(source, shape)
    return source

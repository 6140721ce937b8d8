"""Hyperparameters that are tuples of numbers, and as many states.

The formula reads tuples. Everywhere else, each entry is a hyperparameter of its own, ``betas[1]``,
and a state, ``v[1]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["each"]


class Each:
    """The default of an argument of ``update`` that is a tuple of states; made by `each`.

    Outside of a trace, it stands for any number of values.

    Attributes
    ----------
    field : str
        The hyperparameter that has as many entries.
    start : float
        The initial value of each state.
    """

    def __init__(self, field: str, start: float) -> None:
        self.field, self.start = field, start

    def __iter__(self) -> Iterator[float]:
        return itertools.repeat(self.start)

    def __repr__(self) -> str:
        return f"each({self.field!r}, {self.start!r})"


def each(field: str, start: float = 0.0) -> Any:
    """A tuple of states, one for each entry of a hyperparameter that is a tuple.

    Use it as the default of an argument of ``update``. ``update`` gets a tuple of arrays, and
    returns a tuple in its place. In `Optimizer.state` they are ``v[0]``, ``v[1]`` and so on.

    Parameters
    ----------
    field : str
        The name of the hyperparameter, annotated ``tuple[gpuopt.Decay, ...]`` or the like.
    start : float
        What each of the states starts at.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> class Velocities(go.Rule):
    ...     lr: go.NonNegative = 0.1
    ...     betas: tuple[go.Decay, ...] = (0.5, 0.9)
    ...     def update(self, t, p, g, v=go.each("betas")):
    ...         v = tuple(beta * old + g for beta, old in zip(self.betas, v))
    ...         return p - self.lr * sum(v), v
    >>> list(Velocities().init(np.zeros(3)).state)
    ['v[0]', 'v[1]']
    """
    return Each(field, start)


def entries(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """The entries of a tuple by their names."""
    return {f"{name}[{number}]": value for number, value in enumerate(values)}


def whole(name: str) -> str:
    """The name of the tuple that has an entry of that name; any other name as it is."""
    return name.partition("[")[0]


def put(values: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Put other values, of entries too, in place of those that have the same names."""
    for name, value in new.items():
        field, _, place = name.partition("[")
        old = values.get(field)
        if place and isinstance(old, tuple) and name in entries(field, old):
            number = int(place[:-1])
            values[field] = (*old[:number], value, *old[number + 1 :])
        else:
            values[name] = value
    return values


def flat(values: Any) -> list[Any]:
    """What a method returned, one value or several, with tuples of states written out."""
    several = values if isinstance(values, (tuple, list)) else (values,)
    return [
        x for value in several for x in (value if isinstance(value, (tuple, list)) else (value,))
    ]

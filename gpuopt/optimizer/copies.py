"""Copies of an optimizer on other arrays: resized, on another device, or from a pickle."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from gpuopt.arrays.backend import is_cupy, require_cupy
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.typed import Loss, PartialTree
from gpuopt.optimizer.attributes import OptimizerAttributes
from gpuopt.optimizer.coding import shown
from gpuopt.optimizer.moving import Function, Moving, Resizing, beside_of, chosen
from gpuopt.rules.base import BindableT_co
from gpuopt.rules.written import is_written

__all__ = ["OptimizerCopies"]
PLACES = ("cupy", "numpy")


class OptimizerCopies(OptimizerAttributes[BindableT_co]):
    """The methods that make another optimizer, which continues from this one."""

    __slots__ = ("_given", "_rows")

    _given: Mapping[str, Any] | None
    _rows: str | Sequence[str] | None

    if TYPE_CHECKING:  # `Optimizer` has them

        def state_dict(self) -> dict[str, Any]: ...
        def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...
        def step(self, grads: PartialTree, loss: Loss | None = None) -> None: ...

    def direction(self, grads: PartialTree, loss: Loss | None = None) -> Any:
        """The direction of a step: what ``opt.step(grads, loss)`` would subtract. Nothing changes.

        A copy of the optimizer makes the step: it costs the memory of all arrays and all state, and
        some milliseconds. If a GPU counts, this waits for it.

        Parameters
        ----------
        grads, loss
            As for `Optimizer.step`.

        Returns
        -------
        like params
            New arrays, in the dtypes of the parameters: 0 where nothing would be updated. Tensors
            if the parameters are tensors.

        Raises
        ------
        TypeError, ValueError
            As by `Optimizer.step`.

        Examples
        --------
        >>> import gpuopt as go, numpy as np
        >>> opt = go.Momentum(0.1).init(np.ones(2))
        >>> opt.direction(np.array([1.0, -2.0])), opt.t
        (array([ 0.01, -0.02]), 0)
        """
        binding = self._binding
        with self._there():
            twin = self.to("cupy" if is_cupy(binding.leaves[0]) else "numpy")
            twin.step(grads, loss)
            pairs = map(operator.sub, binding.leaves, twin._binding.leaves)
            return binding.spec.build(self._guard.alike(quietly(list, pairs)))

    def resized(self, functions: Mapping[str, Function]) -> Self:
        """Continue with arrays of another size: cropped, padded, or without some rows.

        Parameters
        ----------
        functions : dict
            Paths, or patterns as in `partition`, and for each a function that returns the new array
            for an old one, such as ``lambda a: xp.pad(a, 8)`` or ``lambda a: a[keep]``. It is
            called with the parameter, with each of its states, its master copy and its arrays for
            hyperparameters, and must return the same shape for all. An array belongs to the first
            pattern that matches it.

        Returns
        -------
        Optimizer
            On new arrays, ``new.params``. An array that no pattern matches is shared by both
            optimizers: update it with one of them only. Counts are kept; those of rows follow the
            rows, and new rows start at 0.

        Raises
        ------
        TypeError, ValueError
            If a pattern matches no array, the result of a function does not fit, or an array has
            buffers, whose size only the rule knows. This optimizer does not change.

        Examples
        --------
        >>> import gpuopt as go, numpy as np
        >>> opt = go.Adam().init({"object": np.ones((4, 4)), "probe": np.ones(3)})
        >>> opt.step({"object": np.ones((4, 4)), "probe": np.ones(3)})
        >>> new = opt.resized({"object": lambda a: np.pad(a, 1)})
        >>> new.params["object"].shape, new.state["m"]["object"].shape, new.counts["object"]
        ((6, 6), (6, 6), 1)
        """
        binding = self._binding
        found = chosen(functions, binding.spec)
        nothing: dict[str, Any] = {}
        buffers = binding.of_each(nothing, lambda group: group.whole_arrays.buffers)
        for path, function, own in zip(binding.spec.paths, found, buffers, strict=True):
            if function is not None and own:
                raise ValueError(
                    f"params{path} has the buffers {list(own)}, whose size only its rule knows: "
                    "call init again"
                )
        with self._there():
            return self._mapped([Resizing(f) if f else None for f in found])

    def to(self, place: Literal["cupy", "numpy"]) -> Self:
        """Continue with copies of the arrays on a GPU, or on the host.

        Parameters
        ----------
        place : {"cupy", "numpy"}
            The library of the new arrays. CuPy makes them on its current device.

        Returns
        -------
        Optimizer
            On new arrays, ``new.params``. Its steps differ from those of this one only where a GPU
            rounds otherwise (docs/gpu.md).
        """
        if place not in PLACES:
            raise ValueError(f"place must be 'cupy' or 'numpy', got {place!r}")
        xp = np if place == "numpy" else require_cupy()
        return self._mapped([Moving(xp)] * len(self._binding.leaves))

    def _mapped(self, maps: Sequence[Any]) -> Self:
        """An optimizer on the arrays that `maps` give; a None keeps a parameter."""
        binding, saved = self._binding, self.state_dict()
        spec, leaves = binding.spec, binding.leaves

        def mapped(tree: Any, name: str) -> Any:
            each = zip(maps, spec.match(tree, name), leaves, spec.paths, strict=True)
            return spec.build([f(x, p, f"{name}{path}") if f else x for f, x, p, path in each])

        def beside(value: Any, name: str) -> Any:
            tree = isinstance(value, (dict, list, tuple))
            each = spec.match(value, name) if tree else [value] * len(leaves)
            wide = [beside_of(x, p) if f else x for f, x, p in zip(maps, each, leaves, strict=True)]
            return mapped(spec.build(wide), name)

        given = zip(maps, spec.match(self._params, "params"), leaves, spec.paths, strict=True)
        params = spec.build([f(p, p, f"params{path}") if f else x for f, x, p, path in given])
        rule = self._rule
        written = {name: x for name, x in rule.hyperparameters.items() if is_written(x)}
        if written and any(maps):
            rule = rule.replace({name: beside(x, name) for name, x in written.items()})
        hyper = self._given and {name: beside(x, name) for name, x in self._given.items()}
        # As of Optimizer, which has the arguments.
        new = type(self)(rule, params, hyper, **self._options)  # type: ignore[call-arg]
        resized = [n for n, f in enumerate(maps) if isinstance(f, Resizing)]
        stored = shown(binding, saved["state"], resized)
        state = {name: mapped(tree, name) for name, tree in stored.items()}
        each = zip(maps, self._steps.counts, leaves, strict=True)
        counts = spec.build([f.counts(n, p) if f else n for f, n, p in each])
        new.load_state_dict({**saved, "rule": repr(rule), "state": state, "counts": counts})
        return new

    @property
    def _options(self) -> dict[str, Any]:
        """The options of `init` that it was made with."""
        precision = dataclasses.asdict(self._binding.precision)
        return {**precision, "capturable": self.capturable, "rows": self._rows}

    def __getstate__(self) -> dict[str, Any]:
        made = {"params": self._params, "rule": self._rule, "hyper": self._given}
        return {**made, "options": self._options, "state_dict": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        made = state["rule"], state["params"], state["hyper"]
        self.__init__(*made, **state["options"])  # type: ignore[misc]
        self.load_state_dict(state["state_dict"])

"""Writes an optimizer's ``state_dict``, and reads it back: all is checked before any is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Generic, TypeVar

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.precision import PLAIN, Precision
from gpuopt.optimizer.binding import Binding, RuleChange
from gpuopt.optimizer.steps import Progress, Steps
from gpuopt.optimizer.steps.scalar_states import closed_weights
from gpuopt.rules.base import Bindable, BindableT_co

__all__ = ["VERSION", "Saved", "like", "state_dict_of"]

BindableT = TypeVar("BindableT", bound=Bindable)

VERSION = 1
"""The version of the format, which is written and read."""


def state_dict_of(
    rule: Bindable, binding: Binding, steps: Steps, state: Mapping[str, Any]
) -> dict[str, Any]:
    """A copy of everything that a resumed optimizer needs, except the parameters."""
    spec = binding.spec
    found = {
        "version": VERSION,
        "rule": repr(rule),
        "outline": rule.outline,
        "hyper": {
            name: value for name, value in rule.hyperparameters.items() if not callable(value)
        },
        "precision": dataclasses.asdict(binding.precision),
        "t": steps.t,
        "counts": spec.build(steps.counts),
        "state": {
            name: spec.build([_copy(a) for a in spec.match(tree, name)])
            for name, tree in state.items()
        },
    }
    numbers = {name: float(number) for name, number in steps.numbers.items()}
    return found | ({"numbers": numbers} if numbers else {})


def _copy(array: Any) -> Any:
    """A copy of an array, or None."""
    return None if array is None else array.copy()


def like(target: Any, source: Any) -> Any:
    """A saved array as one that can be assigned to `target`, which may be on a device."""
    return (
        source if is_cupy(source) or not is_cupy(target) else array_module(target).asarray(source)
    )


def _check_format(saved: Any) -> None:
    """Raise TypeError or ValueError if `saved` is no state dict, or one that this cannot read."""
    if not isinstance(saved, dict):
        raise TypeError(
            f"state_dict must be a dict from Optimizer.state_dict(), got {type(saved).__name__}"
        )
    needed = ("version", "rule", "hyper", "t", "counts", "state")
    if missing := [key for key in needed if key not in saved]:
        raise ValueError(
            f"state_dict must be a dict from Optimizer.state_dict(); missing: {', '.join(missing)}"
        )
    if saved["version"] != VERSION:
        raise ValueError(
            f"state_dict has version {saved['version']!r}, this gpuopt reads version {VERSION}"
        )


def _check_origin(saved: dict[str, Any], rule: Bindable, precision: Precision) -> None:
    """Raise ValueError if it is of an optimizer of another rule, or with other options."""
    if not str(saved["rule"]).startswith(f"{_name(rule)}("):
        raise ValueError(f"state_dict is of the rule {saved['rule']}, this optimizer's is {rule!r}")
    if saved.get("outline", rule.outline) != rule.outline:
        raise ValueError(
            f"state_dict is of {saved['outline']}, this optimizer's rule is {rule.outline}"
        )
    was, now = saved.get("precision", dataclasses.asdict(PLAIN)), dataclasses.asdict(precision)
    if was != now:
        raise ValueError(
            f"state_dict is of an optimizer whose init was given {was}, this one's {now}: "
            "give init the same"
        )


def _rule(saved: dict[str, Any], rule: BindableT) -> BindableT:
    """The rule with the saved hyperparameters, where it has no schedules."""
    known = rule.hyperparameters
    if not isinstance(saved["hyper"], dict) or not saved["hyper"].keys() <= known.keys():
        raise ValueError(
            f"state_dict['hyper'] must be a dict of hyperparameters of {_name(rule)}, got "
            f"{saved['hyper']!r}"
        )
    hyper = {name: value for name, value in saved["hyper"].items() if not callable(known[name])}
    found = rule.replace(hyper)
    if found.structure != rule.structure:
        raise ValueError(
            f"state_dict is of the rule {saved['rule']}, which chooses other arrays than {rule!r}"
        )
    return found


def _name(rule: Bindable) -> str:
    return repr(rule).partition("(")[0]


class Saved(Generic[BindableT_co]):
    """The parts of a state dict, checked against the optimizer that is to go on with it."""

    def __init__(self, saved: Any, rule: BindableT_co, binding: Binding) -> None:
        self._saved, self._spec, self._binding = saved, binding.spec, binding
        _check_format(saved)
        if not isinstance(saved["state"], dict):
            held, names = type(saved["state"]).__name__, list(binding.state())
            raise ValueError(f"state_dict holds the state {held}, this optimizer has {names}")
        self.state: dict[str, Any] = saved["state"]
        _check_origin(saved, rule, binding.precision)
        self.rule = _rule(saved, rule)
        self._origin = rule.replace(saved["hyper"])
        self.t = self._count(saved["t"], "t")
        counts = self._spec.match(saved["counts"], "state_dict['counts']")
        self.counts = [
            self._count(n, f"counts{path}")
            for n, path in zip(counts, self._spec.paths, strict=True)
        ]
        if max(self.counts) > self.t:
            raise ValueError(
                f"state_dict: counts holds {max(self.counts)} updates of an array, more than the "
                f"{self.t} steps"
            )

    @staticmethod
    def _count(value: Any, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"state_dict: {name} must be a whole number of steps, got {value!r}")
        return int(value)

    def numbers(self, now: Iterable[str]) -> dict[str, float]:
        """The saved value of each number of the whole optimizer."""
        saved, names = self._saved.get("numbers", {}), list(now)
        if not isinstance(saved, dict) or saved.keys() != set(names):
            held = list(saved) if isinstance(saved, dict) else type(saved).__name__
            raise ValueError(f"state_dict holds the numbers {held}, this optimizer has {names}")
        for name, value in saved.items():
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise TypeError(f"state_dict['numbers'][{name!r}] must be a number, got {value!r}")
        return {name: float(saved[name]) for name in names}

    def progress(self, numbers: Iterable[str], change: RuleChange) -> Progress:
        """How far it came; `numbers` are those of the whole optimizer that are needed."""
        return Progress(self.t, self.counts, self.numbers(numbers), self._scalar_states(change))

    def _scalar_states(self, change: RuleChange) -> list[tuple[str, list[int], list[float]]]:
        """The states that are one number and that the updates need.

        The sum of an average's weights is not there where its decay was always the same.
        """
        found = []
        for group, varying in zip(self._binding.groups, change.varying, strict=True):
            for name in varying:
                if name in self.state:
                    values = self._weights(name, group.indices)
                else:
                    counts = [self.counts[index] for index in group.indices]
                    origin = self._origin.update_for(group.key)
                    values = closed_weights(group.decays(origin)[name], counts, origin.hyper(0))
                found.append((name, group.indices, values))
        return found

    def _weights(self, name: str, indices: Sequence[int]) -> list[float]:
        """The sums of an average's weights that are saved for the arrays at `indices`."""
        what = f"state_dict['state'][{name!r}]"
        saved, values = self._spec.match(self.state[name], what), []
        for index in indices:
            number, where = saved[index], f"{what}{self._spec.paths[index]}"
            if not is_array(number) or number.shape != () or number.dtype != np.float64:
                raise ValueError(f"{where} must be a 0-d float64 array, got {number!r}")
            if not 0 <= float(number) <= 1:
                raise ValueError(f"{where} must be a sum of weights in [0, 1], got {number!r}")
            values.append(float(number))
        return values

    def arrays(self, state: dict[str, Any], change: RuleChange) -> list[tuple[Any, Any]]:
        """Each array of `state` with the saved one that goes there."""
        saved = self.state
        numbers = {name for programs in change.programs for name in programs[-1].decays}
        if saved.keys() - numbers != state.keys():
            raise ValueError(
                f"state_dict holds the state {list(saved)}, this optimizer has {list(state)}"
            )
        pairs = []
        for name, tree in state.items():
            what = f"state_dict['state'][{name!r}]"
            found = self._spec.match(saved[name], what)
            for target, source, path in zip(
                self._spec.match(tree, name), found, self._spec.paths, strict=True
            ):
                if target is None and source is None:
                    continue
                if (
                    target is None
                    or not is_array(source)
                    or source.shape != target.shape
                    or source.dtype != target.dtype
                ):
                    got = (
                        f"{source.dtype} {source.shape}"
                        if is_array(source)
                        else type(source).__name__
                    )
                    wanted = "None" if target is None else f"an array {target.dtype} {target.shape}"
                    raise ValueError(f"{what}{path} must be {wanted}, got {got}")
                pairs.append((target, source))
        return pairs

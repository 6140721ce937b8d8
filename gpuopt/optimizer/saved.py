"""Reads a ``state_dict`` for an optimizer: all is checked before any is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.memory import Memory
from gpuopt.optimizer.binding import Binding, RuleChange
from gpuopt.optimizer.hyperparameters import check_number
from gpuopt.optimizer.saved_format import check_format, check_origin, is_early
from gpuopt.optimizer.steps import Progress
from gpuopt.optimizer.steps.scalar_states import closed_weights
from gpuopt.rules.base import Bindable, BindableT_co

__all__ = ["Saved"]

BindableT = TypeVar("BindableT", bound=Bindable)


def _like(target: Any, source: Any) -> Any:
    """A saved array as one that can be assigned to `target`, wherever the two are."""
    if is_cupy(source) == is_cupy(target):
        return source
    return source.get() if is_cupy(source) else array_module(target).asarray(source)


def _rule(saved: dict[str, Any], rule: BindableT) -> tuple[BindableT, BindableT]:
    """The rule with the saved hyperparameters, where it has no schedules; and with all of them."""
    known, hyper = rule.hyperparameters, saved["hyper"]
    name = repr(rule).partition("(")[0]
    if not isinstance(hyper, dict) or not hyper.keys() <= known.keys():
        raise ValueError(
            f"state_dict['hyper'] must be a dict of hyperparameters of {name}, got {hyper!r}"
        )
    if called := [key for key, value in hyper.items() if callable(value)]:
        raise TypeError(
            f"state_dict['hyper'][{called[0]!r}] must be a number, got {hyper[called[0]]!r}"
        )
    constant = {key: value for key, value in hyper.items() if not callable(known[key])}
    try:
        found, origin = rule.replace(constant), rule.replace(hyper)
    except (TypeError, ValueError) as error:
        raise type(error)(f"state_dict['hyper']: {error}") from None
    if found.structure != rule.structure:
        raise ValueError(
            f"state_dict is of the rule {saved['rule']}, which chooses other arrays than {rule!r}"
        )
    return found, origin


def _check_complete(saved: dict[str, Any], rule: Bindable) -> None:
    """Raise TypeError or ValueError if a hyperparameter has neither a value nor a schedule."""
    hyper, schedules = saved["hyper"], saved["schedules"]
    if not isinstance(schedules, list) or not all(isinstance(name, str) for name in schedules):
        raise TypeError(f"state_dict['schedules'] must be a list of names, got {schedules!r}")
    known = rule.hyperparameters
    if missing := [name for name in known if name not in hyper and name not in schedules]:
        raise ValueError(f"state_dict['hyper'] has no {', '.join(missing)}")
    if wrong := [name for name in schedules if name in hyper or name not in known]:
        raise ValueError(f"state_dict['schedules'] names {wrong[0]!r}, which follows none")


class Saved(Generic[BindableT_co]):
    """The parts of a state dict, checked against the optimizer that is to go on with it."""

    def __init__(self, saved: Any, rule: BindableT_co, binding: Binding) -> None:
        self._saved, self._spec, self._binding = saved, binding.spec, binding
        check_format(saved)
        if not isinstance(saved["state"], dict):
            held, names = type(saved["state"]).__name__, list(binding.state())
            raise ValueError(f"state_dict holds the state {held}, this optimizer has {names}")
        self.state: dict[str, Any] = saved["state"]
        check_origin(saved, rule, binding)
        self.rule, self._origin = _rule(saved, rule)
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
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not 0 <= value < 2**53:
            raise ValueError(
                f"state_dict: {name} must be a whole number of steps, below 2**53, got {value!r}"
            )
        return int(value)

    def numbers(self, now: Iterable[str]) -> dict[str, float]:
        """The saved value of each number of the whole optimizer."""
        saved, names = self._saved.get("numbers", {}), list(now)
        if not isinstance(saved, dict) or saved.keys() != set(names):
            held = list(saved) if isinstance(saved, dict) else type(saved).__name__
            raise ValueError(f"state_dict holds the numbers {held}, this optimizer has {names}")
        ranges = self._binding.number_ranges
        for name, value in saved.items():
            check_number(f"state_dict['numbers'][{name!r}]", value, ranges[name])
        return {name: float(saved[name]) for name in names}

    def change(self) -> RuleChange:
        """The updates of the saved rule."""
        try:
            return self._binding.check_change(self.rule, True, self.state)
        except (TypeError, ValueError) as error:
            raise type(error)(f"state_dict['hyper']: {error}") from None

    def progress(self, numbers: Iterable[str], change: RuleChange) -> Progress:
        """How far it came; `numbers` are those of the whole optimizer that are needed."""
        if not is_early(self._saved):
            _check_complete(self._saved, self.rule)
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
                    decay = group.decays(origin)[name]
                    if not decay.fixed and any(counts):
                        raise ValueError(f"state_dict['state'] has no {name!r}")
                    values = closed_weights(decay, counts, origin.hyper(0))
                found.append((name, group.indices, values))
        self._check_others(found)
        return found

    def _check_others(self, found: list[tuple[str, list[int], list[float]]]) -> None:
        """Raise ValueError if a state that is one number is saved for an array without it."""
        for name in self.state.keys() & {name for name, _, _ in found}:
            what = f"state_dict['state'][{name!r}]"
            own = {index for other, indices, _ in found if other == name for index in indices}
            for index, value in enumerate(self._spec.match(self.state[name], what)):
                if index not in own and value is not None:
                    path = self._spec.paths[index]
                    raise ValueError(f"{what}{path} must be None, got {value!r}")

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
        """Each array of `state` with what goes there, ready to be assigned."""
        saved = self.state
        numbers = {name for programs in change.programs for name in programs[-1].decays}
        if saved.keys() - numbers != state.keys():
            raise ValueError(
                f"state_dict holds the state {list(saved)}, this optimizer has {list(state)}"
            )
        places = [place for name, tree in state.items() for place in self._places(name, tree)]
        if not places:
            return []
        memory = Memory([target for target, _, _ in places], [what for _, _, what in places])
        for target, source, what in places:
            if is_cupy(source) == is_cupy(target) and (shared := memory.sharing(source)):
                own = places[shared[0]][2].removeprefix("state_dict['state']")
                raise ValueError(f"{what} shares memory with opt.state{own}: pass a copy")
        return [(target, _like(target, source)) for target, source, _ in places]

    def _places(self, name: str, tree: Any) -> Iterator[tuple[Any, Any, str]]:
        """Each array of a state, what is saved for it, and where that is."""
        what, spec = f"state_dict['state'][{name!r}]", self._spec
        found = spec.match(self.state[name], what)
        for target, source, path in zip(spec.match(tree, name), found, spec.paths, strict=True):
            if target is None and source is None:
                continue
            if not _fits(target, source):
                got = type(source).__name__
                if is_array(source) and not isinstance(source, np.ma.MaskedArray):
                    got = f"{source.dtype} {source.shape}"
                wanted = "None" if target is None else f"an array {target.dtype} {target.shape}"
                raise ValueError(f"{what}{path} must be {wanted}, got {got}")
            yield target, source, what + path


def _fits(target: Any, source: Any) -> bool:
    """Whether `source` is an array that may be assigned to `target` as it is."""
    return (
        target is not None
        and is_array(source)
        and not isinstance(source, np.ma.MaskedArray)
        and source.shape == target.shape
        and source.dtype == target.dtype
    )

"""Reads a ``state_dict`` for an optimizer: all is checked before any is used."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from gpuopt.arrays.backend import is_array, is_cupy
from gpuopt.arrays.memory import Memory
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.coding import as_stored, coded_arrays
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.hyperparameters import check_number
from gpuopt.optimizer.places import fits, like, told
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.saved_format import check_format, check_origin, is_early, read_counts
from gpuopt.optimizer.steps import Progress
from gpuopt.optimizer.steps.scalar_states import closed_weights, shown
from gpuopt.rules.base import Bindable, BindableT_co
from gpuopt.rules.written import is_written
from gpuopt.tracing.expr import StateKey

__all__ = ["Ready", "Saved"]

BindableT = TypeVar("BindableT", bound=Bindable)


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
            f"state_dict is of the rule {saved['rule']}, which selects other arrays than {rule!r}"
        )
    return found, origin


def _check_complete(saved: dict[str, Any], rule: Bindable) -> None:
    """Raise TypeError or ValueError if a hyperparameter has neither a value nor a schedule."""
    hyper, schedules = saved["hyper"], saved["schedules"]
    if not isinstance(schedules, list) or not all(isinstance(name, str) for name in schedules):
        raise TypeError(f"state_dict['schedules'] must be a list of names, got {schedules!r}")
    known = {name: value for name, value in rule.hyperparameters.items() if not is_written(value)}
    if missing := [name for name in known if name not in hyper and name not in schedules]:
        raise ValueError(f"state_dict['hyper'] has no {', '.join(missing)}")
    if wrong := [name for name in schedules if name in hyper or name not in known]:
        raise ValueError(f"state_dict['schedules'] names {wrong[0]!r}, which follows no schedule")


class Ready(NamedTuple, Generic[BindableT_co]):
    """The checked parts of a state dict: the rule with its updates, arrays with their sources, and
    the counts and numbers.
    """

    rule: BindableT_co
    change: RuleChange
    arrays: list[tuple[Any, Any]]
    progress: Progress


class Saved(Generic[BindableT_co]):
    """The parts of a state dict, checked against the optimizer that is to continue from it."""

    def __init__(self, saved: Any, rule: BindableT_co, binding: Binding) -> None:
        self._saved, self._spec, self._binding = saved, binding.spec, binding
        check_format(saved)
        if not isinstance(saved["state"], dict):
            held, names = type(saved["state"]).__name__, list(binding.state())
            raise ValueError(f"state_dict holds the state {held}, this optimizer has {names}")
        self.state: dict[str, Any] = saved["state"]
        check_origin(saved, rule, binding)
        self.rule, self._origin = _rule(saved, rule)
        asked = {binding.precision.state_dtype, saved.get("precision", {}).get("state_dtype")}
        self._exchanged = asked - {None, "dynamic8"} | {"float32"} if len(asked) > 1 else set()
        self._codes, self._coded = set(coded_arrays(binding)), "dynamic8" in asked
        self.t, self.counts = read_counts(saved, binding)
        self._averages = self._weighted()

    def ready(self, state: dict[str, Any], numbers: Iterable[str]) -> Ready[BindableT_co]:
        """All parts, checked; `state` and `numbers` are those of the optimizer."""
        change = self.change()
        arrays, progress = self.arrays(state, change), self.progress(numbers, change)
        return Ready(self.rule, change, arrays, progress)

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
            return self._binding.check_change(self.rule, True, self._averages)
        except (TypeError, ValueError) as error:
            raise type(error)(f"state_dict['hyper']: {error}") from None

    def _weighted(self) -> list[set[str]]:
        """For each array the names of the averages whose sum of weights is saved."""
        found: list[set[str]] = [set() for _ in self._spec.leaves]
        for name in self.state.keys() & set[str]().union(*self._binding.averages):
            sums = self._spec.match(self.state[name], f"state_dict['state'][{name!r}]")
            for own, value in zip(found, sums, strict=True):
                if value is not None:
                    own.add(name)
        return found

    def progress(self, numbers: Iterable[str], change: RuleChange) -> Progress:
        """How far it came; `numbers` are those of the whole optimizer that are needed."""
        if not is_early(self._saved):
            _check_complete(self._saved, self.rule)
        return Progress(self.t, self.counts, self.numbers(numbers), self._scalar_states(change))

    def _scalar_states(
        self, change: RuleChange
    ) -> list[tuple[StateKey, Sequence[int], Sequence[float]]]:
        """The states that are one number and that the updates need.

        The sum of an average's weights is not there where its decay was always the same.
        """
        found: list[tuple[StateKey, Sequence[int], Sequence[float]]] = []
        for group, programs, varying in zip(
            self._binding.groups, change.programs, change.varying, strict=True
        ):
            for key in shown(programs[-1], varying):
                sums = key.name in programs[-1].decays
                if sums and not any(key.name in self._averages[i] for i in group.indices):
                    values = self._weights(key.name, group)
                else:
                    values = self._numbers(key.name, group.indices, sums)
                found.append((key, group.indices, values))
        self._check_shared(found)
        return found

    def _weights(self, name: str, group: ParamGroup) -> list[float]:
        """The sums of an average's weights that are not saved, for the arrays of a group."""
        counts = [self.counts[index] for index in group.indices]
        origin = self._origin.update_for(group.key)
        decay = group.decays(origin)[name]
        if not decay.fixed and any(counts):
            if name in self.state:  # but None for these arrays, which is refused there
                return self._numbers(name, group.indices, True)
            raise ValueError(f"state_dict['state'] has no {name!r}")
        return closed_weights(decay, counts, origin.hyper(0))

    def _check_shared(self, found: list[tuple[StateKey, Sequence[int], Sequence[float]]]) -> None:
        """Raise ValueError if arrays that share a number are saved with several."""
        first: dict[StateKey, tuple[int, float]] = {}
        for key, indices, values in found:
            for index, value in zip(indices if key.tree is not None else (), values, strict=False):
                where, wanted = first.setdefault(key, (index, value))
                if value != wanted and not (math.isnan(value) and math.isnan(wanted)):
                    what = f"state_dict['state'][{key.name!r}]"
                    raise ValueError(
                        f"{what}{self._spec.paths[index]} must be {wanted!r} as "
                        f"{what}{self._spec.paths[where]}, because these arrays share it, got "
                        f"{value!r}"
                    )

    def _numbers(self, name: str, indices: Sequence[int], sums: bool) -> list[float]:
        """The numbers that are saved for the arrays at `indices`; `sums` are of weights."""
        what = f"state_dict['state'][{name!r}]"
        saved, values = self._spec.match(self.state[name], what), []
        for index in indices:
            number, where = saved[index], f"{what}{self._spec.paths[index]}"
            if not is_array(number) or number.shape != () or number.dtype != np.float64:
                raise ValueError(f"{where} must be a 0-d float64 array, got {told(number)}")
            if sums and not 0 <= float(number) <= 1:
                raise ValueError(f"{where} must be a sum of weights in [0, 1], got {number!r}")
            values.append(float(number))
        return values

    def arrays(self, state: dict[str, Any], change: RuleChange) -> list[tuple[Any, Any]]:
        """Each array of `state` with what goes there, ready to be assigned."""
        saved = self.state
        sums, numbers = set[str](), dict[str, set[int]]()
        for group, programs, varying in zip(
            self._binding.groups, change.programs, change.varying, strict=True
        ):
            sums |= programs[-1].decays.keys()
            for key in shown(programs[-1], varying):
                numbers.setdefault(key.name, set()).update(group.indices)
        wanted = {**state, **dict.fromkeys(numbers)}
        if saved.keys() - sums != wanted.keys() - sums:
            raise ValueError(
                f"state_dict holds the state {list(saved)}, this optimizer has {list(wanted)}"
            )
        nothing = self._spec.build([None for _ in self._spec.leaves])
        found = {name: state.get(name, nothing) for name in wanted if name in saved}
        places = [
            place
            for name, tree in found.items()
            for place in self._places(name, tree, numbers.get(name, ()))
        ]
        if not places:
            return []
        memory = Memory([target for target, _, _ in places], [what for _, _, what in places])
        for target, source, what in places:
            if is_cupy(source) == is_cupy(target) and (shared := memory.sharing(source)):
                own = places[shared[0]][2].removeprefix("state_dict['state']")
                raise ValueError(f"{what} shares memory with opt.state{own}: pass a copy")
        return [(target, like(target, source)) for target, source, _ in places]

    def _places(
        self, name: str, tree: Any, numbers: Collection[int]
    ) -> Iterator[tuple[Any, Any, str]]:
        """Each array of a state, what is saved for it, and where that is; not its `numbers`."""
        what, spec = f"state_dict['state'][{name!r}]", self._spec
        found = spec.match(self.state[name], what)
        alike = zip(spec.match(tree, name), found, spec.paths, strict=True)
        for index, (target, source, path) in enumerate(alike):
            if index in numbers or (target is None and source is None):
                continue
            shape, codes = spec.leaves[index].shape, (name, index) in self._codes
            given = as_stored(source, target, shape, codes, self._coded)
            if not fits(target, given, self._exchanged):
                wanted = "None" if target is None else f"an array {target.dtype} {target.shape}"
                raise ValueError(f"{what}{path} must be {wanted}, got {told(source)}")
            yield target, given, what + path

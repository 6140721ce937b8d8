"""The format of a ``state_dict``: its content, and which optimizer may read it.

Comes in: an optimizer's rule, arrays and steps. Goes out: a dict; or, for a dict that is given, an
error that names the place which does not fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.precision import PLAIN, Precision
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.row_groups import most, shown
from gpuopt.optimizer.steps import Steps
from gpuopt.rules.base import Bindable
from gpuopt.rules.composite import Composite
from gpuopt.rules.written import is_written

__all__ = ["VERSION", "check_format", "check_origin", "is_early", "read_counts", "state_dict_of"]

VERSION = 1
"""The version of the format, which is written and read."""
_LATER = ("classes", "schedules", "arrays")
"""The keys that came later, all together."""
_OPTION = (bool, int, str, type(None))
"""What an option of `Precision` is."""


def state_dict_of(
    rule: Bindable, binding: Binding, steps: Steps, state: Mapping[str, Any]
) -> dict[str, Any]:
    """A copy of everything that a resumed optimizer needs, except the parameters."""
    spec, hyper = binding.spec, rule.hyperparameters
    found = {
        "version": VERSION,
        "rule": repr(rule),
        "outline": rule.outline,
        "classes": [*_classes(rule)],
        "hyper": {n: x for n, x in hyper.items() if not callable(x) and not is_written(x)},
        "schedules": [name for name, value in hyper.items() if callable(value)],
        "arrays": _arrays(binding),
        "precision": dataclasses.asdict(binding.precision),
        "t": steps.t,
        "counts": spec.build(shown(steps.counts)),
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


def _classes(rule: Any) -> Iterator[str]:
    """The class of each rule and piece, in order; one of gpuopt wherever it is defined there."""
    if isinstance(rule, Composite):
        for child in rule.children.values():
            yield from _classes(child)
    else:
        kind = type(rule)
        module = "gpuopt" if kind.__module__.startswith("gpuopt.") else kind.__module__
        yield f"{module}:{kind.__qualname__}"


def _arrays(binding: Binding) -> dict[str, Any]:
    """By the names of hyperparameters for which array there is an array in their place."""
    names = sorted(set().union(*binding.hyper_arrays))
    return {
        name: binding.spec.build([name in own for own in binding.hyper_arrays]) for name in names
    }


def check_format(saved: Any) -> None:
    """Raise TypeError or ValueError if `saved` is not a state dict that this version can read."""
    if not isinstance(saved, dict):
        raise TypeError(
            f"state_dict must be a dict from Optimizer.state_dict(), got {type(saved).__name__}"
        )
    _check_keys(saved, ("version", "rule", "hyper", "t", "counts", "state"))
    version = saved["version"]
    if isinstance(version, bool) or not isinstance(version, (int, np.integer, str)):
        raise TypeError(f"state_dict['version'] must be a whole number, got {version!r}")
    if version != VERSION:
        raise ValueError(f"state_dict has version {version!r}, this gpuopt reads version {VERSION}")

    for key in ("rule", "outline"):
        if not isinstance(text := saved.get(key, ""), str):
            raise TypeError(f"state_dict[{key!r}] must be a str, got {type(text).__name__}")


def _check_keys(saved: dict[str, Any], needed: tuple[str, ...]) -> None:
    if missing := [key for key in needed if key not in saved]:
        raise ValueError(
            f"state_dict must be a dict from Optimizer.state_dict(); missing: {', '.join(missing)}"
        )


def check_origin(saved: dict[str, Any], rule: Bindable, binding: Binding) -> None:
    """Raise TypeError or ValueError if it is of another rule, or of other options of `init`."""
    if not saved["rule"].startswith(f"{repr(rule).partition('(')[0]}("):
        raise ValueError(f"state_dict is of the rule {saved['rule']}, this optimizer's is {rule!r}")
    if (outline := saved.get("outline", rule.outline)) != rule.outline:
        raise ValueError(f"state_dict is of {outline}, this optimizer's rule is {rule.outline}")
    _check_precision(saved.get("precision", dataclasses.asdict(PLAIN)), binding.precision)
    if not is_early(saved):
        _check_keys(saved, ("outline", "precision", *_LATER))
        _check_classes(saved["classes"], [*_classes(rule)])
        _check_arrays(saved["arrays"], binding)


def is_early(saved: dict[str, Any]) -> bool:
    """Whether a dict was written before classes, schedules and arrays were told."""
    return not any(key in saved for key in _LATER)


def _check_precision(was: object, precision: Precision) -> None:
    """Raise an error if parameters are stored otherwise; state of another dtype is converted."""
    now = dataclasses.asdict(precision)
    if not isinstance(was, dict) or not all(isinstance(x, _OPTION) for x in was.values()):
        raise TypeError(f"state_dict['precision'] must be a dict of {', '.join(now)}, got {was!r}")
    was = {**was, "state_dtype": was.get("state_dtype")}  # which came later
    alike = ["master", "stochastic_rounding"]
    if was["state_dtype"] == now["state_dtype"] or precision.stochastic_rounding:
        alike.append("seed")
    if was.keys() != now.keys() or any(was[name] != now[name] for name in alike):
        raise ValueError(
            f"state_dict is of an optimizer that was made with {was}, this one with {now}: pass "
            "the same to init (state_dtype may differ)"
        )


def _check_classes(was: Any, now: list[str]) -> None:
    """Raise an error if a class is another one of the same name.

    What was defined in a script or notebook may have moved to a module, or back.
    """
    if not isinstance(was, list) or not all(isinstance(name, str) for name in was):
        raise TypeError(f"state_dict['classes'] must be a list of names, got {was!r}")
    if len(was) != len(now) or not all(map(_is_class, was, now)):
        raise ValueError(
            f"state_dict is of the classes {', '.join(was)}, this optimizer's are "
            f"{', '.join(now)}; if a class has only moved, set state_dict['classes'] = {now}"
        )


def _is_class(was: str, now: str) -> bool:
    (module, _, name), (module_now, _, name_now) = was.partition(":"), now.partition(":")
    moved = "__main__" in (module, module_now) and "gpuopt" not in (module, module_now)
    return name == name_now and (module == module_now or moved)


def _check_arrays(was: Any, binding: Binding) -> None:
    """Raise an error unless there are arrays for the same hyperparameters of the same arrays."""
    now = _arrays(binding)
    if not isinstance(was, dict):
        raise TypeError(f"state_dict['arrays'] must be a dict, got {type(was).__name__}")
    for name in dict.fromkeys((*now, *was)):
        leaves = binding.spec.leaves
        here = binding.spec.match(now[name], name) if name in now else [False] * len(leaves)
        there: list[Any] = [False] * len(leaves)
        if name in was:
            there = binding.spec.match(was[name], f"state_dict['arrays'][{name!r}]")
        for path, one, other in zip(binding.spec.paths, there, here, strict=True):
            if not isinstance(one, (bool, np.bool_)):
                where = f"state_dict['arrays'][{name!r}]{path}"
                raise TypeError(f"{where} must be True or False, got {one!r}")
            if one != other:
                kinds = "an array" if one else "a number", "an array" if other else "a number"
                raise ValueError(
                    f"state_dict is of an optimizer with {kinds[0]} for {name!r} of params{path}, "
                    f"this one has {kinds[1]}: pass the same hyper={{{name!r}: ...}} to init, or "
                    "the same to its piece"
                )


def read_counts(saved: dict[str, Any], binding: Binding) -> tuple[int, list[Any]]:
    """How many steps were completed, and how often each array was updated, or each of its rows."""
    t, spec = _count(saved["t"], "t"), binding.spec
    by_row = {group.index: len(group.counts[0]) for group in binding.row_groups}
    counts = [
        _counts(n, f"counts{path}", by_row[i]) if i in by_row else _count(n, f"counts{path}")
        for i, (n, path) in enumerate(
            zip(spec.match(saved["counts"], "state_dict['counts']"), spec.paths, strict=True)
        )
    ]
    if (largest := max(map(most, counts))) > t:
        raise ValueError(
            f"state_dict: counts holds {largest} updates of an array, more than the {t} steps"
        )
    return t, counts


def _count(value: Any, name: str) -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**53:
        raise ValueError(
            f"state_dict: {name} must be a whole number of steps, below 2**53, got {value!r}"
        )
    return int(value)


def _counts(value: Any, name: str, size: int) -> Any:
    found = isinstance(value, np.ndarray) and value.dtype.kind in "iu"
    if not found or value.shape != (size,) or (value < 0).any():
        raise ValueError(
            f"state_dict: {name} must be an array of {size} whole numbers of steps, because its "
            f"rows are updated separately here, got {value!r}"
        )
    return value

"""Checks of the class of a rule or a piece: annotated hyperparameters, methods, hooks."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from gpuopt.arrays.options import brief
from gpuopt.rules.elsewhere import NotHere
from gpuopt.rules.hooks import HOOKS

__all__ = ["BASES", "check_class", "check_default", "own_hints", "reserved_names"]

BASES: list[type] = []
"""The base classes: `gpuopt.Rule`, `gpuopt.GradientPiece`, `gpuopt.ParameterPiece` and others."""


def own_hints(cls: type) -> dict[str, Any]:
    """Evaluate the annotations that stand in the class itself."""
    module = vars(sys.modules[cls.__module__])
    try:
        return inspect.get_annotations(cls, globals=module, locals={}, eval_str=True)
    except Exception:
        # A class made inside a function may name what is local there. Only the frame of that
        # function knows it: it is above this one, that of `make_formula` and that of
        # `__init_subclass__`. Python 3.14 needs it no more.
        local = sys._getframe(3).f_locals
        return inspect.get_annotations(cls, globals={**module, **local}, locals={}, eval_str=True)


def reserved_names() -> frozenset[str]:
    """The names that no hyperparameter may have: those of hooks, and of the base classes."""
    classes = {each for base in BASES for each in base.__mro__[:-1]}
    own = {name for each in classes for name in (*vars(each), *inspect.get_annotations(each))}
    own -= {n for each in classes for n, v in vars(each).items() if isinstance(v, NotHere)}
    own |= {name for name, hook in HOOKS.items() if not hook.common}
    return frozenset(name for name in own if not name.startswith("__"))


_YOURS = ("update", "check", "momentum_states")
"""What a subclass defines, beside hooks."""


def check_class(cls: type) -> None:
    """Raise TypeError if an attribute lacks its annotation, or hides a method of rules."""
    annotated = inspect.get_annotations(cls)
    for name, value in vars(cls).items():
        public = not name.startswith("_")
        if public and name not in annotated and isinstance(value, (bool, int, float)):
            raise TypeError(
                f"rule {cls.__name__}: {name} = {value!r} has no annotation: "
                f"write {name}: gpuopt.Hyper = {value!r} for a hyperparameter, "
                f"or {name}: ClassVar = {value!r} for a constant"
            )
    reserved = reserved_names()
    if cls.__module__.startswith("gpuopt.rules."):  # they know what is private
        reserved = frozenset(name for name in reserved if not name.startswith("_"))
    if taken := [name for name in annotated if name in reserved]:
        raise TypeError(
            f"rule {cls.__name__}: {taken[0]!r} is a method of rules: "
            "give the hyperparameter another name"
        )
    if taken := [name for name in vars(cls) if name in reserved.difference(HOOKS, _YOURS)]:
        raise TypeError(
            f"rule {cls.__name__}: {taken[0]!r} is what gpuopt calls something of its own: "
            "give the method another name"
        )


def check_default(cls: type, name: str) -> None:
    """Raise TypeError if the default of a hyperparameter can change, as a list or an array does."""
    value = vars(cls).get(name)
    if type(value).__hash__ is not None:
        return
    hint = f"give arrays to init, hyper={{{name!r}: arrays}}"
    if isinstance(value, list):
        hint = f"write {name}: tuple[gpuopt.Hyper, ...] = {tuple(value)!r}"
    raise TypeError(
        f"rule {cls.__name__}: the default of {name} must be a number, a schedule or a tuple, got "
        f"{brief(value)}: {hint}"
    )

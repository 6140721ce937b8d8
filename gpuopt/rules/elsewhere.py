"""Names that users look for in the wrong place."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from gpuopt.rules.tuples import whole
from gpuopt.rules.words import ELSEWHERE

__all__ = [
    "NotHere",
    "NotSet",
    "as_identifier",
    "never_changes",
    "no_schedule",
    "not_exported",
]


class NotHere:
    """A name that is somewhere else: an attribute that raises AttributeError, with what to type.

    A ``__getattr__`` would make every attribute of the class slower.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} has no attribute {self._name!r}: {self._hint}")


class NotSet(NotHere):
    """The same if it is assigned; not for a class whose subclasses may have the name."""

    def __set__(self, instance: Any, value: Any) -> None:
        self.__get__(instance, type(instance))


def never_changes(rule: Any, name: str, value: Any) -> NoReturn:
    """Refuse an assignment to an attribute of a rule or a piece: it is its ``__setattr__``."""
    what, entries = "rule" if hasattr(rule, "init") else "piece", rule.hyperparameters
    known = [*dict.fromkeys(map(whole, entries))]
    named = [full for full in known if name in (full, full.replace("/", ".").rpartition(".")[2])]
    remedy = f"it has {', '.join(known) or 'no hyperparameters'}"
    if named:
        remedy = f"write {what} = {what}.replace({{{named[0]!r}: {reprlib.repr(value)}}})"
    raise dataclasses.FrozenInstanceError(
        f"{type(rule).__name__}.{name} cannot be assigned, because a {what} never changes; "
        f"{remedy}; an optimizer continues with another rule if you assign it to opt.rule"
    )


def _spelled_alike(name: str, names: Sequence[str], cutoff: float) -> str:
    """The name with the most similar spelling, whatever the case; empty if none is similar."""
    alike = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), alike, n=1, cutoff=cutoff)
    return alike[close[0]] if close else ""


def not_exported(name: str, names: Sequence[str]) -> AttributeError:
    """The error for a name that `gpuopt` lacks: it suggests names with a similar spelling."""
    found = ELSEWHERE.get(name.lower()) or _spelled_alike(name, names, 0.75)
    hint = f"; write gpuopt.{found}" if found else ""
    if not found and name[:1].isupper():
        hint = "; dir(gpuopt) lists all rules, and a subclass of gpuopt.Rule is a rule of your own"
    return AttributeError(f"module 'gpuopt' has no attribute {name!r}{hint}", name=name)


def no_schedule(names: Sequence[str]) -> Callable[[str], NoReturn]:
    """The ``__getattr__`` of `gpuopt.schedules`, which has these names."""

    def missing(name: str) -> NoReturn:
        close = _spelled_alike(name, names, 0.6)
        hint = f"write gpuopt.schedules.{close}" if close else f"it has {', '.join(names)}"
        raise AttributeError(f"module 'gpuopt.schedules' has no attribute {name!r}; {hint}")

    return missing


def as_identifier(name: str) -> str:
    """A name as Python reads it in code, where the micro sign is a Greek mu."""
    return unicodedata.normalize("NFKC", name)

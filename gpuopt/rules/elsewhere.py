"""Names that users look for in the wrong place."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import itertools
import typing
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from gpuopt.rules.spelling import as_typed
from gpuopt.rules.tuples import whole
from gpuopt.rules.words import ELSEWHERE, NAMES, SETTINGS, TUPLES

__all__ = [
    "NotHere",
    "also_called",
    "as_identifier",
    "by_hyperparameters",
    "by_keyword",
    "by_known_names",
    "changes",
    "known_arguments",
    "meant",
    "never_changes",
    "not_exported",
    "not_in",
    "replacement",
]

_FUNCTION = typing.TypeVar("_FUNCTION", bound=Callable[..., Any])


class NotHere:
    """A name that is somewhere else: an attribute that raises AttributeError, with what to type.

    The hint may be a function of the object, or of None if the class is asked. A ``__getattr__``
    would make every attribute of the class slower.
    """

    def __init__(self, hint: str | Callable[[Any], str]) -> None:
        self._hint = hint

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        hint = self._hint(instance) if callable(self._hint) else self._hint
        raise AttributeError(f"{owner.__name__!r} has no attribute {self._name!r}: {hint}")


def _last(name: str) -> str:
    """The name of a hyperparameter without the names of its rule or piece."""
    return name.replace("/", ".").rpartition(".")[2]


def also_called(name: str, names: Sequence[str]) -> str:
    """The one of the names that other libraries, or this one, call so; or with a like spelling."""
    said = {name, *NAMES.get(name, ()), *SETTINGS.get(name, ())}
    same = (each for each in names if said & {each, *NAMES.get(each, ())})
    return next(same, "") or _spelled_alike(name, names, 0.7)


def meant(rule: Any, name: str, value: Any) -> dict[str, Any]:
    """The value for each hyperparameter that a name may mean, by full names.

    It may be one of several parts, what another library calls it, or mistyped.
    """
    known = [*dict.fromkeys(map(whole, rule.hyperparameters))]

    def named(each: str, value: Any) -> dict[str, Any]:
        return {full: value for full in known if each in (full, _last(full))}

    found = next(filter(None, (named(each, value) for each in (name, *NAMES.get(name, ())))), {})
    if found or "[" in name:
        return found
    if name in TUPLES:
        several = value if isinstance(value, (tuple, list)) else ()
        parts = [named(*pair) for pair in zip(TUPLES[name], several, strict=False)]
        return {full: one for part in parts for full, one in part.items()} if all(parts) else {}
    return named(_spelled_alike(name, [*known, *map(_last, known)], 0.7), value)


def replacement(owner: str, values: Mapping[str, Any]) -> str:
    """The call that changes hyperparameters, as it is typed."""
    if all(map(str.isidentifier, values)):
        return f"{owner}.replace({by_keyword(values)})"
    texts = (f"{name!r}: {_as_typed(name, value)}" for name, value in values.items())
    return f"{owner}.replace({{{', '.join(texts)}}})"


def by_keyword(values: Mapping[str, Any]) -> str:
    """The arguments of a call, as they are typed."""
    return ", ".join(f"{name}={_as_typed(name, value)}" for name, value in values.items())


def _as_typed(name: str, value: Any) -> str:
    return repr(value) if isinstance(value, tuple) else as_typed(_last(name), value)


def by_hyperparameters(replace: _FUNCTION) -> _FUNCTION:
    """A method `replace` that says how to call it if it gets several values by position."""

    @functools.wraps(replace)
    def checked(rule: Any, /, *values: Any, **by_name: Any) -> Any:
        if len(values) > 1:
            raise _not_by_name(rule, values)
        return replace(rule, *values, **by_name)

    return typing.cast(_FUNCTION, checked)


def _not_by_name(rule: Any, values: tuple[Any, ...]) -> TypeError:
    """The error for values that are given to `replace` by position."""
    known, named = rule.hyperparameters, len(values) == 2 and isinstance(values[0], str)
    example = meant(rule, *values) if named else {}
    example = example or meant(rule, "lr", 0.1) or {name: known[name] for name in [*known][:1]}
    got = ", ".join(map(repr, values))
    if not known:
        return TypeError(f"{_who(rule)} has no hyperparameters to replace, got {got}")
    takes = f"hyperparameters by name, as in {replacement(_what(rule), example)}, or a dict of them"
    return TypeError(f"{_who(rule)}: replace takes {takes}, not {got}")


def changes(rule: Any, values: Any, by_name: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters given to `replace`.

    TypeError for one that a rule or a piece lacks, or that is given twice.
    """
    what, who, known = _what(rule), _who(rule), rule.hyperparameters
    if not (values is None or isinstance(values, Mapping)):
        raise _not_by_name(rule, (values,))
    pairs = itertools.chain((values or {}).items(), by_name.items())
    named = [(as_identifier(_text(key)), value) for key, value in pairs]
    given: dict[str, Any] = {}
    for name, value in named:
        if name in given:
            raise TypeError(
                f"{who}: replace got {name} twice, {given[name]!r} and {value!r}; write "
                f"{replacement(what, dict(named))}"
            )
        given[name] = value
    for name, value in given.items():
        if name not in known and name not in map(whole, known):
            found = meant(rule, name, value)
            hint = f"; write {replacement(what, found)}" if found else ""
            raise TypeError(
                f"{who} has no hyperparameter {name!r}; it has {', '.join(known) or 'none'}{hint}"
            )
    return given


def never_changes(rule: Any, name: str, value: Any) -> NoReturn:
    """Refuse an assignment to an attribute of a rule or a piece: it is its ``__setattr__``."""
    what, found = _what(rule), meant(rule, name, value)
    remedy = f"it has {', '.join(rule.hyperparameters) or 'no hyperparameters'}"
    if found:
        remedy = f"write {what} = {replacement(what, found)}"
    raise dataclasses.FrozenInstanceError(
        f"{type(rule).__name__}.{name} cannot be assigned, because a {what} never changes; "
        f"{remedy}; an optimizer continues with another rule if you assign it to opt.rule"
    )


def _text(name: Any) -> str:
    """A name as plain text, such as that of a member of an enumeration of texts."""
    return str.__str__(name) if isinstance(name, str) else str(name)


def _who(rule: Any) -> str:
    return getattr(rule, "outline", type(rule).__name__)


def _what(rule: Any) -> str:
    return "rule" if hasattr(rule, "init") else "piece"


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


def not_in(module: str, names: Sequence[str]) -> Callable[[str], NoReturn]:
    """The ``__getattr__`` of a module of gpuopt, which has these names."""

    def missing(name: str) -> NoReturn:
        close = "" if name.startswith("_") else _spelled_alike(name, names, 0.6)
        hint = f"write {module}.{close}" if close else f"it has {', '.join(names)}"
        raise AttributeError(f"module {module!r} has no attribute {name!r}; {hint}")

    return missing


def known_arguments(called: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise TypeError if one of the arguments that are given by name is none of the names."""
    unknown = next((name for name in given if name not in names), None)
    if unknown is not None:
        close = also_called(unknown, names)
        hint = f"; did you mean {close}?" if close else ""
        known = {"lr", "eps", "weight_decay", *NAMES, *TUPLES}
        if not close and {"rule", "method"} & set(names) and unknown in known:
            hint = "; hyperparameters belong to the rule, as in gpuopt.Adam(lr=0.1)"
        if "method" in names and "memory" in (unknown, *SETTINGS.get(unknown, ())):
            hint = "; it belongs to the method, as in gpuopt.LBFGS(memory=20)"
        raise TypeError(f"{called} has no argument {unknown!r}; it has {', '.join(names)}{hint}")


def by_known_names(example: str, names: Sequence[str] = ()) -> Callable[[_FUNCTION], _FUNCTION]:
    """Let a function, or a class, refuse a wrong call with the arguments that it has.

    Parameters
    ----------
    example : str
        A call as it is typed.
    names : sequence of str
        The arguments to show, if they are not those of the function.
    """
    called = example.partition("(")[0].removeprefix("gpuopt.").removeprefix("conventions.")

    def decorated(function: _FUNCTION) -> _FUNCTION:
        if isinstance(function, type):  # a subclass may have another ``__init__``
            function.__init__ = decorated(function.__init__)  # type: ignore[misc]
            return function
        signature = inspect.signature(function)
        own = ["*" * (x.kind is x.VAR_POSITIONAL) + x.name for x in signature.parameters.values()]
        shown = names or [name for name in own if name != "self"]

        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            known_arguments(called, given, shown)
            try:
                signature.bind(*args, **given)
            except TypeError as error:
                raise TypeError(f"{called}: {error}; write {example}") from None
            return function(*args, **given)

        return typing.cast(_FUNCTION, checked)

    return decorated


def as_identifier(name: str) -> str:
    """A name as Python reads it in code, where the micro sign is a Greek mu."""
    return unicodedata.normalize("NFKC", name)

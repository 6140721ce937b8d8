"""Arguments of rules as other libraries call them: what they are here, and the line to type.

Comes in: a class and the arguments of a call that it does not take. Goes out: a message.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from gpuopt.rules.words import AROUND, INIT, NAMES, NOTHING, TUPLES
from gpuopt.rules.written import is_array

__all__ = ["are_params", "as_typed", "in_place_of", "refusal"]


@dataclasses.dataclass
class _Call:
    """The call to type: of a class, with arguments by name."""

    name: str
    fields: Sequence[str]
    rule: bool
    own: dict[str, str] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)

    def take(self, name: str, text: str, values: Mapping[str, Any]) -> None:
        """Take over an argument, by what it is called here."""
        if name in self.fields:
            self.own[name] = text
        elif TUPLES.get(name, ("",))[1:2] and TUPLES[name][1] in self.fields:
            found = values[name] if isinstance(values[name], (tuple, list)) else ()
            own = [each for each in TUPLES[name] if each in self.fields]
            if len(found) == len(own):
                self.own |= dict(zip(own, map(repr, found), strict=True))
            else:
                self.own |= {each: f"{text}[{number}]" for number, each in enumerate(own)}
        elif name == "decay" and self.rule and "beta" not in self.fields:
            rate = self.own.get("lr", "lr")
            self.own["lr"] = f"lambda step: {rate} / (1 + {text} * step)"
        elif known := [own for own in NAMES.get(name, ()) if own in self.fields]:
            self.own[known[0]] = text
            if self.name == "gpuopt.Momentum" and name in {"momentum", "mu", "decay"}:
                self.own.setdefault("dampening", "0.0")
        elif not (self.rule and name in {*AROUND, *INIT, *NOTHING, "params"}):
            self.unknown.append(name)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={text}' for name, text in self.own.items())})"


def refusal(cls: Any, rule: bool, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of a call, with the line to type; None if `cls` takes them.

    Parameters
    ----------
    cls : type
        A rule or a piece.
    rule : bool
        Whether it is a rule.
    args, kwargs
        The arguments of the call.
    """
    fields = dataclasses.fields(cls)
    places = [field.name for field in fields if not field.kw_only]
    twice = [name for name in places[: len(args)] if name in kwargs]
    strange = [name for name in kwargs if name not in cls.__dataclass_fields__]
    if len(args) <= len(places) and not twice and not strange:
        return None
    values, params = _by_name(cls, rule, args, kwargs)
    texts = {
        name: as_typed(name, value) for name, value in values.items() if not _is_off(name, value)
    }
    call = _call(cls, rule, values, texts)
    if call.unknown:
        return _unknown(cls, call)
    what = f"has no {', '.join(map(repr, strange))}" if strange else f"takes {_positional(places)}"
    if params or "params" in kwargs:
        what = "takes no params: they belong to init"
    return f"{cls.__name__} {what}; write {_line(cls, call, texts, params)}"


def _positional(places: list[str]) -> str:
    """Which arguments may be given by position."""
    if not places:
        return "no positional argument"
    several = "as positional arguments" if len(places) > 1 else "as a positional argument"
    return f"only {', '.join(places)} {several}"


def _by_name(
    cls: Any, rule: bool, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The values by name in the order of the call, and whether params were the first of them."""
    names, values = [field.name for field in dataclasses.fields(cls)], list(args)
    params = rule and bool(values) and are_params(values[0])
    if params:
        del values[0]
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, (tuple, list)) and len(value) in (2, 3) and "beta2" in names:
            found["betas"] = value
            names = [name for name in names if name not in {"beta1", "beta2", "beta3"}]
        elif names:
            found[names.pop(0)] = value
        elif cls.__name__ == "GradientDescent" and len(found) == 1:
            found["momentum"] = value  # it is the second argument in PyTorch and Keras
        else:
            found[f"argument {len(found) + 1}"] = value
    return {**found, **kwargs}, params


def _call(cls: Any, rule: bool, values: Mapping[str, Any], texts: Mapping[str, str]) -> _Call:
    """The call of the class, or of another rule that has what is asked for."""
    name, own = cls.__name__, [field.name for field in dataclasses.fields(cls)]
    if cls.__module__.startswith("gpuopt."):
        momentum, decoupled = {"momentum", "nesterov", "dampening"}, "decoupled_weight_decay"
        if name == "GradientDescent" and momentum & texts.keys():
            name, own = "Momentum", ["lr", "beta", "dampening", "nesterov"]
            texts = {**texts, "dampening": texts.get("dampening", "0.0")}
        elif name == "Adam" and {decoupled, "weight_decay"} <= texts.keys():
            name, own = "AdamW", [*own, "weight_decay"]
        name = f"gpuopt.{name}"
    call = _Call(name, own, rule)
    for each, text in texts.items():
        call.take(each, text, values)
    return call


def _line(cls: Any, call: _Call, texts: Mapping[str, str], params: bool) -> str:
    """The line to type."""
    before, after, line = list[str](), list[str](), str(call)
    for name, code in AROUND.items():
        if call.rule and name in texts and name not in call.own:
            first, piece = code(texts[name], texts)
            (before if first else after).append(piece)
    if before or after:
        line = f"gpuopt.chain({', '.join([*before, line, *after])})"
    options = {name: texts[name] for name in INIT if name in texts and name not in call.fields}
    if params or options or "params" in texts:
        given = ", ".join(["params", *(f"{name}={text}" for name, text in options.items())])
        line = f"opt = {line}.init({given})"
    if cls.__name__ == "Adam" and "gpuopt.weight_decay(" in line:
        decoupled = dataclasses.replace(call, name="gpuopt.AdamW", own={**call.own})
        decoupled.own["weight_decay"] = texts["weight_decay"]
        line += f" as PyTorch does, or write {decoupled} as Keras does, for decoupled decay"
    return line


def _unknown(cls: Any, call: _Call) -> str:
    """The message for names that say nothing here."""
    has = ", ".join(field.name for field in dataclasses.fields(cls)) or "none"
    if call.unknown[0].startswith("argument "):
        return f"{cls.__name__} takes no positional {call.unknown[0]}; it has {has}"
    close = difflib.get_close_matches(call.unknown[0], call.fields, 1, 0.7)
    hint = f"; did you mean {close[0]}?" if close else ""
    named = ", ".join(map(repr, call.unknown))
    return f"{cls.__name__} has no hyperparameter {named}; it has {has}{hint}"


def as_typed(name: str, value: Any) -> str:
    """A value as it is typed: its repr, or the name of the argument that it was given for."""
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):  # NumPy's are typed as Python's
        return repr(int(value) if isinstance(value, numbers.Integral) else float(value))
    return name.replace(" ", "_")


def _is_off(name: str, value: Any) -> bool:
    """Whether an option of another library is switched off."""
    return (value is None or (isinstance(value, (bool, int, float)) and not value)) and (
        name in {*AROUND, *NOTHING, "momentum", "dampening", "nesterov", "decay", "amsgrad"}
    )


def are_params(value: Any) -> bool:
    """Whether it is what other libraries take as their first argument: parameters."""
    return not callable(value) and (_is_tree(value) or (is_array(value) and value.shape != ()))


def _is_tree(value: Any) -> bool:
    """Whether it is, or may give, several arrays: what other libraries take as parameters."""
    return isinstance(value, (dict, list, tuple, set)) or (
        hasattr(value, "__iter__") and not isinstance(value, str) and not is_array(value)
    )


def in_place_of(name: str, value: Any, rule: bool, arrays: bool) -> str:
    """What to type for a hyperparameter that is not a number; `arrays` may be written there."""
    if isinstance(value, (str, type)):
        of_class = getattr(value, "__name__", "")
        remedy = f"{of_class} is a class: make a schedule of it, {of_class}(...)"
        number = value if isinstance(value, str) and value.replace(".", "").isdecimal() else 0.1
        return f"; {remedy if of_class else f'a number has no quotes, as in {name}={number}'}"
    if is_array(value):
        if math.prod(value.shape) == 1:
            return f"; write {name}={name}.item()"
        hyper = f'rule.init(params, hyper={{"{name}": {name}}})'
        first = "; if these are the params, write opt = rule.init(params)"
        return f"; an array for each element goes into init: {hyper}{first if rule else ''}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, numbers.Real) for v in value):
        if arrays:
            return f"; write {name}=np.asarray({name})"
        hyper = f'rule.init(params, hyper={{"{name}": np.asarray({name})}})'
        return f"; an array for each element goes into init: {hyper}"
    return _of_tree(name, value) if _is_tree(value) and rule else ""


def _of_tree(name: str, value: Any) -> str:
    """What to type for numbers of arrays, or for the arrays themselves."""
    if isinstance(value, dict) and all(isinstance(v, numbers.Real) for v in value.values()):
        each = ", ".join(f"{key!r}: gpuopt.Adam({name}={v!r})" for key, v in value.items())
        return f"; to give each array its own number, write gpuopt.partition({{{each}}})"
    return (
        "; params belong to init: opt = rule.init(params); to give each of them its own "
        f"number, use gpuopt.partition({{'*': gpuopt.Adam({name}=0.1)}})"
    )

"""Hooks: methods that gpuopt calls if a rule or a piece has them. One table describes each.

The table decides which class may define which hook, what an error says, and which names no
hyperparameter may have. ``tools/hooks_table.py`` writes it into ``docs/your-own-rule.md``.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from gpuopt.rules.base import Update

__all__ = [
    "HOOKS",
    "Hook",
    "HookName",
    "allowed_hooks",
    "defined_hooks",
    "device_counts",
    "has_hook",
    "undoing",
]

HookName: TypeAlias = Literal[
    "check",
    "start",
    "holds",
    "steps",
    "accept",
    "undo",
    "scale_lr",
    "numbers",
    "adapt",
    "scale",
    "evaluation",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hook:
    """A method that gpuopt calls by its name.

    Attributes
    ----------
    owners : tuple of str
        The base classes whose subclasses may have it.
    arguments : tuple of str
        What it is called with. A last one, ``*state``, stands for one argument for each state.
    tells : str
        What gpuopt asks it for, in a few words, for errors.
    gets, returns, called : str
        What the arguments are, what it must return, and when it is called, for the documentation.
    needs : str
        The hook without which this one is never called.
    common : bool
        Whether the name is a usual one: a hyperparameter or a number may have it, and then the
        class has no such hook.
    """

    owners: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    tells: str
    gets: str
    returns: str
    called: str
    needs: str = ""
    common: bool = False

    def signature(self, name: str) -> str:
        """The head of such a method."""
        return f"{name}({', '.join(('self', *self.arguments))})"


RULE, GRADIENT, STEP, PARAMETER = "Rule", "GradientPiece", "StepPiece", "ParameterPiece"
EVERY = (RULE, GRADIENT, STEP, PARAMETER)

HOOKS: dict[HookName, Hook] = {
    "check": Hook(
        owners=EVERY,
        tells="whether its hyperparameters fit together",
        gets="nothing; hyperparameters are attributes",
        returns="nothing; raises ValueError if they do not fit together",
        called="when the rule or piece is made",
    ),
    "start": Hook(
        owners=EVERY,
        arguments=("p",),
        tells="the initial values of its states",
        gets="the parameter, an array",
        returns="a tuple, the initial value of each state",
        called="in the first step of each array, and by `init`, for `opt.state` until then",
    ),
    "holds": Hook(
        owners=(GRADIENT,),
        arguments=("paths",),
        tells="which arrays stay unchanged",
        gets='the paths of all arrays, such as `"layers/2/w"`',
        returns="a list: for each path, whether its array stays unchanged and has no state",
        called="by `init`, once",
    ),
    "steps": Hook(
        owners=(GRADIENT,),
        arguments=("t",),
        tells="how often the rest of the chain has acted",
        gets="how often the piece was called",
        returns="how often the rest has acted by then; it acts in a step if that number grows",
        called="in every step, for `t - 1` and `t`",
    ),
    "accept": Hook(
        owners=(GRADIENT,),
        arguments=("t", "p", "g"),
        tells="whether the step is made",
        gets="the same as `update`",
        returns="a truth value, computed from reductions: if it is false, the step changes "
        "nothing, neither parameters nor state nor counts",
        called="in every step, before `update`",
    ),
    "undo": Hook(
        owners=(GRADIENT,),
        tells="whether the last step is taken back",
        gets="nothing; its numbers, the loss and hyperparameters are attributes",
        returns="a truth value, computed from them: if it is true, parameters and states return to "
        "their values before the last step, momentum to 0, and nothing else changes",
        called="in every step, before anything else",
    ),
    "scale_lr": Hook(
        owners=(GRADIENT,),
        tells="the factor of the rule's learning rate",
        gets="nothing; its numbers, the loss and hyperparameters are attributes",
        returns="a number, computed from them, that multiplies the `lr` of the rule",
        called="in every step, before anything else",
    ),
    "numbers": Hook(
        owners=EVERY,
        tells="which numbers of the whole optimizer it keeps",
        gets="nothing",
        returns="a dict, the names of numbers of the whole optimizer and their initial values",
        called="by `init`",
    ),
    "adapt": Hook(
        owners=EVERY,
        arguments=("p", "g", "accepted"),
        tells="the next values of its numbers",
        gets="`p` and `g` (or `new`) of `update`, and the result of its own `accept`",
        returns="a tuple, the next value of each number",
        called="in every step in which an array has a gradient; the result counts if the step "
        "is made, or if its own `accept` refused it",
        needs="numbers",
    ),
    "scale": Hook(
        owners=(RULE,),
        arguments=("t", "*state"),
        tells="the factor of the gradient in its step",
        gets="`t`, and the new states that `update` returned",
        returns="the factor of a constant gradient in the step, with the learning rate: a "
        "number, or an array like `p`",
        called="in every step, after `update`, if a piece behind the rule reads `self.rule.scale`",
        common=True,
    ),
    "evaluation": Hook(
        owners=(RULE, PARAMETER),
        arguments=("p", "*state"),
        tells="the result of Optimizer.evaluation in place of the parameter",
        gets="the parameter and its own state, arrays, or a number for a state that is one",
        returns="an array like `p`",
        called="by `opt.evaluation()`, for each array; with state only if it has acted",
    ),
}


def has_hook(formula: Any, name: HookName) -> bool:
    """Whether a rule or a piece has that hook; a chain or a partition has none itself."""
    return name in formula._hooks


def allowed_hooks(base: str) -> frozenset[HookName]:
    """The hooks that subclasses of that base class may have."""
    return frozenset(name for name, hook in HOOKS.items() if base in hook.owners)


def defined_hooks(cls: type, base: type, allowed: frozenset[HookName]) -> frozenset[HookName]:
    """The hooks that a subclass of `base` has: its own and inherited ones, also of plain mixins.

    Raises
    ------
    TypeError
        If the name of a hook stands for something else: for a hook that the base class may not
        have, for something that is not a method or takes other arguments, or for a method that is
        never called.
    """
    ours = [each for each in cls.__mro__ if each not in base.__mro__]
    fields = {name for each in ours for name in inspect.get_annotations(each)}
    names = [name for name, hook in HOOKS.items() if not (hook.common and name in fields)]
    owners = {name: each for each in reversed(ours) for name in names if name in vars(each)}
    found = frozenset(owners)
    for name, owner in owners.items():
        problem = _problem(cls, name, "" if name in allowed else base.__name__, found)
        if problem:
            inherited = "" if owner is cls else f", which {cls.__name__} inherits"
            asked = f"gpuopt calls a method of this name to learn {HOOKS[name].tells}"
            raise TypeError(f"{owner.__name__}.{name}{inherited}: {asked}{problem}")
    return found


def _problem(cls: type, name: HookName, forbidden: str, found: frozenset[HookName]) -> str:
    """Why an attribute cannot be that hook, and the remedy; empty where it can."""
    hook = HOOKS[name]
    if forbidden:
        owners = " or a ".join(hook.owners)
        return f"; a {owners} may have it, a {forbidden} may not: give it another name"
    remedy = f"write {hook.signature(name)}, or give it another name"
    if not callable(getattr(cls, name)):
        return f", and this is not a method: {remedy}"
    if not _takes(cls, name, hook.arguments):
        return f", and this one takes other arguments: {remedy}"
    if hook.needs and hook.needs not in found:
        return f", but only with a method {hook.needs}: add it, or give this another name"
    return ""


def _takes(cls: type, name: str, arguments: tuple[str, ...]) -> bool:
    """Whether a method can be called with these arguments, and as many states as there are."""
    method = inspect.getattr_static(cls, name)
    if not isinstance(method, (types.FunctionType, staticmethod, classmethod)):
        return True  # code in C may have no signature
    signature = inspect.signature(method.__get__(cls, cls))
    try:
        if arguments[-1:] == ("*state",):
            signature.bind_partial(*arguments[:-1])
        else:
            signature.bind(*arguments)
    except TypeError:
        return False
    return True


def undoing(updates: Iterable[Update]) -> str | None:
    """The class of a piece that takes steps back; None if there is none."""
    formulas: list[Any] = [part.formula for update in updates for part in update.parts]
    return next((type(each).__name__ for each in formulas if has_hook(each, "undo")), None)


def device_counts(updates: Iterable[Update], capturable: bool) -> bool:
    """Whether a device counts the steps of such updates.

    It does if it decides about them (``accept``), keeps numbers of the whole optimizer, or if steps
    are to be captured in a graph.
    """
    formulas: list[Any] = [part.formula for update in updates for part in update.parts]
    accepts = any(has_hook(formula, "accept") for formula in formulas)
    keeps = any(has_hook(formula, "numbers") and formula.numbers() for formula in formulas)
    return capturable or accepts or keeps

"""Puts what a trace gave in order, as an `UpdateProgram`: `assemble`.

It cuts the array code where a reduction, or a function of whole arrays, must be known before what
follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from gpuopt.arrays.precision import MASTER
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.whole_arrays import Buffer
from gpuopt.tracing.calls import Argument, Array, Call, Held, Number, Output
from gpuopt.tracing.expr import Expr, StateKey, reachable
from gpuopt.tracing.operands import Operand, state
from gpuopt.tracing.program import Kernel, StateSpec, UpdateProgram
from gpuopt.tracing.setting import ScalarState, Setting, Traced
from gpuopt.tracing.signatures import own_states

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["assemble"]


def assemble(
    parts: tuple[Part, ...],
    setting: Setting,
    traced: Traced,
    names: dict[str, float | None],
    buffers: dict[str, Buffer],
) -> UpdateProgram:
    """Keep what is read or changed, put it in order, and cut it where a reduction or a function of
    whole arrays must be known before what follows.
    """
    stores = _stores(traced)
    active = [each.active for each in traced.buffers.values() if each.active is not None]
    ends = [*stores.values(), *traced.only_if.values(), *traced.numbers, *active]
    used, calls = _needed(ends, traced)
    given = [arg for call in calls for arg in call.args]
    inputs = [expr.value for expr in used if expr.op == "input"]
    touched = {operand.array for operand in (*inputs, *stores)}
    touched |= {arg.place for arg in given if isinstance(arg, Array)}
    always = _evaluated(parts, setting)
    states = [
        _state(name, initial, setting, traced)
        for name, initial in names.items()
        if not setting.kind(name).is_number and (state(name) in touched or name in always)
    ]
    rule = next(type(part.formula).__name__ for part in parts if not part.name)
    states += map(_scratch, filter(_is_stored, given))
    passed = _passed(traced, given)
    frame = Kernel(name=rule, complex=setting.complex, states=tuple(states), passed=passed)
    return UpdateProgram(
        name=rule,
        complex=setting.complex,
        states=frame.states,
        hyper=tuple(part.named(name) for part in parts for name in part.formula.ranges),
        stages=tuple(_stage(frame, traced, stage) for stage in _stages(used, calls, traced)),
        update=_update(frame, traced, stores, active, _scalar_states(used, traced, always)),
        shared=traced.adapted,
        refused=traced.refused,
        narrow=traced.narrow,
        decays=traced.decays,
        buffers=_used(buffers, traced, given),
    )


def _used(buffers: dict[str, Buffer], traced: Traced, given: list[Argument]) -> dict[str, Buffer]:
    """The buffers that functions see, or that change."""
    names = traced.buffers.keys() | {arg.name for arg in given if isinstance(arg, Held)}
    return {name: buffer for name, buffer in buffers.items() if name in names}


def _stores(traced: Traced) -> dict[Operand, Expr]:
    """The new values of arrays that change, component by component."""
    found: dict[Operand, Expr] = {}
    for array, value in traced.changed.items():
        found |= zip(array.components(len(value.parts) == 2), value.parts, strict=True)
    return found


def _needed(roots: list[Expr], traced: Traced) -> tuple[list[Expr], list[Call]]:
    """All values that `roots` and buffers depend on, and all calls, in order."""
    used = {*reachable(roots)}
    new = dict.fromkeys(each.output.call for each in traced.buffers.values())
    found: dict[Call, None] = {}
    while True:
        used |= {*reachable([part for call in new for part in call.needs])}
        gave = (traced.outputs.get(e.value.array) for e in used if e.op == "input")
        more = [each.call for each in gave if each is not None]
        more += [before for call in new for before in call.after]
        found |= new
        new = dict.fromkeys(call for call in more if call not in found)
        if not new:
            return sorted(used, key=_index), sorted(found, key=_index)


def _index(made: Expr | Call) -> int:
    return made.index


def _is_stored(arg: Argument) -> TypeGuard[Array]:
    """Whether an argument is an array that is not in memory."""
    return isinstance(arg, Array) and bool(arg.values)


def _passed(traced: Traced, given: list[Argument]) -> frozenset[Output]:
    """The results that calls get, or that buffers take."""
    taken = {each.output for each in traced.buffers.values()}
    return frozenset(taken.union(arg for arg in given if isinstance(arg, Output)))


def _scalar_states(
    used: list[Expr], traced: Traced, always: set[str]
) -> dict[StateKey, ScalarState]:
    """The states that are one number, and that are read, or change."""
    read = {expr.value for expr in used if expr.op == "state"}
    return {
        key: each
        for key, each in traced.scalar_states.items()
        if key in read or key.name in always or each.new.value != key
    }


def _state(name: str, initial: float | None, setting: Setting, traced: Traced) -> StateSpec:
    """A state that begins with a number, or None."""
    begins = 0.0 if name in traced.late else initial
    wide = setting.is_complex(state(name))
    stored = setting.precision.state_dtype if name in traced.short else None
    return StateSpec(name, begins, wide, stored=stored)


def _scratch(arg: Array) -> StateSpec:
    """Room for what a function gets."""
    return StateSpec(arg.place.name, 0.0, len(arg.values) == 2, scratch=True)


def _numbers(values: Iterable[Expr]) -> tuple[Expr, ...]:
    """Those that are not constants, each once."""
    return tuple(expr for expr in dict.fromkeys(values) if expr.op != "constant")


def _evaluated(parts: tuple[Part, ...], setting: Setting) -> set[str]:
    """The states that `Optimizer.evaluation` reads."""
    found = {MASTER} if setting.precision.master else set()
    for part in parts:
        if has_hook(part.formula, "evaluation"):
            found |= {part.named(name, "_") for name in own_states(part.formula)}
    return found


_Cut: TypeAlias = tuple[Expr, ...] | tuple[Call, ...]
"""What ends a stage: reductions, or calls."""


def _stages(used: list[Expr], calls: list[Call], traced: Traced) -> list[_Cut]:
    """The reductions among `used` and the calls by depth: those of array values, those that need
    their results, and so on.
    """
    by_depth: dict[tuple[int, bool], list[Any]] = {}
    depths: dict[Expr | Call, int] = {}
    everything: list[Expr | Call] = [*calls, *used]
    for made in sorted(everything, key=_index):  # the inputs of a value come before it
        before: list[Any] = [*made.needs, *made.after] if isinstance(made, Call) else [*made.args]
        if isinstance(made, Expr) and made.op == "input":
            gave = traced.outputs.get(made.value.array)
            before = [] if gave is None else [gave.call]
        cuts = isinstance(made, Call) or made.reduces
        depths[made] = max((depths[each] for each in before), default=0) + cuts
        if cuts:
            by_depth.setdefault((depths[made], isinstance(made, Call)), []).append(made)
    return [tuple(found) for _, found in sorted(by_depth.items())]


def _stage(frame: Kernel, traced: Traced, ends: _Cut) -> Kernel:
    """The array code that ends in reductions; or in what calls get."""
    calls = [each for each in ends if isinstance(each, Call)]
    if not calls:
        return _kernel(frame, traced, {}, tuple(each for each in ends if isinstance(each, Expr)))
    stores: dict[Operand, Expr] = {}
    for arg in (arg for call in calls for arg in call.args if isinstance(arg, Array)):
        stores |= zip(arg.place.components(len(arg.values) == 2), arg.values, strict=False)
    found = _kernel(frame, traced, stores, ())
    given = [arg.value for call in calls for arg in call.args if isinstance(arg, Number)]
    scalars = _numbers([*found.scalars, *given])
    return dataclasses.replace(found, calls=tuple(calls), scalars=scalars)


def _update(
    frame: Kernel,
    traced: Traced,
    stores: dict[Operand, Expr],
    active: list[Expr],
    scalar_states: dict[StateKey, ScalarState],
) -> Kernel:
    """The array code that comes last, and what else changes then."""
    found = _kernel(frame, traced, stores, (), traced.accept)
    return dataclasses.replace(
        found,
        scalar_states=scalar_states,
        buffers=traced.buffers,
        scalars=_numbers([*found.scalars, *active]),
    )


def _kernel(
    frame: Kernel,
    traced: Traced,
    stores: dict[Operand, Expr],
    reductions: tuple[Expr, ...],
    accept: Expr | None = None,
) -> Kernel:
    """The array code that ends in `stores`, or in `reductions`; what it needs of reductions comes
    in as scalars.
    """
    ends = [*stores.values(), *(expr.args[0] for expr in reductions)]
    found = {*reachable(ends, within=lambda expr: not expr.host)}
    live = sorted(found, key=lambda expr: expr.index)
    ops = tuple(expr for expr in live if expr.args and not expr.host)
    outer = dict.fromkeys(arg for op in ops for arg in op.args if arg.host)
    outer |= dict.fromkeys(expr for expr in ends if expr.host)
    stored = {operand.array for operand in stores}
    only_if = {array: asked for array, asked in traced.only_if.items() if array in stored}
    outer |= dict.fromkeys(only_if.values())
    loads = tuple(expr.value for expr in live if expr.op == "input")
    random = {operand: made for operand, made in traced.random.items() if operand in loads}
    outer |= dict.fromkeys(part for key, _ in random.values() for part in key)
    return dataclasses.replace(
        frame,
        loads=loads,
        ops=ops,
        stores=stores,
        only_if=only_if,
        reductions=reductions,
        scalars=_numbers(outer),
        random=random,
        accept=accept,
    )

"""Calls functions of whole arrays for a group of arrays, and keeps their buffers and results.

Comes in: what a step computed for a function. Goes out: results, which kernels read as other arrays
beside a parameter; and new values of buffers, which are written when the step is made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE, is_complex, state_dtype
from gpuopt.arrays.quiet import cast, quietly
from gpuopt.executors.layout import ParamView
from gpuopt.optimizer.results import check_apart, check_buffer, check_fits, name_of, results_of
from gpuopt.tracing.calls import Argument, Array, Call, Fixed, Held, Number, Output
from gpuopt.tracing.operands import GRAD, PARAM, Operand
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["Renewal", "WholeArrays"]


class WholeArrays:
    """What functions of whole arrays see and give, for each array of a group.

    Parameters
    ----------
    program : UpdateProgram
        All that the update runs.
    params : list of array
    beside : list of dict
        Arrays in place of hyperparameters.
    paths : list of str
        Where the arrays are in the tree.

    Attributes
    ----------
    buffers : list of dict
        The buffers of each array by name.
    made : list of dict
        The results that kernels read, seen with the shape of the parameter.
    states : list of dict
        The state of each array by name; the group sets it.
    """

    def __init__(
        self,
        program: UpdateProgram,
        params: Sequence[Any],
        beside: Sequence[Mapping[Operand, Any]],
        paths: Sequence[str],
    ) -> None:
        self._params, self._beside, self._paths = params, beside, paths
        self._compute, self._xp = COMPUTE[params[0].dtype.name], array_module(params[0])
        self.states: Sequence[Mapping[str, Any]] = []
        positions = range(len(params))
        self.buffers = [self._begun(program, position) for position in positions]
        self._rooms = [self._room(program, position) for position in positions]
        self._gave: list[dict[Output, Any]] = [{} for _ in params]
        self.made = [
            {place: self._xp.broadcast_to(x, p.shape) for place, x in rooms.items()}
            for p, rooms in zip(params, self._rooms, strict=True)
        ]

    def shown(self, program: UpdateProgram) -> list[dict[str, Any]]:
        """For each array its state, without scratch, and its buffers."""
        scratch = {each.name for each in program.states if each.scratch}
        every = zip(self.states, self.buffers, strict=True)
        return [{n: x for n, x in own.items() if n not in scratch} | more for own, more in every]

    def _begun(self, program: UpdateProgram, position: int) -> dict[str, Any]:
        """The buffers of an array before its first step."""
        found = {}
        for name, buffer in program.buffers.items():
            array = buffer.start(self._seen(self._params[position]))
            if not is_array(array) or is_cupy(array) != is_cupy(self._params[position]):
                raise TypeError(
                    f"{buffer!r} must return an array of {self._xp.__name__} for the state {name} "
                    f"of params{self._paths[position]}, got {type(array).__name__} {array!r}"
                )
            found[name] = array.copy()
        return found

    def _room(self, program: UpdateProgram, position: int) -> dict[Operand, Any]:
        """Room for results, in the shape that functions give when they are tried.

        They are tried with the parameter in place of every array, and 1 in place of every number.
        Where a singular matrix stops them, there is room for any result.
        """
        param, calls = self._params[position], [c for stage in program.stages for c in stage.calls]
        shapes, given = dict[Operand, tuple[int, ...]](), dict[Output, Any]()
        wide = self._seen(param) if calls else param
        states = {each.name for each in program.states if each.complex}

        def tried(arg: Argument) -> Any:
            if isinstance(arg, Array):
                own = arg.place in (PARAM, GRAD) or arg.place.name in states
                return wide if len(arg.values) == 2 or (not arg.values and own) else wide.real
            return 1.0 if isinstance(arg, Number) else self._at_hand(arg, position, given)

        for call in calls if param.size else ():
            try:
                args = [*map(tried, call.args)]
                results = quietly(_called, call, args, self._paths[position])
            except (ArithmeticError, np.linalg.LinAlgError):
                continue
            for output, value in results_of(call, results, self._paths[position]):
                given[output] = value
                shapes[output.place] = np.shape(value)
                if output.place in program.made:
                    check_fits(output, value, param.shape, self._paths[position])
        return {
            place: _room_like(self._xp, param, shapes.get(place, param.shape), dtype)
            for place, wide in program.made.items()
            for dtype in [state_dtype(self._compute, wide)]
        }

    def call(
        self,
        stage: Kernel,
        positions: Sequence[int],
        gradients: Sequence[Any],
        numbers: Callable[[int], Sequence[Any]],
    ) -> None:
        """Call the functions of a stage for the arrays at `positions`; `numbers` are its scalars.

        What kernels read is copied to where they read it.
        """
        seen = dict[Any, str]()
        for position in (each for each in positions if self._params[each].size):
            values = dict(zip(stage.scalars, numbers(position), strict=False))
            gave, rooms = self._gave[position], self._rooms[position]
            for call in stage.calls:
                args = [
                    self._seen(self._lying(arg.place, position, gradients[position]))
                    if isinstance(arg, Array)
                    else values.get(arg.value, arg.value.value)
                    if isinstance(arg, Number)
                    else self._at_hand(arg, position, gave)
                    for arg in call.args
                ]
                path = self._paths[position]
                results = quietly(_called, call, args, path)
                for output, value in results_of(call, results, path):
                    if output in stage.passed:
                        check_apart(output, value, path, args, seen)
                        gave[output] = value
                    if output.place in rooms:
                        self._fill(rooms[output.place], output, value, position)

    def _lying(self, place: Operand, position: int, g: Any) -> Any:
        """An array that a function gets, where it lies."""
        if place == PARAM:
            return self._params[position]
        if place == GRAD:
            return g
        if place.kind == "state":
            return self.states[position][place.name]
        return self._beside[position][place]

    def _seen(self, array: Any) -> Any:
        """An array as a function sees it: in the dtype computed in; NumPy's cannot be written."""
        dtype = state_dtype(self._compute, is_complex(array.dtype))
        return _guarded(array if array.dtype == dtype else cast(array, dtype))

    def _at_hand(self, arg: Argument, position: int, gave: Mapping[Output, Any]) -> Any:
        """An argument that is neither an array of the formula nor a number of the step."""
        if isinstance(arg, Output):
            return _guarded(gave[arg])
        if isinstance(arg, Held):
            return _guarded(self.buffers[position][arg.name])
        return arg.value if isinstance(arg, Fixed) else None

    def _fill(self, room: Any, output: Output, value: Any, position: int) -> None:
        """Keep a result for kernels."""
        if is_array(value) and (value.shape, value.dtype) == (room.shape, room.dtype):
            room[...] = value
            return
        path, shape = self._paths[position], np.shape(value)
        check_fits(output, value, self._params[position].shape, path)
        if shape not in (room.shape, ()) and room.shape != self._params[position].shape:
            raise ValueError(
                f"{name_of(output, path)} had the shape {room.shape} when init tried it, and has "
                f"{shape} now: give the same shape in each step"
            )
        room[...] = value

    def renewal(self, update: Kernel, positions: Sequence[int], scalars: Any = None) -> Renewal:
        """What writes the new values of buffers, checked; `scalars` of a device decide whether."""
        pairs = []
        for position in (each for each in positions if self._params[each].size):
            for name, kept in update.buffers.items():
                held, new = self.buffers[position][name], self._gave[position][kept.output]
                check_buffer(name, held, kept.output, new, self._paths[position])
                if new.base is not None:  # it may be a part of what the step alters
                    new = new.copy()
                pairs.append((held, new, *_flags(update, kept.active, scalars, position)))
            self._gave[position].clear()
        return Renewal(pairs)


class Renewal:
    """New values of buffers, to be written; see `gpuopt.executors.Launch`."""

    begun = True

    def __init__(self, pairs: Sequence[tuple[Any, ...]]) -> None:
        self._pairs = pairs

    def __call__(self) -> None:
        for held, new, *flags in self._pairs:
            if flags:
                made = functools.reduce(lambda a, b: a & b, [flag != 0 for flag in flags])
                held[...] = array_module(held).where(made, new, held)
            else:
                held[...] = new


def _flags(update: Kernel, active: Any, scalars: Any, position: int) -> Iterator[Any]:
    """The numbers of a device that must not be 0 for a buffer of an array to change."""
    if update.accept is not None and scalars is not None:
        row = scalars.of(position)
        yield row[0]
        if active is not None and active.op != "constant":
            yield row[1 + update.scalars.index(active)]


def _called(call: Call, args: list[Any], path: str) -> Any:
    """What a function gives; an error says for which array."""
    first = len(args) - len(call.keywords)
    keywords = dict(zip(call.keywords, args[first:], strict=True))
    try:
        return call.function.function(*args[:first], **keywords)
    except Exception as error:
        error.add_note(f"in {call.function.name} for params{path}")
        if "read-only" in str(error):
            error.add_note("it must not write into its arguments: begin with x = x.copy()")
        raise


def _guarded(array: Any) -> Any:
    """A read-only view; of CuPy an ordinary one, because CuPy has no read-only views."""
    if not is_array(array):
        return array
    view = array.view()
    if not is_cupy(array):
        view.flags.writeable = False
    return view


def _room_like(xp: Any, param: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Room for a result, which lies in memory as the parameter does if it has its shape."""
    if shape != param.shape:
        return xp.zeros(shape, dtype)
    view = ParamView(param)
    return xp.zeros(view.nd.shape, dtype).transpose(tuple(np.argsort(view.axes)))

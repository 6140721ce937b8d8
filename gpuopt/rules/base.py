"""What `init` binds to arrays: updates, from the parts of a rule, a chain or a partition."""

from __future__ import annotations

import copy
import dataclasses
import functools
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

from gpuopt.rules.elsewhere import NotHere
from gpuopt.rules.formula import Formula
from gpuopt.rules.hooks import HookName
from gpuopt.rules.ranges import Range
from gpuopt.rules.tuples import put

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from gpuopt.arrays.typed import ArrayTree, HyperArrays
    from gpuopt.optimizer.optimizer import Optimizer

    BindableT_co = TypeVar("BindableT_co", bound="Bindable", default=Any, covariant=True)
else:
    BindableT_co = typing.TypeVar("BindableT_co", covariant=True)


class Part(NamedTuple):
    """A formula of an update, with a prefix for its names, and the arrays that are its "tree"."""

    name: str
    scope: str
    formula: Formula

    def named(self, name: str, joint: str = ".") -> str:
        """The full name of a hyperparameter of the part, or with ``_`` for `joint` of a state."""
        return f"{self.name}{joint}{name}" if self.name else name


class Update(Protocol):
    """The update of one array: formulas, one after another. A rule is one by itself."""

    @property
    def parts(self) -> tuple[Part, ...]: ...
    @property
    def ranges(self) -> dict[str, Range]: ...
    @property
    def hyperparameters(self) -> dict[str, Any]: ...
    def hyper(self, step: int) -> dict[str, float]: ...


_NO_ARRAYS = "a rule has no arrays; write opt = rule.init(params), then opt.step(grads)"
_METHOD = typing.TypeVar("_METHOD", bound=Callable[..., Any])


def _called_on_a_rule(method: _METHOD) -> _METHOD:
    """Say what to type if `init` is called on a class, or with hyperparameters."""

    @functools.wraps(method)
    def init(*args: Any, **kwargs: Any) -> Any:
        if not args or not isinstance(args[0], Bindable):
            raise TypeError(
                "init was called on a class: call the class first, as in gpuopt.Adam().init(params)"
            )
        if strange := kwargs.keys() - init.__annotations__.keys():
            named = ", ".join(sorted(strange))
            raise TypeError(
                f"init has no option {named}: hyperparameters belong to the rule, as in "
                "gpuopt.Adam(lr=0.1).init(params)"
            )
        return method(*args, **kwargs)

    return typing.cast(_METHOD, init)


class Bindable:
    """Anything that `init` binds to arrays: a rule, a chain around one, or a partition."""

    _hooks: ClassVar[frozenset[HookName]] = frozenset()

    @property
    def structure(self) -> Any:
        """A value that is equal for two rules if one can replace the other and keep the state."""
        raise NotImplementedError

    @property
    def outline(self) -> str:
        """The names of its rules and pieces, without hyperparameters."""
        raise NotImplementedError

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every hyperparameter as it was given, by its full name."""
        raise NotImplementedError

    def replace(self, values: Mapping[str, Any] | None = None, /, **by_name: Any) -> Self:
        """A copy with other hyperparameters: ``replace(lr=0.1)``, or a dict of full names."""
        raise NotImplementedError

    @property
    def by_path(self) -> bool:
        """Whether the path of an array decides what its update is."""
        return False

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        """The key of each array's `update_for`; None for an array that is not updated."""
        return [""] * len(paths)

    def update_for(self, key: Hashable) -> Update:
        """The update of the arrays with that key."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """The rule for a notebook: formulas, hyperparameters, bytes, and generated code."""
        from gpuopt.codegen.notebook import rule_html

        return rule_html(self)

    if not TYPE_CHECKING:
        step, zero_grad = NotHere(_NO_ARRAYS), NotHere(_NO_ARRAYS)
        apply_gradients = NotHere(_NO_ARRAYS)
        state_dict, load_state_dict = NotHere(_NO_ARRAYS), NotHere(_NO_ARRAYS)
        minimize = NotHere("write gpuopt.minimize(fun, x0, rule)")
        fit = NotHere("write gpuopt.fit(loss_and_grad, params, data, rule)")

    @_called_on_a_rule
    def init(
        self,
        params: ArrayTree,
        hyper: HyperArrays | None = None,
        *,
        master: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
        state_dtype: str | None = None,
        capturable: bool = False,
        rows: str | Sequence[str] | None = None,
    ) -> Optimizer[Self]:
        """Bind the rule to `params`, which the returned `Optimizer` updates in place.

        Parameters
        ----------
        params : array, or lists, tuples and dicts of arrays, nested
            NumPy or CuPy arrays, or those of a library that shares its memory by DLPack, such as
            tensors of PyTorch: float16, bfloat16, float32, float64, complex64 or complex128.
        hyper : dict, optional
            Arrays in place of float hyperparameters, such as a learning rate or a mask for each
            element. Keys are names of hyperparameters, values are trees like `params` of real
            arrays. An array broadcasts to its parameter; None keeps the number. Every step reads
            the arrays again. Write ``"factor"`` for a piece's hyperparameter, or ``"scale.factor"``
            if several pieces have one.
        master : bool
            Keep a float32 copy of every float16 and bfloat16 array, called ``"master"`` in the
            state, where an array of another dtype has None. A step reads and updates the copy, and
            stores its rounding in the array, in the same kernel. If you assign to such an array
            between steps, assign to its copy too: the copy wins.
        stochastic_rounding : bool
            Round bfloat16 arrays up or down at random as they are stored. The nearer number is more
            likely, so that steps too small for the dtype count on average. The direction depends
            only on `seed`, on the array's count and place in the tree, and on the element's index:
            it is the same on every executor, in every layout, and in a resumed run. Not for float16
            arrays, and not together with `master`.
        seed : int
            The seed of stochastic rounding, from 0 to 2**32 - 1.
        state_dtype : str or None
            ``"bfloat16"`` keeps the state of arrays that are computed in float32 in bfloat16, half
            the bytes. It is rounded up or down at random, as `stochastic_rounding` rounds
            parameters, so that an average with a decay of 0.999 moves. Some state stays as it is:
            complex state, numbers, buffers, copies of a parameter, and averages for
            `Optimizer.evaluation`. Needs `ml_dtypes`. ``"dynamic8"`` keeps it in 8 bits, a quarter
            of the bytes, in the same way. Arrays of fewer than 4,096 elements, those updated by
            `rows`, and rules that call functions of whole arrays keep float32. `Optimizer.state`
            shows copies.
        capturable : bool
            Whether steps may be captured in a CUDA graph (`gpuopt.graph`). Then schedules must be
            those of `gpuopt.schedules`, because a GPU keeps step counts and hyperparameters, and
            evaluates the schedules. With NumPy arrays nothing else changes.
        rows : str or list of str, optional
            Arrays whose rows (along the first axis) are updated separately, by patterns of their
            paths as in `partition`; ``"*"`` for all. Each row has its own count, and
            ``opt.step({"positions": gpuopt.rows(index, grads), ...})`` updates only these rows, at
            a cost in proportion to their number. The rule of such arrays must be elementwise: no
            norms, no random numbers, no pieces that act in some steps only. Schedules follow the
            steps of the optimizer.

        Returns
        -------
        Optimizer

        Raises
        ------
        TypeError, ValueError
            If an array cannot be updated in place, a hyperparameter's values are not in its range,
            or it follows a schedule that a captured step cannot evaluate; the message names it. If
            options do not fit: `stochastic_rounding` with a float16 array or with `master`,
            `master` with a state of that name, `state_dtype` with an array that is computed in
            float64, or ``"dynamic8"`` with a large array, or one in place of its hyperparameter,
            that is not in C order.
        TraceError
            If ``update`` does something that is neither elementwise nor a reduction; the message
            names the line.
        """
        from gpuopt.optimizer.optimizer import Optimizer

        options: dict[str, Any] = {
            "master": master,
            "stochastic_rounding": stochastic_rounding,
            "seed": seed,
            "state_dtype": state_dtype,
        }
        return Optimizer(self, params, hyper, **options, capturable=capturable, rows=rows)


_EXAMPLES: dict[Any, str] = {int: "1", str: "'*'"}


def class_hint(value: Any) -> str:
    """What to type in place of the class of a rule or a piece, of a method that is not a rule, or
    of a name; nothing for any other value.
    """
    if isinstance(value, str):
        return ": pass an object in place of its name, such as gpuopt.Adam()"
    if hint := getattr(value, "not_a_rule", ""):
        return str(hint)
    if not (isinstance(value, type) and issubclass(value, (Bindable, Formula))):
        return ""
    static: dict[str, Any] = getattr(value, "_static", {})
    needed = [
        f"{field.name}={_EXAMPLES.get(static.get(field.name), '1.0')}"
        for field in (dataclasses.fields(value) if issubclass(value, Formula) else ())
        if field.default is dataclasses.MISSING
    ]
    return f": {value.__name__} is a class, so call it, {value.__name__}({', '.join(needed)})"


class BoundPart(NamedTuple):
    """A part of an update, and its formula with values in place of hyperparameters."""

    part: Part
    formula: Any


def bind(parts: Sequence[Part], values: Mapping[str, Any]) -> list[BoundPart]:
    """Put values in place of hyperparameters: symbols to trace ``update``, arrays to run it.

    Rules and pieces are frozen and stay as they are: copies are bound. `values` holds attributes of
    the copies, by their full names. ``self.rule`` of a piece is the copy of the chain's rule.
    """
    bound = [BoundPart(part, copy.copy(part.formula)) for part in parts]
    rule = next(formula for part, formula in bound if not part.name)
    for part, formula in bound:
        full_names = {name: part.named(name) for name in formula.ranges}
        own = {name: values[full] for name, full in full_names.items() if full in values}
        put(vars(formula), own)
        if part.name:
            vars(formula)["rule"] = rule
    return bound

"""The graph of a traced rule: real values, each made once, as operations on others.

`Graph` makes the values, and `Expr` is one of them. What `update` computes with are the
`gpuopt.tracing.symbols`, which record into a graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gpuopt.tracing.errors import ELEMENTWISE, TraceError, trace_error
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.ops import LOGICAL, OPS, REDUCTIONS


class ReductionKey(NamedTuple):
    """Identifies a reduction: its name, and its scope (``"array"`` or ``"tree"``).

    It is a tuple because each step looks totals up by it.

    What a formula reads of an array's shape is one, too, called as it is written there: ``size``,
    ``ndim``, ``shape[0]``. Nothing is reduced for it.
    """

    name: str
    scope: str

    @property
    def of_shape(self) -> bool:
        return "/" not in self.name

    @property
    def axis(self) -> int | None:
        """Which entry of the shape it is; None for another number of it."""
        return int(self.name[6:-1]) if self.name.startswith("shape[") else None


class StateKey(NamedTuple):
    """Identifies a state that is one number: its full name, and the tree of arrays that share it.

    The tree is None where each array has a number of its own.
    """

    name: str
    tree: str | None = None

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Expr:
    """One real value: an operation on others, an array's component, a hyperparameter, the step
    ``t``, a constant, or a number of the whole optimizer.

    A value whose arguments are all *host* values is one too, and so is a reduction of an array
    value: it is computed once a step, in float64, by scalar code.
    """

    index: int
    op: str
    args: tuple[Expr, ...] = ()
    value: Any = None
    host: bool = False
    size: int = 1
    """How many operations and leaves its formula would have, written out."""

    def __repr__(self) -> str:
        """Not the whole formula, in which what is shared would be written again and again."""
        inside = ", ".join(f"%{arg.index}" for arg in self.args) or repr(self.value)
        return f"<Expr %{self.index} = {self.op}({inside})>"

    @property
    def boolean(self) -> bool:
        """Whether it is a truth value."""
        return isinstance(self.value, bool) or (self.op in OPS and OPS[self.op].boolean)

    @property
    def reduces(self) -> bool:
        return self.op in REDUCTIONS


class Graph:
    """Makes expressions, each distinct one once. `off` names the hyperparameters that are the
    constant 0.
    """

    def __init__(self, off: frozenset[str] = frozenset()) -> None:
        self.off = off
        self.part = ("", "")
        """The scope and the name of the part that is being traced, which its reductions are called
        by.
        """
        self._made: dict[tuple[Any, ...], Expr] = {}
        self.acting: Expr | None = None
        """Where not all arrays act, whether this one does: others are in no reduction of a tree."""
        self._calls: dict[tuple[str, str], int] = {}
        self.weights: Any = None
        """What corrections of averages are computed from, the `gpuopt.tracing.weights.Weights`."""
        self.random: dict[Operand, tuple[tuple[Expr, ...], int]] = {}
        """What are random numbers among the inputs: the numbers of their key, and which stream."""
        self.errors: list[TraceError] = []
        """What is refused if states that are taken for numbers prove to be some; see `refuse`."""
        self.outputs: dict[Operand, Any] = {}
        """What functions of whole arrays gave among the inputs, `gpuopt.tracing.calls.Output`."""

    def leaf(self, op: str, value: Any) -> Expr:
        return self._intern(op, (), value, host=op != "input")

    def constant(self, value: float) -> Expr:
        """A number, or a truth value."""
        return self.leaf("constant", value if isinstance(value, bool) else float(value))

    def node(self, op: str, *args: Expr) -> Expr:
        """The value of a real operation; the few identities used here change no bit but that of a
        rounded product.
        """
        known = OPS.get(op)
        if known is None or not known.boolean:
            first = 1 if op == "where" else 0
            args = (*args[:first], *map(self.number, args[first:]))
        elif op not in LOGICAL:
            args = tuple(self.number(arg) if arg.op == "constant" else arg for arg in args)
        if op == "where" and args[0].op == "constant":
            return args[1] if args[0].value else args[2]
        host = all(arg.host for arg in args)
        if known is None or not (known.host if host else known.on_arrays):
            raise trace_error(f"np.{op} of arrays is not available in a rule; {ELEMENTWISE}")
        if host:
            if op in LOGICAL:  # Python's `and` would give an operand, not a truth value
                args = tuple(
                    arg if arg.boolean else self.node("not_equal", arg, self.constant(0))
                    for arg in args
                )
            return self._intern(op, args, None, host=True)
        if op in LOGICAL:
            args = tuple(self._array_mask(arg) for arg in args)
        if op == "where" and args[0].host:
            return (
                args[1]
                if args[1] is args[2]
                else self._intern("choose", (self.number(args[0]), *args[1:]))
            )
        if op == "multiply":
            return self._multiply(*args)
        return self._intern(op, args)

    def reduce(self, op: str, parts: tuple[Expr, ...], scope: str) -> list[Expr]:
        """The numbers that ``"sum"`` or ``"max"`` makes of an array's components, over one
        ``"array"`` or the ``"tree"``.

        They are called by the part and by how many it asked for before, so that traces for other
        dtypes call them alike.
        """
        if parts[0].host:
            self.refuse(f"{op} of a number: a reduction is of array values", *parts)
        self._calls[self.part] = call = self._calls.get(self.part, -1) + 1
        found = []
        for component, part in zip(("re", "im"), parts, strict=False):
            x = self.number(part)
            if self.acting is not None and scope == "tree":
                x = self.node("where", self.acting, x, self.constant(REDUCTIONS[op].nothing))
            total = ReductionKey("/".join((*self.part, str(call), op, component)), scope)
            found.append(self._intern(op, (x,), total, host=True))
        return found

    def refuse(self, message: str, *values: Expr) -> None:
        """Raise TraceError, for `values` are numbers; later, where a state may yet be an array."""
        error = trace_error(message)
        if not any(expr.op == "state" for expr in reachable(values)):
            raise error
        self.errors.append(error)

    def dimension(self, name: str) -> Expr:
        """A number of the array's shape, such as its ``size``, how many elements it has."""
        return self.leaf("size", ReductionKey(name, "array"))

    def uniform(self, key: tuple[Expr, ...], stream: int) -> Expr:
        """Uniform random numbers in (0, 1), as an input that the executor makes."""
        if not all(part.host for part in key):
            raise trace_error("random numbers depend on a seed and the step, not on array values")
        known = [operand for operand, made in self.random.items() if made == (key, stream)]
        operand = known[0] if known else Operand("random", str(len(self.random)))
        self.random[operand] = (key, stream)
        return self.leaf("input", operand)

    def stochastic(self, stored: str, x: Expr, u: Expr) -> Expr:
        """`x` rounded to one of the two numbers beside it that are `stored` so, by 16 bits of the
        uniform number `u`; see `gpuopt.rules.noise`.
        """
        return self._intern(f"stochastic_{stored}", (self.number(x), u))

    def _multiply(self, a: Expr, b: Expr) -> Expr:
        """A product, scalar first; scalars that meet are multiplied on the host, in float64."""
        if b.host:
            a, b = b, a
        if a.host and b.op == "multiply" and b.args[0].host:
            a, b = self.node("multiply", a, b.args[0]), b.args[1]
        return self._intern("multiply", (a, b))

    def number(self, x: Expr) -> Expr:
        """The number 1 or 0 of a truth value; any other value as it is."""
        if not x.boolean:
            return x
        if x.op == "constant":
            return self.constant(float(x.value))
        return self.node("where", x, self.constant(1), self.constant(0))

    def _array_mask(self, x: Expr) -> Expr:
        """A truth value of arrays; a host value becomes one by comparing it with 0."""
        if x.boolean and not x.host:
            return x
        return self._intern("not_equal", (self.number(x), self.constant(0)))

    def _intern(
        self, op: str, args: tuple[Expr, ...], value: Any = None, host: bool = False
    ) -> Expr:
        # A mask of arrays may be made of numbers alone, and is another value than their comparison.
        key = (op, host, value if value is None else repr(value), *(arg.index for arg in args))
        if key not in self._made:
            size = 1 + sum(arg.size for arg in args)
            self._made[key] = Expr(len(self._made), op, args, value, host, size)
        return self._made[key]


def reduction_keys(exprs: Iterable[Expr]) -> list[ReductionKey]:
    """The results of reductions, and the size, that host values depend on."""
    ends = reachable(exprs, within=lambda expr: not expr.reduces)
    return [expr.value for expr in ends if expr.reduces or expr.op == "size"]


def differs(exprs: Iterable[Expr]) -> bool:
    """Whether host values may differ from array to array, though counts are the same."""
    ends = reachable(exprs, within=lambda expr: not expr.reduces)
    return any(
        expr.value.tree is None
        if expr.op == "state"
        else (expr.reduces or expr.op == "size") and expr.value.scope == "array"
        for expr in ends
    )


def reduces(exprs: Iterable[Expr]) -> bool:
    """Whether host values depend on reductions of arrays."""
    return not all(key.of_shape for key in reduction_keys(exprs))


def reachable(
    roots: Iterable[Expr], within: Callable[[Expr], bool] = lambda _: True
) -> Iterator[Expr]:
    """The `roots` and all values that they depend on, as far as these are `within`."""
    waiting, seen = list(roots), set()
    while waiting:
        expr = waiting.pop()
        if expr not in seen:
            seen.add(expr)
            yield expr
            waiting += expr.args if within(expr) else ()

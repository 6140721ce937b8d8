"""The buffers of a traced update: what formulas pass to functions of whole arrays, and keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from numpy.lib.mixins import NDArrayOperatorsMixin

from gpuopt.rules.traced import Traced
from gpuopt.tracing.calls import Held, Output
from gpuopt.tracing.errors import TraceError, trace_error
from gpuopt.tracing.expr import Expr, Graph
from gpuopt.tracing.signatures import own_buffers, own_names
from gpuopt.tracing.symbols import Symbol, called_with

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["Buffers", "Kept"]


class Kept(NamedTuple):
    """The new value of a buffer.

    Attributes
    ----------
    output : Output
        What of a call it is.
    active : Expr or None
        The number without which it stays as it was; None where it never does.
    """

    output: Output
    active: Expr | None


class HeldSymbol(NDArrayOperatorsMixin, Traced):
    """A buffer of a rule under trace, as it was before the step."""

    __slots__ = ("_graph", "made")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self.made = graph, Held(name)

    def given_to(self, function: Any, args: list[Any], keywords: tuple[str, ...]) -> Any:
        return called_with(self._graph, function, args, keywords)

    def _no_value(self, *_: Any, **__: Any) -> NoReturn:
        raise trace_error(
            f"{self.made.name} is a buffer, which only functions of whole arrays can read: pass it "
            "to one (gpuopt.whole_array), and compute with its result"
        )

    parts: Any = property(_no_value)
    __array_ufunc__ = __array_function__ = __array__ = __bool__ = __float__ = __len__ = _no_value
    __iter__ = __getitem__ = __setitem__ = _no_value

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._no_value()


class Buffers:
    """The buffers of all parts.

    Attributes
    ----------
    kept : dict
        The new value of each that changes, by its name.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.kept: dict[str, Kept] = {}

    def among(self, part: Part, states: Sequence[Any]) -> list[Any]:
        """The arguments of ``update`` behind the gradient: states, and symbols of buffers."""
        rest, buffers = iter(states), own_buffers(part.formula)
        return [
            HeldSymbol(self._graph, part.named(name, "_")) if name in buffers else next(rest)
            for name in own_names(part.formula)
        ]

    def taken_from(
        self, part: Part, values: Sequence[Any], acts: Expr | None, closed: bool
    ) -> list[Any]:
        """Take the new values of buffers from what ``update`` gave, not behind a closed gate; the
        others.
        """
        states, buffers = [], own_buffers(part.formula)
        for own, value in zip(own_names(part.formula), values, strict=True):
            name = part.named(own, "_")
            if own not in buffers:
                states.append(value)
            elif isinstance(value, Symbol) and value.made is not None:
                self.kept |= {} if closed else {name: Kept(value.made, acts)}
            elif not isinstance(value, HeldSymbol) or value.made.name != name:
                raise TraceError(
                    f"{type(part.formula).__name__}.update must return for the buffer {own} the "
                    "unchanged result of a function of whole arrays, or the unchanged buffer; it "
                    f"returned {value!r}"
                )
        return states

"""A table of what an optimizer holds for each array, for a terminal and for a notebook."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Sequence

from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.row_groups import most
from gpuopt.optimizer.steps import Steps
from gpuopt.rules.base import Update

__all__ = ["Row", "Summary", "summarize"]


@dataclasses.dataclass(frozen=True)
class Row:
    """What an optimizer holds for one array.

    Attributes
    ----------
    path : str
        Its keys joined by slashes, as in a pattern of `partition`; ``params`` for an array alone.
    shape : tuple of int
    dtype : str
    rule : str
        The rule that updates it, with the pieces around it; ``frozen`` if no rule does.
    executor : str
    state_bytes : int
        The bytes of its state, its master copy included.
    count : int
        How often it was updated; if its rows are updated separately, the largest of their counts.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    rule: str
    executor: str
    state_bytes: int
    count: int


HEAD = ("path", "shape", "dtype", "rule", "executor", "bytes of state", "count")
_RIGHT = (False, False, False, False, False, True, True)
"""Which columns are numbers."""


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """A table of an optimizer's arrays, made by ``opt.summary()``: print it, or look at its rows.

    Attributes
    ----------
    rows : tuple of Row
        One for each array.
    elements : int
        The number of elements of all arrays.
    state_bytes : int
        The bytes of all state.
    t : int
        The number of completed steps.
    """

    rows: tuple[Row, ...]
    elements: int
    state_bytes: int
    t: int

    def _cells(self) -> Iterator[Sequence[str]]:
        """The text of the table: head, arrays, totals."""
        yield HEAD
        for row in self.rows:
            yield [str(value) for value in dataclasses.astuple(row)]
        arrays = f"{len(self.rows)} array{'s' if len(self.rows) > 1 else ''}"
        total = ("total", arrays, f"{self.elements} elements", "", "", str(self.state_bytes))
        yield *total, f"t={self.t}"

    def __str__(self) -> str:
        """The table, in aligned columns."""
        cells = list(self._cells())
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(_aligned, row, widths, _RIGHT)).rstrip() for row in cells]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        head, *rows, total = self._cells()
        body = "".join(_html_row(row, "td") for row in rows)
        return (
            f"<table><thead>{_html_row(head, 'th')}</thead><tbody>{body}</tbody>"
            f"<tfoot>{_html_row(total, 'th')}</tfoot></table>"
        )


def _aligned(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _html_row(cells: Sequence[str], kind: str) -> str:
    """A row of cells of a kind, ``td`` or ``th``."""
    found = []
    for text, right in zip(cells, _RIGHT, strict=True):
        side, safe = "right" if right else "left", html.escape(text)
        found.append(f'<{kind} style="text-align: {side}">{safe}</{kind}>')
    return f"<tr>{''.join(found)}</tr>"


def summarize(binding: Binding, steps: Steps) -> Summary:
    """The summary of arrays under their updates; counts are read, from a device if it counts."""
    spec, sizes = binding.spec, [0] * len(binding.leaves)
    for index, state in enumerate(binding.states):
        sizes[index] = sum(array.size * array.itemsize for array in state.values())
    for views in steps.scalar_states.values():
        for index, view in enumerate(views):
            sizes[index] += 0 if view is None else view.itemsize
    rules = binding.of_each("frozen", lambda g: [_rule(g.update)] * len(g.indices))
    executor = binding.executor
    counts = map(most, steps.counts)
    rows = tuple(
        Row(name or "params", tuple(leaf.shape), leaf.dtype.name, rule, executor, size, count)
        for name, leaf, rule, size, count in zip(
            spec.names, binding.leaves, rules, sizes, counts, strict=True
        )
    )
    return Summary(rows, sum(leaf.size for leaf in binding.leaves), sum(sizes), steps.t)


def _rule(update: Update) -> str:
    """The names of an update's pieces and rule, in order."""
    names = [type(part.formula).__name__ for part in update.parts]
    return names[0] if len(names) == 1 else f"chain({', '.join(names)})"

"""Patterns of Python code: found by syntax, wherever they stand and however they are laid out, and replaced by other code.

A pattern is Python. In it ``_1``, ``_2`` … stand for any expression or any one name, the same number for the same code;
``__1``, ``__2`` … for any number of arguments, elements or statements, and ``**__1`` for any number of keyword arguments.
The replacement may use them. A pattern of several statements matches such a sequence of statements.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Found", "find", "replaced", "replaced_text", "span"]

Bound = dict[str, Any]
"""What each wildcard stands for: a node, a list of nodes, or a name."""
_ONE, _MANY = re.compile(r"_\d+"), re.compile(r"__\d+")


@dataclasses.dataclass(frozen=True)
class Found:
    """A place that a pattern matches: nodes that follow one another, and what the wildcards stand for."""

    nodes: list[Any]
    bound: Bound


def find(pattern: str, within: ast.AST, statements: bool = False) -> list[Found]:
    """Each place in `within` that `pattern` matches; with `statements`, an expression matches as a statement alone."""
    wanted = ast.parse(pattern).body
    if len(wanted) == 1 and isinstance(wanted[0], ast.Expr) and not statements:
        found = ((node, _match(wanted[0].value, node, {})) for node in _expressions(within))
        return [Found([node], bound) for node, bound in found if bound is not None]
    return [place for body in _bodies(within) for place in _places(wanted, body)]


def replaced(text: str, found: Found, replacement: str) -> str:
    """`text` with `replacement` in place of what was found in it."""
    first = found.nodes[0]
    made = _filled(ast.parse(replacement).body, found.bound)
    if isinstance(first, ast.expr):
        new = ast.unparse(made[0].value)
        if not isinstance(made[0].value, (ast.Name, ast.Constant, ast.Starred, ast.Call, ast.Attribute)):
            new = f"({new})"
    else:
        lines = [line for node in made or [ast.Pass()] for line in ast.unparse(node).splitlines()]
        new = f"\n{' ' * first.col_offset}".join(lines)
    start, end = span(text, found.nodes)
    return text[:start] + new + text[end:]


def span(text: str, nodes: list[Any]) -> tuple[int, int]:
    """Where in `text` the first of the nodes begins and the last one ends."""
    first, last = nodes[0], nodes[-1]
    line = min([first.lineno, *(decorator.lineno for decorator in getattr(first, "decorator_list", ()))])
    return _offset(text, line, first.col_offset), _offset(text, last.end_lineno, last.end_col_offset)


def replaced_text(text: str, right: str, wrong: str) -> list[str]:
    """`text` with `wrong` in place of `right`, once for each place that holds it; any white space is like any other."""
    words = re.findall(r"\w+|[^\w\s]", right)
    pattern = r"\s*".join(map(re.escape, words))
    before, after = (r"\b" if re.match(r"\w", word) else "" for word in (words[0], words[-1]))
    return [text[: at.start()] + wrong + text[at.end() :] for at in re.finditer(before + pattern + after, text)]


def _offset(text: str, line: int, column: int) -> int:
    """Where in `text` a place is that a syntax tree names: by a line, and by bytes in it."""
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def _expressions(within: ast.AST) -> Iterator[ast.AST]:
    """Every expression, but for those in an f-string: before Python 3.12 it is not known where these stand."""
    for child in ast.iter_child_nodes(within):
        if isinstance(child, ast.expr):
            yield child
        if not isinstance(child, ast.JoinedStr):
            yield from _expressions(child)


def _bodies(within: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every sequence of statements."""
    for node in ast.walk(within):
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield value


def _places(wanted: list[ast.stmt], body: list[ast.stmt]) -> Iterator[Found]:
    for start in range(len(body)):
        for stop in range(start + 1, len(body) + 1):
            if (bound := _match(wanted, body[start:stop], {})) is not None:
                yield Found(list(body[start:stop]), bound)
                break


def _match(wanted: Any, node: Any, bound: Bound) -> Bound | None:
    """What the wildcards of `wanted` stand for if it matches `node`; None where it does not."""
    if isinstance(wanted, list) and isinstance(node, list):
        return _match_all(wanted, node, bound)
    if (name := _wildcard(wanted, _ONE)) and isinstance(node, (ast.expr, str)):
        return _bind(name, node, bound)
    if isinstance(wanted, ast.Assign) and isinstance(node, ast.AnnAssign) and len(wanted.targets) == 1:
        return _match_all([wanted.targets[0], wanted.value], [node.target, node.value], bound)
    if type(wanted) is not type(node):
        return None
    if isinstance(wanted, ast.AST):
        fields = [field for field in wanted._fields if field not in {"ctx", "kind", "type_comment"}]
        return _match_all([getattr(wanted, f, None) for f in fields], [getattr(node, f, None) for f in fields], bound)
    return bound if wanted == node else None


def _match_all(wanted: list[Any], nodes: list[Any], bound: Bound) -> Bound | None:
    if not wanted:
        return None if nodes else bound
    first, *others = wanted
    if name := _wildcard(first, _MANY):
        for count in range(len(nodes) + 1):
            before = _bind(name, nodes[:count], bound)
            if before is not None and (after := _match_all(others, nodes[count:], before)) is not None:
                return after
        return None
    before = _match(first, nodes[0], bound) if nodes else None
    return None if before is None else _match_all(others, nodes[1:], before)


def _wildcard(wanted: Any, kind: re.Pattern[str]) -> str:
    """The name of a wildcard of that kind, if it is one."""
    if isinstance(wanted, (ast.Expr, ast.keyword)) and kind is _MANY:
        named = isinstance(wanted, ast.Expr) or wanted.arg is None
        wanted = wanted.value if named else None
    name = wanted.id if isinstance(wanted, ast.Name) else wanted
    return name if isinstance(name, str) and kind.fullmatch(name) else ""


def _bind(name: str, value: Any, bound: Bound) -> Bound | None:
    if name not in bound:
        return {**bound, name: value}
    return bound if _match(bound[name], value, {}) is not None else None


class _Filler(ast.NodeTransformer):
    """Puts what wildcards stand for in their place."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def visit(self, node: ast.AST) -> Any:
        if name := _wildcard(node, _MANY):
            return self._bound[name]
        if isinstance(node, ast.Name) and isinstance(self._bound.get(node.id), ast.AST):
            return self._bound[node.id]
        for field, value in ast.iter_fields(node):
            if isinstance(value, str) and isinstance(self._bound.get(value), (str, ast.Name)):
                named = self._bound[value]
                setattr(node, field, named if isinstance(named, str) else named.id)
        return self.generic_visit(node)


def _filled(statements: list[ast.stmt], bound: Bound) -> list[Any]:
    module = _Filler(copy.deepcopy(bound)).visit(ast.Module(statements, []))
    return list(ast.fix_missing_locations(module).body)

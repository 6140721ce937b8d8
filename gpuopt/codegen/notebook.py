"""A rule in a notebook: its formula, its hyperparameters, its bytes, and generated code."""

from __future__ import annotations

import html
import inspect
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuopt.codegen.source import kernels
from gpuopt.rules.base import Bindable, Update
from gpuopt.rules.composite import without_arrays
from gpuopt.rules.partitions import Partition, is_partitioned
from gpuopt.rules.written import shown
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.trace import trace
from gpuopt.tracing.traffic import bytes_an_element

__all__ = ["rule_html"]

_LEFT = 'style="text-align: left"'


def rule_html(rule: Bindable) -> str:
    """A rule, a chain or a partition as HTML."""
    parts = [f"<p><code>{html.escape(repr(rule))}</code></p>"]
    if isinstance(rule, Partition):
        for key, each in rule.rules.items():
            parts += [f"<p><b>{html.escape(repr(key))}</b></p>", rule_html(each)]
        return "".join(parts)
    if is_partitioned(rule):
        return "".join([*parts, _table(rule.hyperparameters)])
    update = rule.update_for("")
    return "".join([*parts, _formulas(update), _table(rule.hyperparameters), *_made(rule, update)])


def _formulas(update: Update) -> str:
    """The source of each formula, as it was written."""
    found = []
    for part in update.parts:
        kind = type(part.formula)
        try:
            source = textwrap.dedent(inspect.getsource(kind.update)).rstrip()
        except (OSError, TypeError):  # of text that was executed, no source is kept
            continue
        found.append(f"# {kind.__name__}\n{source}" if len(update.parts) > 1 else source)
    return _pre("\n\n".join(found)) if found else ""


def _table(hyperparameters: dict[str, Any]) -> str:
    cells = [(html.escape(name), html.escape(shown(x))) for name, x in hyperparameters.items()]
    rows = "".join(
        f"<tr><td {_LEFT}>{name}</td><td {_LEFT}>{value}</td></tr>" for name, value in cells
    )
    head = f"<tr><th {_LEFT}>hyperparameter</th><th {_LEFT}>value</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""


def _made(rule: Bindable, update: Update) -> Iterable[str]:
    """What a step moves, the traced program, and the CUDA text; or why it cannot be traced."""
    plain, written = without_arrays(update)
    try:
        program = trace(plain, arrays=frozenset(written))
        cuda = "\n".join(each.python() for each in kernels(rule, np.dtype("float32")))
    except TraceError as error:
        yield f"<p><b>TraceError</b></p>{_pre(str(error))}"
        return
    total, reduced = bytes_an_element(program)
    yield f"<p>{total} bytes an element a step in float32"
    yield f", {reduced} of them read by reductions</p>" if reduced else "</p>"
    for title, text in (("traced program", str(program)), ("CUDA kernels", cuda)):
        yield f"<details><summary>{title}</summary>{_pre(text)}</details>"


def _pre(text: str) -> str:
    return "<pre>" + html.escape(text) + "</pre>"

"""A rule in a notebook: what was written, what was given and what is made of it, and no text that is read as HTML."""

from __future__ import annotations

import inspect
import textwrap
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.source import kernels
from gpuopt.rules import rules, whole_array_rules
from gpuopt.tracing.trace import trace

TAGS = {"p", "b", "code", "pre", "table", "thead", "tbody", "tr", "td", "th", "details", "summary"}


class Page(HTMLParser):
    """The texts of a page by their innermost tag; fails where tags are unknown, or not closed in order."""

    def __init__(self, rule: Any) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {tag: [] for tag in TAGS}
        self.open: list[str] = []
        self.feed(rule._repr_html_())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        self.open.append(tag)
        self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[self.open[-1]][-1] += data


class Shrink(go.Rule):
    lr: go.NonNegative = 0.1
    kind: str = "<i>"

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * np.where(g < 0, g, 0.0)  # & "no" more


@pytest.mark.parametrize("name", [*rules(), *whole_array_rules()])
def test_each_rule_shows_its_source_its_hyperparameters_and_its_code(name: str) -> None:
    cls = (rules() | whole_array_rules())[name]
    rule = cls()
    page = Page(rule)
    assert page.texts["code"] == [repr(rule)]
    source, program, cuda = page.texts["pre"]
    assert source == textwrap.dedent(inspect.getsource(cls.update)).rstrip()
    assert program == str(trace(rule))
    assert cuda == "\n".join(each.python() for each in kernels(rule, np.dtype("float32")))
    cells = page.texts["td"]
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {name: repr(x) for name, x in rule.hyperparameters.items()}


def test_bytes_are_those_of_the_table() -> None:
    assert "28 bytes an element a step in float32" in Page(go.Adam()).texts["p"]
    chain = go.chain(go.clip_global_norm(1.0), go.SGD())
    assert "16 bytes an element a step in float32, 4 of them read by reductions" in Page(chain).texts["p"]


def test_a_chain_shows_each_formula_and_a_partition_each_rule() -> None:
    source = Page(go.chain(go.clip(1.0), go.SGD(0.5))).texts["pre"][0]
    assert source.index("# clip\n") < source.index("# GradientDescent\n")
    divided = go.partition({"<b>": go.SGD(0.5), "*": go.Adam()})
    page = Page(divided)
    assert page.texts["b"] == ["'<b>'", "'*'"]
    assert page.texts["code"] == [repr(divided), repr(go.SGD(0.5)), repr(go.Adam())]
    around = go.chain(go.freeze("a"), divided)
    assert Page(around).texts["td"][::2] == list(around.hyperparameters)


def test_what_is_written_is_no_html() -> None:
    page = Page(Shrink())
    assert page.texts["code"] == ["Shrink(lr=0.1, kind='<i>')"]
    assert 'np.where(g < 0, g, 0.0)  # & "no" more' in page.texts["pre"][0]
    within = go.chain(go.SGD(), go.bounds(np.zeros(3), 1.0))
    assert "<float64 array of shape (3,)>" in Page(within).texts["td"]
    assert Page(trace(Shrink())).texts["pre"] == [str(trace(Shrink()))]


def test_what_cannot_be_shown_fails_no_cell() -> None:
    class Branching(go.Rule):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p if g < 0 else p - g

    page = Page(Branching())
    assert "TraceError" in page.texts["b"]
    assert "np.where" in page.texts["pre"][1]
    names: dict[str, Any] = {"go": go}
    exec("class Executed(go.Rule):\n    def update(self, t, p, g):\n        return p - g", names)
    page = Page(names["Executed"]())
    assert page.texts["summary"] == ["traced program", "CUDA kernels"]
    assert len(page.texts["pre"]) == 2

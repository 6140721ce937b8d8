"""The table of an optimizer's arrays: whole, aligned, the same in a notebook, and read from the device only when asked for."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np

import gpuopt as go
from tests.support.optimizers import Pair

RULE = go.chain(
    go.freeze("fixed"),
    go.partition({"layers": go.chain(go.clip_norm(1.0), go.Adam(0.1, beta1=go.schedules.WarmUp(0.9, 4))), "*": go.SGD(0.1)}),
    go.average(),
)


def arrays(xp: Any) -> dict[str, Any]:
    layers = [Pair(xp.ones((2, 3), "f4"), xp.ones(3)), (xp.ones(()),)]
    return {"layers": layers, "<b>&": xp.ones(2, "f2"), "fixed": xp.ones(5)}


def test_rows(executor: str, xp: Any) -> None:
    """Bytes are those of the arrays in `opt.state`, with the copy of the float16 array, and the sums of weights."""
    p = arrays(xp)
    opt = RULE.init(p, master=True)
    grads = {**arrays(xp), "fixed": None, "layers": [Pair(xp.ones((2, 3), "f4"), None), (xp.ones(()),)]}
    for _ in range(3):
        opt.step(grads)
    found = opt.summary()
    adam = "chain(freeze, clip_norm, Adam, average)"
    sgd = "chain(freeze, GradientDescent, average)"
    assert [(row.path, row.shape, row.dtype, row.rule) for row in found.rows] == [
        ("layers/0/w", (2, 3), "float32", adam),
        ("layers/0/b", (3,), "float64", adam),
        ("layers/1/0", (), "float64", adam),
        ("<b>&", (2,), "float16", sgd),
        ("fixed", (5,), "float64", "frozen"),
    ]
    assert [row.count for row in found.rows] == [3, 0, 3, 3, 0]
    assert {row.executor for row in found.rows} == {opt.executor}
    assert [row.state_bytes for row in found.rows] == [6 * 4 * 3 + 8, 3 * 8 * 3 + 8, 8 * 3 + 8, 2 * 4 * 2, 0]
    assert (found.elements, found.state_bytes, found.t) == (17, sum(row.state_bytes for row in found.rows), 3)


def test_the_table_is_aligned_and_ends_with_totals() -> None:
    opt = RULE.init(arrays(np))
    lines = str(opt.summary()).splitlines()
    assert lines[0].split() == ["path", "shape", "dtype", "rule", "executor", "bytes", "of", "state", "count"]
    assert lines[-1].split() == ["total", "5", "arrays", "17", "elements", *lines[-1].split()[5:]]
    assert lines[-1].split()[-1] == "t=0"
    body = [lines[0], *lines[2:-2]]
    for name in ("shape", "dtype", "rule", "executor"):
        at = lines[0].index(name)
        assert all(line[at - 1] == " " and line[at] != " " for line in body)
    assert len({len(line) for line in body}) == 1
    assert repr(opt.summary()) == str(opt.summary())


def test_the_same_in_a_notebook() -> None:
    opt = RULE.init(arrays(np))
    page, text = opt._repr_html_(), str(opt.summary())
    assert opt.summary()._repr_html_() in page
    assert html.escape(repr(opt)) in page
    cells = [html.unescape(cell) for cell in re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", page)]
    assert "<b>&" in cells
    assert "<b>" not in page
    assert [cell for cell in cells if cell not in text] == []
    assert len(cells) == 7 * 7


def test_an_array_alone_and_many() -> None:
    assert go.SGD().init(np.ones(3)).summary().rows[0].path == "params"
    many = go.Adam().init([np.ones(1000) for _ in range(300)]).summary()
    assert (len(many.rows), many.state_bytes) == (300, 300 * 1000 * 8 * 2)
    assert len(str(many).splitlines()) == 304

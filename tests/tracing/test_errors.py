"""An error names the line of the rule, wherever the rule lies and whatever its module is called."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gpuopt as go

TEXT = """
import numpy as np
import gpuopt as go

def helper(x):
    return np.cumsum(x)  # here

class Own(go.Rule):
    lr: go.NonNegative = 0.1

    def update(self, t, p, g):
        return p - self.lr * helper(g)

class Through(go.Rule):
    lr: go.NonNegative = 0.1

    def update(self, t, p, g):
        return p - go.tree_sum(self.lr)  # there

class Asks(go.GradientPiece):
    def accept(self, t, p, g):
        return "yes"

    def update(self, t, p, g):
        return g
"""
FILES = [
    "numpy_rules.py", "gpuopt_rules/core.py", "codegen.py", "gpuopt/tracing/errors.py", "numpy/core.py", "rules/base.py",
    "expr.py",
]  # fmt: skip


def module_at(path: Path) -> ModuleType:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(importlib.sys.modules, path.stem, found)  # type: ignore[attr-defined]
        spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("file", FILES)
def test_the_line_is_that_of_the_rule(file: str, tmp_path: Path) -> None:
    made = module_at(tmp_path / file)
    for rule, line in (
        (made.Own(), "return np.cumsum(x)  # here"),
        (made.Through(), "return p - go.tree_sum(self.lr)  # there"),
    ):
        with pytest.raises(go.TraceError) as caught:
            rule.init(np.ones(2))
        message = str(caught.value).splitlines()
        assert f"{tmp_path / file}, line " in message[1]
        assert message[2].strip() == line


def test_a_line_of_a_piece_of_gpuopt_is_named_like_any_other() -> None:
    class Odd(go.clip):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return super().update(t, p, [1.0, 2.0])

    with pytest.raises(go.TraceError, match=r"gradient_pieces\.py, line \d+, in update:\n +return clipped\("):
        go.chain(Odd(1.0), go.SGD()).init(np.ones(2))


def test_what_a_hook_returned_has_no_line(tmp_path: Path) -> None:
    asks = module_at(tmp_path / "asking.py").Asks()
    with pytest.raises(go.TraceError, match=r"^Asks\.accept must return one truth value.*; it returned 'yes'$"):
        go.chain(asks, go.SGD()).init(np.ones(2))

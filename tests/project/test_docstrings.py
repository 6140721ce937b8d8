"""The examples in docstrings of public names give what they show."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import gpuopt as go

WANTED = {
    "gpuopt": "numpy",
    "schedules": "numpy",
    "problems": "numpy",
    "plot": "matplotlib",
    "sklearn": "sklearn",
    "distributed": "mpi4py",
}
"""Modules of public names, and what their examples need. Those of `gpuopt.torch` are shown only."""


def documented(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The public names of a module that have docstrings, and the methods of classes, inherited ones too."""
    for name in module.__all__:
        item = getattr(module, name)
        if inspect.isroutine(item):
            yield name, item
        elif inspect.isclass(item):
            yield name, item
            own = [part for base in item.__mro__ if base.__module__.startswith("gpuopt") for part in vars(base).items()]
            yield from (
                (f"{name}.{part}", value) for part, value in own if inspect.isroutine(value) and not part.startswith("_")
            )


def examples() -> dict[str, doctest.DocTest]:
    """The examples of docstrings by their names, where what they need is installed; each once."""
    finder, found, seen = doctest.DocTestFinder(recurse=False), {}, set()
    for part, needed in WANTED.items():
        if importlib.util.find_spec(needed):
            for name, item in documented(go if part == "gpuopt" else getattr(go, part)):
                for test in finder.find(item, f"{part}.{name}", module=False, globs={"np": np}):
                    if test.examples and test.docstring not in seen:
                        seen.add(test.docstring)
                        found[test.name] = test
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.filterwarnings("ignore:Animation was deleted without rendering")  # it is shown, and not saved
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert not doctest.DocTestRunner().run(EXAMPLES[name]).failed
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 70
    assert {"gpuopt.Adamax", "gpuopt.l1", "gpuopt.Optimizer.direction", "problems.Reddi"} <= EXAMPLES.keys()

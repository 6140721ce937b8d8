"""CuPy's executor with a launch for each array, as arrays with gaps have it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from gpuopt.executors import using


@contextlib.contextmanager
def one_by_one() -> Iterator[Any]:
    """Let it run the arrays of every optimizer that is made meanwhile."""
    base: Any = import_module("gpuopt.executors.cuda.launch").CupyExecutor

    class OneByOneExecutor(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._planner._tables, self._planner._only = {}, None

    with using(OneByOneExecutor) as executor:
        yield executor

"""A minimization as it goes on: a descent, looked at until there is a reason to stop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from gpuopt.training.arguments import asks_to_stop, of_result
from gpuopt.training.descent import Descent
from gpuopt.training.result import OptimizeResult, ended
from gpuopt.training.stopping import Stopping

__all__ = ["Search"]


class Search:
    """A search for the smallest value."""

    def __init__(self, descent: Descent, stopping: Stopping, callback: Any) -> None:
        self._descent, self._stopping = descent, stopping
        self._ask: Callable[[Any], Any] | None = callback and of_result(callback)
        self._nit, self._optimality = 0, float("nan")

    def checks(self) -> Iterator[int]:
        """The status at each check, until it is a reason to stop; an interrupt gets the result so
        far.
        """
        stopping, descent = self._stopping, self._descent
        try:
            descent.begin()
            for self._nit in itertools.count():
                status = -1
                if self._nit == stopping.maxiter or self._nit % stopping.check_every == 0:
                    value, self._optimality = descent.look()
                    status = stopping.status(self._nit, value, self._optimality)
                    if self._ask is not None and self._is_stopped(self._ask):
                        status = 99
                    yield status
                if status >= 0:
                    return
                if not descent.step():
                    yield 4
                    return
        except KeyboardInterrupt as interrupt:
            if descent.best is not None:
                interrupt.result = self.ended(98)  # type: ignore[attr-defined]
                interrupt.add_note("minimize: the best x so far is in sys.last_value.result.x")
            raise

    def now(self) -> OptimizeResult:
        """The result as it would be at the last check, of that point."""
        return ended(self._descent.point(), -1, self._nit, self._descent.calls)

    def ended(self, status: int) -> OptimizeResult:
        """The result at the best point."""
        assert self._descent.best is not None
        return ended(self._descent.best, status, self._nit, self._descent.calls)

    def states(self) -> Iterator[OptimizeResult]:
        """What `iterate` gives: the result now at each check, and in the end that of `minimize`."""
        for status in self.checks():
            found = self.now() if status < 0 else self.ended(status)
            found.update(optimality=self._optimality, **self._descent.about)
            yield found

    def _is_stopped(self, ask: Callable[[Any], Any]) -> bool:
        try:
            return asks_to_stop(ask(self.now()))
        except StopIteration:
            return True

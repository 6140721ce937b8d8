"""The course of a minimization: a descent, checked until there is a reason to stop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from gpuopt.training.arguments import asks_to_stop, of_result
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.descent import Descent
from gpuopt.training.result import OptimizeResult, ended
from gpuopt.training.stopping import Stopping

__all__ = ["Search"]


class Search:
    """A search for the smallest value."""

    def __init__(
        self,
        descent: Descent,
        stopping: Stopping,
        callback: Any,
        checkpoint: Checkpointer | None = None,
    ) -> None:
        self._descent, self._stopping, self._checkpoint = descent, stopping, checkpoint
        self._ask: Callable[[Any], Any] | None = callback and of_result(callback)
        self._nit, self._optimality = 0, float("nan")

    def checks(self) -> Iterator[int]:
        """The status at each check, until there is a reason to stop.

        An interrupt gets the result so far.
        """
        stopping, descent = self._stopping, self._descent
        try:
            looked_at = self._resumed()
            if looked_at is None:
                descent.begin()
            for self._nit in itertools.count(looked_at or 0):
                over = self._nit >= stopping.maxiter
                if over or self._nit != looked_at:
                    status = -1
                    if over or self._nit % stopping.check_every == 0:
                        value, self._optimality = descent.look()
                        status = stopping.status(self._nit, value, self._optimality)
                        if self._ask is not None and self._is_stopped(self._ask):
                            status = 99
                        yield status
                    if status >= 0:
                        return
                    self._save()
                if not descent.step():
                    yield 4
                    return
        except KeyboardInterrupt as interrupt:
            if descent.best is not None:
                interrupt.result = self.ended(98)  # type: ignore[attr-defined]
                interrupt.add_note("minimize: the best x so far is in sys.last_value.result.x")
            raise

    def now(self) -> OptimizeResult:
        """The result for the point of the last check."""
        return ended(self._descent.point(), -1, self._nit, self._descent.calls)

    def ended(self, status: int) -> OptimizeResult:
        """The result at the best point."""
        assert self._descent.best is not None
        return ended(self._descent.best, status, self._nit, self._descent.calls)

    def states(self) -> Iterator[OptimizeResult]:
        """The results of `iterate`: one for each check, and at the end that of `minimize`."""
        for status in self.checks():
            found = self.now() if status < 0 else self.ended(status)
            found.update(optimality=self._optimality, **self._descent.about)
            yield found

    def _save(self) -> None:
        """Save a checkpoint, from which the search continues after this check."""
        checkpoint = self._checkpoint
        if checkpoint is not None and self._nit and self._nit % checkpoint.every == 0:
            search = {"nit": self._nit, "memory": self._stopping.memory}
            checkpoint.write({"search": search, "descent": self._descent.kept()})

    def _resumed(self) -> int | None:
        """Continue from the newest checkpoint; the number of its iterations, None without one."""
        if self._checkpoint is None or (found := self._checkpoint.newest()) is None:
            return None
        path, kept = str(found[0]), found[1]
        if not isinstance(kept, dict) or "search" not in kept:
            raise ValueError(
                f"minimize did not write {path}: give checkpoint= a folder for this run only"
            )
        self._descent.go_on(kept["descent"], path)
        self._stopping.memory = kept["search"]["memory"]
        return int(kept["search"]["nit"])

    def _is_stopped(self, ask: Callable[[Any], Any]) -> bool:
        try:
            return asks_to_stop(ask(self.now()))
        except StopIteration:
            return True

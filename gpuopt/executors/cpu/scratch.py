"""Scratch memory of the CPU executors: flat arrays that each thread reuses from tile to tile."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from gpuopt.executors.layout import lines

__all__ = ["Scratch"]


class Scratch:
    """Flat arrays by thread, name and size; each is made when it is first asked for.

    Parameters
    ----------
    threads : int
        The threads that may ask.
    largest : int
        The most elements that are ever asked for.

    Attributes
    ----------
    shared : bool
        Whether several threads work by now. Then what one of them needs is made for all, as any may
        need it next.
    """

    def __init__(self, threads: int, largest: int) -> None:
        self.shared, self._largest = False, largest
        self._of_thread: list[dict[Any, Any]] = [{} for _ in range(threads)]
        self._ramp = np.empty(0, np.uint64)

    def array(self, thread: int, name: Hashable, size: int, dtype: np.dtype[Any]) -> Any:
        """A flat array of a thread's own.

        Two threads may both make it. Whichever is kept is used by one of them alone, so no lock is
        needed.
        """
        found = self._of_thread[thread].get((name, size))
        if found is None:
            for arrays in self._of_thread if self.shared else self._of_thread[:1]:
                whole = arrays.get(name)
                if whole is None:
                    whole = arrays[name] = lines(self._largest, dtype)
                arrays[name, size] = whole[:size]
            found = self._of_thread[thread][name, size]
        return found

    def make_ramp(self) -> None:
        """Make room for `ramp`."""
        if not self._ramp.size:
            self._ramp = np.arange(self._largest, dtype=np.uint64)

    def ramp(self, size: int) -> Any:
        """The numbers 0, 1, 2 …, which all threads read."""
        return self._ramp[:size]

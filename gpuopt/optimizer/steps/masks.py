"""Which arrays of an optimizer take part in a step, on the device.

Comes in: the arrays that run each program. Goes out: arrays of truth values, that kernels of
scalars read.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cuda.launch import CupyExecutor
from gpuopt.executors.cuda.uploads import UploadCache
from gpuopt.tracing.expr import ReductionKey
from gpuopt.tracing.program import UpdateProgram

__all__ = ["MaskUploads", "Masks"]

_MASKS = 8
"""How many masks are kept beside those of a step."""


class MaskUploads:
    """Masks that were sent, for reuse.

    Parameters
    ----------
    executor : CupyExecutor
        One of the arrays' executors.
    size : int
        How many arrays the optimizer has.
    capturable : bool
        Whether steps may be captured in a CUDA graph.
    """

    def __init__(self, executor: CupyExecutor, size: int, capturable: bool) -> None:
        self._device, self._runtime = executor.device, executor.runtime
        self._size, self._capturable = size, capturable
        self._uploads = UploadCache(self._runtime, size, np.uint8, 0)

    def make_room(self, count: int) -> None:
        """Make room for steps with so many masks."""
        self._uploads.make_room(count + _MASKS)

    def captured(self) -> bool:
        """Whether what is launched now is captured in a CUDA graph."""
        if not self._capturable:
            return False
        with self._device:
            return self._runtime.capturing()

    def of(self, indices: Collection[int]) -> Any:
        """Which arrays of the optimizer are meant."""
        found = self._uploads.keep if self.captured() else self._uploads.of
        return found([index in indices for index in range(self._size)])


class Masks:
    """The masks of a step, each sent at its first use.

    Parameters
    ----------
    uploads : MaskUploads
    steps : sequence of tuple
        The indices of arrays that run a program, and the program.
    """

    def __init__(
        self, uploads: MaskUploads, steps: Sequence[tuple[Sequence[int], UpdateProgram]] = ()
    ) -> None:
        self._uploads, self._steps = uploads, steps
        self._found: dict[ReductionKey | UpdateProgram, Any] = {}

    @functools.cached_property
    def active(self) -> Any:
        """All arrays that take part."""
        return self._uploads.of({index for indices, _ in self._steps for index in indices})

    def of(self, what: ReductionKey | UpdateProgram) -> Any:
        """Those that a total is of, or that run a program; all if there are none."""
        if what not in self._found:
            ran = [i for i, program in self._steps if what is program or what in program.totals]
            every = {index for indices in ran for index in indices}
            self._found[what] = self._uploads.of(every) if every else self.active
        return self._found[what]

    def send(self) -> None:
        """Ask for all of them."""
        for _, program in self._steps:
            self.of(program)
            for total in program.totals:
                self.of(total)

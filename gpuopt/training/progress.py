"""The progress bar of a training, which shows the epoch and the loss without waiting for a GPU."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_cupy, optional_import

__all__ = ["Progress", "progress_bar"]

_EVERY = 0.1  # seconds between two losses that are shown


class Progress:
    """A progress bar of tqdm, in a notebook or a terminal."""

    def __init__(self, bar: Any, epochs: int) -> None:
        self._bar, self._epochs = bar, epochs
        self._next = 0.0
        self._waiting: tuple[Any, Any] | None = None

    def update(self, epoch: int, loss: Any) -> None:
        """Count an update of that epoch, and sometimes show its loss, or the last that arrived."""
        self._bar.update()
        if (now := time.perf_counter()) < self._next:
            return
        self._next = now + _EVERY
        self._bar.set_description(f"epoch {epoch}/{self._epochs}", refresh=False)
        if not is_cupy(loss):
            self._show(loss)
        elif self._waiting is None:
            self._waiting = _on_its_way(loss)
        elif self._waiting[0].done:
            self._show(self._waiting[1])
            self._waiting = _on_its_way(loss)

    def _show(self, loss: Any) -> None:
        self._bar.set_postfix_str(f"loss={float(loss):.4g}", refresh=False)


def _on_its_way(loss: Any) -> tuple[Any, Any]:
    """An event, and the memory on the host that holds the loss when the event is done."""
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(loss.nbytes)
    host = np.frombuffer(memory, loss.dtype, 1).reshape(())
    loss.get(out=host, blocking=False)
    event = cupy.cuda.Event(disable_timing=True)
    event.record()
    return event, host


@contextlib.contextmanager
def progress_bar(progress: bool, epochs: int, made: int, updates: int) -> Any:
    """A bar for `updates`, of which `made` are done; None if `progress` is False."""
    if not progress:
        yield None
        return
    tqdm = optional_import("tqdm.auto", "progress=True").tqdm
    with tqdm(initial=made, total=updates, unit="update") as bar:
        yield Progress(bar, epochs)

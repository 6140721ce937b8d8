"""The course of a training: its updates, and the work after each epoch."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gpuopt.arrays import check
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.training.arguments import asks_to_stop
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.checkpoints.resuming import save_run
from gpuopt.training.data import batches
from gpuopt.training.history import History
from gpuopt.training.progress import Progress, progress_bar
from gpuopt.training.validation import Validation

__all__ = ["Training"]

_CHECK_EVERY = 64
"""An epoch ends with reading the device's losses if this many updates are unchecked."""


@dataclasses.dataclass
class Training:
    """A training on batches of `size` examples of `data`.

    `forward` returns the loss and the gradients of a batch.
    """

    forward: Callable[..., Any]
    optimizer: Optimizer
    history: History
    data: tuple[Any, ...]
    size: int
    epochs: int
    rng: np.random.Generator | None
    xp: Any
    validation: Validation
    callback: Callable[[History], object] | None
    checkpoint: Checkpointer | None

    @property
    def updates(self) -> int:
        """How many updates an epoch has."""
        return math.ceil(int(self.data[0].shape[0]) / self.size)

    def run(self, progress: bool) -> History:
        """Make the epochs that are left, with a bar if `progress`."""
        history, updates, epochs = self.history, self.updates, self.epochs
        start = time.perf_counter() - history.seconds
        with progress_bar(progress, epochs, history.epochs * updates, epochs * updates) as bar:
            for _ in range(history.epochs, epochs):
                self._epoch(bar)
                if self._is_over(start):
                    break
        return history

    def _epoch(self, bar: Progress | None) -> None:
        """One update for each batch."""
        optimizer, history = self.optimizer, self.history
        for batch, loss, grads in self._examined(batches(self.data, self.size, self.rng, self.xp)):
            optimizer.step(grads, loss)
            history.steps += 1
            history.examples += len(batch[0])
            if bar is not None:
                bar.update(history.epochs + 1, loss)
        history.epochs += 1

    def _examined(self, found: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, Any, Any]]:
        """Each batch with its loss and gradients; other processes are told of an error."""
        forward, add, xp = self.forward, self.history._add, self.xp
        try:
            for batch in found:
                loss, grads = check.loss_and_grads(forward(*batch))
                add(loss, xp)
                yield batch, loss, grads
        except Exception as error:
            self.optimizer._processes.fail(error)
            raise

    def _is_over(self, start: float) -> bool:
        """Check the losses, measure, and ask whether a process wants to stop; if not, save."""
        history, checkpoint = self.history, self.checkpoint
        self.validation.measure(history, self.optimizer, self._look)
        if any(self.optimizer._processes.each("fit", lambda: self._asks_to_stop(start))):
            return True
        if checkpoint is not None and checkpoint.due(history.epochs, self.epochs):
            save_run(checkpoint, self.optimizer, history, self.rng)
        return False

    def _look(self) -> None:
        """Look at losses on a GPU, if it is time to."""
        history, several = self.history, self.optimizer._processes.size > 1
        if several or history._unchecked >= _CHECK_EVERY or history.epochs == self.epochs:
            history._check()

    def _asks_to_stop(self, start: float) -> bool:
        """Whether this process wants to stop; the losses are looked at before that, or a file."""
        history, checkpoint = self.history, self.checkpoint
        self._look()
        history.seconds = time.perf_counter() - start
        asked = self.callback is not None and asks_to_stop(self.callback(history))
        asked = asked or self.validation.stops(history)
        if asked or (checkpoint is not None and checkpoint.due(history.epochs, self.epochs)):
            history._check()
        return asked

"""The course of a training: its updates, and the work after each epoch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gpuopt.arrays import check
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.training.arguments import asks_to_stop
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.checkpoints.resuming import save_run
from gpuopt.training.history import History
from gpuopt.training.progress import Progress
from gpuopt.training.validation import Validation

__all__ = ["Training"]

_CHECK_EVERY = 64
"""An epoch ends with reading the device's losses if this many updates are unchecked."""


@dataclasses.dataclass
class Training:
    """A training; `forward` returns the loss and the gradients of a batch."""

    forward: Callable[..., Any]
    optimizer: Optimizer
    history: History
    epochs: int
    rng: np.random.Generator | None
    xp: Any
    validation: Validation
    callback: Callable[[History], object] | None
    checkpoint: Checkpointer | None

    def epoch(self, batches: Iterable[tuple[Any, ...]], bar: Progress | None) -> None:
        """One update for each batch."""
        forward, optimizer, history, xp = self.forward, self.optimizer, self.history, self.xp
        for batch in batches:
            loss, grads = check.loss_and_grads(forward(*batch))
            history._add(loss, xp)
            optimizer.step(grads, loss)
            history.steps += 1
            history.examples += len(batch[0])
            if bar is not None:
                bar.update(history.epochs + 1, loss)
        history.epochs += 1

    def is_over(self, start: float) -> bool:
        """Check the losses, measure, and ask whether to stop; if not, save."""
        history, checkpoint = self.history, self.checkpoint
        if history._unchecked >= _CHECK_EVERY or history.epochs == self.epochs:
            history._check()
        self.validation.measure(history, self.optimizer)
        history.seconds = time.perf_counter() - start
        asked = self.callback is not None and asks_to_stop(self.callback(history))
        if asked or self.validation.stops(history):
            history._check()
            return True
        if checkpoint is not None and checkpoint.due(history.epochs, self.epochs):
            history._check()
            save_run(checkpoint, self.optimizer, history, self.rng)
        return False

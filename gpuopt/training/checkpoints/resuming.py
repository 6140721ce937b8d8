"""Saves and continues a run of `fit`: the optimizer, the record, and the order of examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.training.checkpoints.checkpoint import applied, contents, of_process
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.history import History

__all__ = ["resume", "save_run"]


def save_run(
    checkpoint: Checkpointer, opt: Optimizer, history: History, rng: np.random.Generator | None
) -> None:
    """Save a run, with its record and the generator of its order."""
    order = None if rng is None else rng.bit_generator.state
    checkpoint.write(contents(opt, history, None, order=order), opt._processes)


def resume(
    checkpoint: Checkpointer,
    opt: Optimizer,
    history: History,
    rng: np.random.Generator | None,
    an_epoch: tuple[int, int],
) -> None:
    """Continue from the newest checkpoint, if there is one, with the order that follows.

    `an_epoch` is the number of examples and of updates in an epoch.
    """
    found = checkpoint.newest(opt._processes)
    if found is None:
        return
    path, kept = str(found[0]), of_process(found[1], opt)
    opt._processes.together("fit", lambda: _check_run(path, kept, rng, an_epoch))
    applied(kept, opt, history, path)
    if rng is not None:
        rng.bit_generator.state = kept["order"]


def _check_run(
    path: str, kept: Any, rng: np.random.Generator | None, an_epoch: tuple[int, int]
) -> None:
    """Raise ValueError if the checkpoint is not from a run like this one."""
    if not isinstance(kept, dict) or "order" not in kept:
        raise ValueError(f"fit did not write {path}: give checkpoint= a folder for this run only")
    was, now = _kind(kept["order"]), _kind(None if rng is None else rng.bit_generator.state)
    if was != now:
        raise ValueError(
            f"{path} is from a run whose order comes from {was}, and this one's comes from {now}: "
            "give fit the same seed=, shuffle= and batch_size="
        )
    record = kept["history"]
    each = tuple(record[name] / max(record["epochs"], 1) for name in ("examples", "steps"))
    if record["epochs"] and each != an_epoch:
        raise ValueError(
            f"{path} is from a run with {each[0]:g} examples and {each[1]:g} updates an epoch, and "
            f"this one has {an_epoch[0]} and {an_epoch[1]}: give fit the same data and batch_size="
        )


def _kind(order: Any) -> str:
    """What draws the order of examples."""
    return "the data" if order is None else str(order["bit_generator"])

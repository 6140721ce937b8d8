"""The checkpoints of one run, in one folder."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

from gpuopt.arrays.options import whole
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.optimizer.processes import ALONE, Processes
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.checkpoints.checkpoint import (
    applied,
    check_optimizer,
    contents,
    read,
    write,
)
from gpuopt.training.checkpoints.error import CheckpointError
from gpuopt.training.checkpoints.replacing import sweep
from gpuopt.training.history import History

__all__ = ["Checkpointer", "check_checkpointer"]

_EXAMPLE = "gpuopt.Checkpointer('folder-of-this-run')"
_NAME = r"checkpoint-(\d{6,})\.npz"


class Checkpointer:
    """Keeps the newest checkpoints of a run, so that a killed run continues bit for bit.

    Pass it to `fit` or `minimize` as ``checkpoint=``. They continue from the newest checkpoint in
    the folder, if there is one, and save new ones. In your own loop, call `load` once before the
    loop and `save` within it. All of several processes do so; the folder is that of the first.

    Parameters
    ----------
    folder : str or path
        A folder for this run only, because a run continues from the checkpoints that it finds. The
        first checkpoint creates it.
    every : int
        The number of epochs of `fit`, or iterations of `minimize`, between two checkpoints.
    keep : int or None
        How many of the newest checkpoints are kept; None keeps all.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import gpuopt as go, numpy as np, tempfile
    >>> opt, run = go.Adam().init(np.ones(3)), go.Checkpointer(tempfile.mkdtemp(), keep=2)
    >>> run.load(opt)  # nothing yet
    >>> for epoch in range(opt.t, 5):
    ...     opt.step(opt.params)
    ...     run.save(opt, extra={"epoch": epoch})
    >>> run.load(opt), [path.name for path in run.paths]
    ({'epoch': 4}, ['checkpoint-000004.npz', 'checkpoint-000005.npz'])
    """

    @by_known_names(_EXAMPLE)
    def __init__(
        self, folder: str | os.PathLike[str], every: int = 1, keep: int | None = 3
    ) -> None:
        try:
            self.folder = Path(folder)
        except TypeError:
            raise TypeError(f"folder must be a path, got {folder!r}") from None
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{str(self.folder)!r} is a file: give a folder for this run")
        self.every = whole("every", every, 1, floats=True)
        self.keep = None if keep is None else whole("keep", keep, 1, floats=True)

    @property
    def paths(self) -> list[Path]:
        """The checkpoints in the folder, the newest last."""
        return [path for _, path in sorted(self._numbered())]

    def save(self, opt: Optimizer, *, history: History | None = None, extra: Any = None) -> None:
        """Save a checkpoint, and delete the oldest ones beyond `keep`.

        Parameters
        ----------
        opt, history, extra
            As for `gpuopt.save`.
        """
        self.write(contents(opt, history, extra), opt._processes)

    def load(self, opt: Optimizer, *, history: History | None = None) -> Any:
        """Continue from the newest checkpoint; if there is none, return None and change nothing.

        If the newest one is damaged, this warns and takes the one before it.

        Parameters
        ----------
        opt, history
            As for `gpuopt.load`.

        Returns
        -------
        object
            The saved `extra`.

        Raises
        ------
        CheckpointError
            If all checkpoints are damaged.
        TypeError, ValueError
            If the checkpoint is from another rule, or does not fit the arrays.
        """
        check_optimizer(opt)
        found = self.newest(opt._processes)
        return None if found is None else applied(found[1], opt, history, str(found[0]))

    def _numbered(self) -> list[tuple[int, Path]]:
        """The checkpoints with their numbers."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        named = [(re.fullmatch(_NAME, path.name), path) for path in found]
        return [(int(own[1]), path) for own, path in named if own]

    def due(self, done: int, all_of_them: int) -> bool:
        """Whether a run saves after `done` of its epochs or iterations."""
        return done % self.every == 0 or done == all_of_them

    def write(self, tree: Any, processes: Processes = ALONE) -> None:
        """Save a tree of plain values and arrays, and delete the oldest files beyond `keep`.

        The first of several processes does so.
        """
        processes.together("save", lambda: None if processes.rank else self._write(tree))

    def _write(self, tree: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder, _NAME)
        number = max((number for number, _ in self._numbered()), default=0) + 1
        write(self.folder / f"checkpoint-{number:06}.npz", tree)
        for path in self.paths[: -self.keep] if self.keep else ():
            path.unlink(missing_ok=True)

    def newest(self, processes: Processes = ALONE) -> tuple[Path, Any] | None:
        """The newest checkpoint that is complete, and its content; the first process chooses it."""
        found: tuple[Path, Any] | None = None

        def choose() -> Path | None:
            nonlocal found
            found = self._newest() if processes.rank == 0 else None
            return None if found is None else found[0]

        path = processes.each("load", choose)[0]
        if path is None:
            return None
        return processes.together("load", lambda: found or (path, read(path)))

    def _newest(self) -> tuple[Path, Any] | None:
        error = None
        for path in reversed(self.paths):
            try:
                return path, read(path)
            except CheckpointError as damage:
                error = damage
                warnings.warn(f"{damage}; trying the one before it", stacklevel=7)
        if error is not None:
            raise error
        return None


def check_checkpointer(checkpoint: Any) -> None:
    """Raise TypeError for anything but a Checkpointer or None."""
    if not isinstance(checkpoint, Checkpointer | None):
        raise TypeError(f"checkpoint must be a Checkpointer, got {checkpoint!r}: write {_EXAMPLE}")

"""The error for files that are not checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["CheckpointError", "naming"]


class CheckpointError(Exception):
    """A file is not a checkpoint, is damaged, or is of a later version of gpuopt.

    Nothing has changed when it is raised.
    """


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file at `path` in any error that its damage causes."""
    try:
        yield
    except (CheckpointError, ImportError, MemoryError) as error:
        error.add_note(f"gpuopt.load: {os.fspath(path)}, and nothing has changed")
        raise
    except Exception as error:
        raise CheckpointError(
            f"{os.fspath(path)} is not a checkpoint, or it is damaged ({error}): load an older one"
        ) from error

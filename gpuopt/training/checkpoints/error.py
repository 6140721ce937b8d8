"""The error for files that are no checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["CheckpointError", "naming"]


class CheckpointError(Exception):
    """A file is no checkpoint, or a damaged one, or one of a later version of gpuopt.

    Nothing has changed where it is raised.
    """


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file at `path` in the error for whatever its damage makes of those who read it."""
    try:
        yield
    except (CheckpointError, ImportError, MemoryError) as error:
        error.add_note(f"gpuopt.load: {os.fspath(path)}, and nothing has changed")
        raise
    except Exception as error:
        raise CheckpointError(
            f"{os.fspath(path)} is no checkpoint, or it is damaged ({error}): load an older one"
        ) from error

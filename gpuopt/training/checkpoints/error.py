"""The error for files that are no checkpoints."""

from __future__ import annotations

import os

__all__ = ["CheckpointError", "damaged"]


class CheckpointError(Exception):
    """A file is no checkpoint, or a damaged one, or one of a later version of gpuopt.

    Nothing has changed where it is raised.
    """


def damaged(path: str | os.PathLike[str], error: object) -> CheckpointError:
    """The error for a file that is damaged."""
    return CheckpointError(
        f"{os.fspath(path)} is no checkpoint, or it is damaged ({error}): load an older one"
    )

"""A file that replaces another when it is complete and on the disk, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform != "win32":  # there a file that is open cannot be deleted
    import fcntl

__all__ = ["replacing", "sweep"]

_LONG = 200


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A new file to write to, which replaces `path` when the block ends without an error.

    Until then it is next to `path`, and locked, so that `sweep` knows that it is in use. It gets
    the permissions of the file at `path`, if there is one.

    Raises
    ------
    OSError
        If it cannot be written, for example on a full disk. The file at `path` is unchanged then.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(target.parent)!r} for {target.name!r}: create it first, "
            f"os.makedirs({str(target.parent)!r})"
        )
    if target.is_dir():
        raise IsADirectoryError(f"{str(target)!r} is a folder: name a file in it")
    sweep(target.parent, re.escape(_short(target.name)))
    beside, file = _beside(target)
    try:
        with file:
            with contextlib.suppress(OSError):
                beside.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()
            beside.replace(target)
        _sync_folder(target.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def sweep(folder: Path, pattern: str) -> None:
    """Delete from a folder what killed writers of files that match `pattern` have left."""
    for found in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(rf"\.{pattern}\.[0-9a-f]{{16}}\.tmp", found.name):
            with contextlib.suppress(OSError), found.open("rb") as file:
                if _locked(file):
                    if sys.platform == "win32":
                        file.close()
                    found.unlink(missing_ok=True)


def _beside(target: Path) -> tuple[Path, IO[bytes]]:
    """A new file next to `target`, open and locked."""
    while True:
        path = target.with_name(f".{_short(target.name)}.{os.urandom(8).hex()}.tmp")
        file = path.open("xb")
        if _locked(file) is not False and path.exists():
            return path, file
        file.close()  # it was swept before it was locked


def _short(name: str) -> str:
    """A name with room for more letters, because file systems allow 255 bytes."""
    return name if len(os.fsencode(name)) <= _LONG else name[: _LONG // 4]


def _locked(file: IO[bytes]) -> bool | None:
    """Lock a file until it is closed; False if another process holds it, None if unknown."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _sync_folder(folder: Path) -> None:
    """Flush the name of a new file to the disk, too."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

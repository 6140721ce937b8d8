"""What compilers made of a text, kept by content in a folder that outlives a run: each distinct text is compiled once.

``GPUOPT_TEST_CACHE`` names the folder; else it lies under the system's temporary one. Several processes may make the
same file at once: each writes its own and renames it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

DAYS = 30


def key(*parts: str | bytes) -> str:
    """A name that changes with each of the parts."""
    content = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        content.update(b"%d:" % len(encoded) + encoded)
    return content.hexdigest()


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """The file of that name, which `make` writes if it is not there yet."""
    path = folder() / name
    if path.exists():
        os.utime(path)
        return path
    partial = path.with_name(f"{os.getpid()}.{name}")
    try:
        make(partial)
        partial.replace(path)  # atomic: another process may have made the same
    finally:
        partial.unlink(missing_ok=True)
    return path


@functools.cache
def folder() -> Path:
    """This user's folder, which nobody else can write to: what lies in it is run."""
    asked = os.environ.get("GPUOPT_TEST_CACHE")
    found = Path(asked) if asked else Path(tempfile.gettempdir()) / f"gpuopt-tests-{_user()}"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name != "nt" and found.stat().st_uid != _user():
        raise RuntimeError(f"{found} belongs to another user; remove it")
    return found


def forget(days: float = DAYS) -> None:
    """Remove what was not used for so many days."""
    for path in folder().iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > days * 86_400:
            path.unlink(missing_ok=True)


def _user() -> int:
    return os.getuid() if os.name != "nt" else 0

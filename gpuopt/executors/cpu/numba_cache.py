"""Machine code of generated loops, kept for other processes in a private folder.

To load an entry is to run it. So it is loaded only if it is this user's own, nobody else may write
to it, and it is what was written: it begins with a digest. The cache is only ever a gain: whatever
is wrong with the folder, an entry or the disk, the loop is compiled. Nothing of others is changed,
nor the permissions of anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["MachineCode", "cache_folder"]

_READ = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no link, no waiting for a pipe
    _READ |= getattr(os, _name, 0)


class MachineCode:
    """What Numba asks for the machine code of a function, and gives it to.

    Parameters
    ----------
    name : str
        The name of the function, which no other text has.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def cache_path(self) -> str:
        """The folder, for the statistics of a function."""
        return str(cache_folder())

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The function compiled for a signature; None if that must be done."""
        from numba.core import compiler

        result: Any = compiler.CompileResult
        try:
            target.refresh()
            content = read(self._key(signature, target.codegen()))
            return content and result._rebuild(target, *pickle.loads(content))
        except Exception:  # any: what one version of Numba wrote is another's to read
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled for a signature."""
        from numba.core import serialize

        dumps: Any = serialize.dumps
        if not compiled.library.has_dynamic_globals:  # addresses of this process
            with contextlib.suppress(Exception):
                write(self._key(signature, compiled.codegen), dumps(compiled._reduce()))

    def flush(self) -> None:
        """Forget nothing: an entry is replaced when its function is compiled again."""

    def _key(self, signature: Any, codegen: Any) -> bytes:
        """All that decides what is compiled."""
        import numba

        made_by = numba.__version__, sys.version, codegen.magic_tuple()
        return repr((self._name, str(signature), made_by)).encode()


def cache_folder() -> Path | None:
    """The folder of machine code, or None if there is none that is this user's alone.

    It is ``gpuopt`` in ``GPUOPT_CACHE_DIR``, in ``NUMBA_CACHE_DIR``, or in the user's cache folder.
    """
    try:
        folder = _asked_folder() / "gpuopt"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_own(folder.lstat(), stat.S_ISDIR) else None
    except (OSError, RuntimeError):  # there may be no home folder at all
        return None


def _asked_folder() -> Path:
    user = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    for name in ("GPUOPT_CACHE_DIR", "NUMBA_CACHE_DIR", user):
        if (value := os.environ.get(name)) and (name != user or Path(value).is_absolute()):
            return Path(value)
    folder = Path.home() / ".cache"
    if not folder.is_absolute():
        raise RuntimeError("no home folder")
    return folder


def _is_own(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    """Whether a file of that kind belongs to this user, and nobody else may write to it."""
    if not kind(status.st_mode):
        return False
    if os.name == "nt":  # where the folder's owner decides that
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _path(key: bytes) -> Path | None:
    folder = cache_folder()
    return folder and folder / f"{hashlib.sha256(key).hexdigest()[:40]}.code"


def read(key: bytes) -> bytes | None:
    """The content of an entry; None if there is none that is whole and this user's own."""
    if (path := _path(key)) is None or not path.exists():
        return None
    with os.fdopen(os.open(path, _READ), "rb") as file:
        if not _is_own(os.fstat(file.fileno()), stat.S_ISREG):
            return None
        digest, content = file.read(32), file.read()
    return content if digest == _digest(key, content) else None


def write(key: bytes, content: bytes) -> None:
    """Make an entry, or replace it if it is this user's own; it appears whole or not at all."""
    if (path := _path(key)) is None:
        return
    if os.path.lexists(path) and not _is_own(path.lstat(), stat.S_ISREG):
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(_digest(key, content) + content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def _digest(key: bytes, content: bytes) -> bytes:
    return hashlib.sha256(key + content).digest()

"""The private cache folder of generated loops, beside which Numba keeps their machine code.

A loop's text is written there under a name made from its content. The next process need not compile
it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

__all__ = ["cache_folder", "loaded"]


def cache_folder() -> Path:
    """The folder of generated loops: this user's alone, since loading them runs them.

    It is ``gpuopt`` in ``GPUOPT_CACHE_DIR``, or in the user's cache folder; a temporary one if that
    cannot be.
    """
    try:
        folder = _asked_folder() / "gpuopt"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name != "nt":
            status = folder.stat()
            if status.st_uid != os.getuid():
                raise PermissionError(f"{folder} belongs to another user")
            if status.st_mode & 0o077:
                folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # there may be no home folder at all
        return _temporary_folder()


def _asked_folder() -> Path:
    names = ("GPUOPT_CACHE_DIR", "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    found = [value for name in names if (value := os.environ.get(name))]
    return Path(found[0]) if found else Path.home() / ".cache"


@functools.cache
def _temporary_folder() -> Path:
    import atexit
    import shutil

    folder = Path(tempfile.mkdtemp(prefix="gpuopt-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.lru_cache(maxsize=512)
def loaded(source: str) -> ModuleType:
    """Import the text as a module from the cache folder; its file appears there whole or not."""
    name = f"gpuopt_loop_{hashlib.sha256(source.encode()).hexdigest()[:32]}"
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            file.write(source)
        Path(file.name).replace(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba finds the function of cached machine code by its module
    spec.loader.exec_module(module)
    return module

"""Compile a kernel's text for the CPU: g++, CuPy's own headers, and ``shim`` for what CUDA C++ has and C++ has not.

A library is kept, so that a text is compiled once (0.15 s).
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata, util
from pathlib import Path

from .kept import kept, key

_SHIM = Path(__file__).with_name("shim")
# Every operation rounds by itself (no contraction), as NumPy's do. CuPy's headers warn, and reinterpret types.
# They run for moments and are compiled by the hundred, so that the compiler's time is what counts.
_FLAGS = ["-std=c++17", "-O1", "-fPIC", "-w"]
_FLAGS += ["-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing"]


class HostCompileError(RuntimeError):
    """The text does not compile as C++; the message is the compiler's."""


@cache
def available() -> str | None:
    """Return why kernels cannot run on this CPU, or None if they can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "kernels run on the CPU on Linux and x86-64 alone"
    if shutil.which("g++") is None:
        return "g++ not found"
    return None if util.find_spec("cupy") else "cupy is not installed; its headers are needed"


def compile_library(source: str, *more: str) -> Path:
    """Return the shared library of this source: compiled once for each source, shim, compiler, CuPy, and `more` flags."""
    source, headers = _dynamic(_without_assembly(source)), _cupy_headers()

    def make(library: Path) -> None:
        # Linked with nothing, which spares a third of the time: all that it needs is in the process that loads it.
        command = ["g++", "-x", "c++", "-shared", "-nostdlib", *_FLAGS, *more, f"-I{_SHIM}", f"-I{headers}"]
        command += ["-include", str(_common(headers, more)), "-", "-o", str(library)]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HostCompileError(done.stderr)

    return kept(f"{_key(source, headers, *more)}.so", make)


@cache
def _common(headers: Path, more: tuple[str, ...]) -> Path:
    """Return the header that every text needs first, compiled once beside it, which spares half of a compiler's time."""
    included = ["device.hpp", *(f"cupy/{name}" for name in ("complex.cuh", "carray.cuh", "atomics.cuh", "math_constants.h"))]
    text = "".join(f"#include <{name}>\n" for name in included)
    name = f"{_key(text, headers, *more)}.hpp"
    header = kept(name, lambda path: path.write_text(text))

    def make(compiled: Path) -> None:
        command = ["g++", "-x", "c++-header", *_FLAGS, *more, f"-I{_SHIM}", f"-I{headers}"]
        command += [str(header), "-o", str(compiled)]
        subprocess.run(command, capture_output=True, text=True, check=True)

    kept(f"{name}.gch", make)
    return header


def _without_assembly(text: str) -> str:
    """Drop inline assembly without outputs, such as a prefetch: it changes no value. Raise where there is an output."""
    statement = re.compile(r'\basm\s+volatile\s*\(((?:"(?:\\.|[^"\\])*"|[^";])*)\)\s*;')
    for match in statement.finditer(text):
        if re.search(r'"[=+]', match[1]):
            raise HostCompileError(f"inline assembly with an output cannot run on the CPU: {match[0]}")
    return statement.sub("((void)0);", text)


def _dynamic(text: str) -> str:
    """Let shared memory whose size the launch says be where the launch puts it."""
    declared = r"extern\s+__shared__\s+([\w ]+?)\s*(\w+)\s*\[\s*\]\s*;"
    return re.sub(declared, r"\1* \2 = static_cast<\1*>(emulated_dynamic_shared);", text)


def _cupy_headers() -> Path:
    """Return the folder of CuPy's headers, without importing CuPy."""
    spec = util.find_spec("cupy")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("cupy is not installed; its headers are needed")
    return Path(spec.submodule_search_locations[0]) / "_core" / "include"


def _key(source: str, headers: Path, *more: str) -> str:
    """Return a name that changes with whatever the library depends on."""
    return key(source, str(headers), *more, *_surroundings())


def compile_by_itself(sources: Sequence[Path], *flags: str) -> Path:
    """Return the shared library of C++ that is no kernel's text, compiled once."""

    def make(library: Path) -> None:
        command = ["g++", "-shared", "-std=c++17", "-fPIC", "-w", *flags, "-pthread", *map(str, sources), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HostCompileError(done.stderr)

    around = {path for source in sources for path in source.parent.glob("*.hpp")}
    texts = [path.read_text() for path in (*sources, *sorted(around))]
    return kept(f"{key(*texts, *flags, _compiler())}.so", make)


@cache
def _surroundings() -> tuple[str, ...]:
    """Return all that is the same for every text: the shim, CuPy, and the compiler with its options."""
    shim = [path.read_text() for path in sorted(_SHIM.rglob("*")) if path.is_file()]
    versions = [f"{item.name} {item.version}" for item in metadata.distributions() if item.name.startswith("cupy")]
    return (*shim, *versions, *_FLAGS, _compiler())


def _compiler() -> str:
    """Return the version of g++."""
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout

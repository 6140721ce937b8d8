"""From a `Trace` to one loop over flat arrays, compiled by Numba.

The loop's text is written to a private cache folder under a name made from its content, so that Numba can keep the machine
code beside it and the next process need not compile. No fast-math: the operations, their order and their rounding are those
of the other executors.
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
from typing import Any

import numpy as np

from gpuopt.arrays.random import FIRST, GOLDEN, SECOND
from gpuopt.executors.tile_code import TileCode, changes, constants, places
from gpuopt.expr import INFIX, Expr, text
from gpuopt.trace import Trace

__all__ = ["cache_folder", "fill_code", "fold_code", "loop_code", "pack_code"]

_HEADER = '''"""A loop that gpuopt generated for one rule. It is made again when it is missing."""

import math

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def elements(context, address, like):
    """The pointer to elements like those of an array."""
    pointer = types.CPointer(like.dtype)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, like), generate


'''
_ROUNDING = """import numpy as np


@numba.njit
def stochastic_bfloat16(a, u):
    bits = np.float32(a).view(np.uint32) + np.uint32(np.int32(u * np.float32(65536)))
    return np.uint32(bits & np.uint32(0xFFFF0000)).view(np.float32) if a == a else a


"""
_LOOP = """@numba.njit(nogil=True, error_model="numpy", cache=True)
def loop({arguments}k):
{scalars}
    for i in range({size}):
{body}


@numba.njit(nogil=True, error_model="numpy", cache=True)
def pack({packed}k, addresses, ends):
    start = 0
    for j in range(addresses.size):
        p = numba.carray(elements(addresses[j], k), ends[j] - start)
        loop({sliced}k)
        start = ends[j]
"""
_FOLD = """@numba.njit(nogil=True, error_model="numpy", cache=True)
def chunk({arguments}k, {rows}):
{scalars}
    whole = {size} // 256
    for lane in range(min({size}, 256)):
        i = lane
{body}
{first}
    for row in range(1, whole):
        for lane in range(256):
            i = row * 256 + lane
{inner}
{again}
    if whole:
        for lane in range({size} - whole * 256):
            i = whole * 256 + lane
{inner}
{again}


@numba.njit(nogil=True, error_model="numpy", cache=True)
def fold({arguments}k, {rows}):
    for n in range(r0.shape[0]):
        start, stop = n * 16384, min((n + 1) * 16384, {size})
        chunk({sliced}k, {row})
"""
_FILL = """@numba.njit(nogil=True, cache=True)
def fill(run, start, index):
    scale, half = run.dtype.type({scale}), run.dtype.type({half})
    for i in range(run.size):
        z = start + (index[i] + types.uint64(1)) * types.uint64({golden})
        z = (z ^ (z >> types.uint64(30))) * types.uint64({first})
        z = (z ^ (z >> types.uint64(27))) * types.uint64({second})
        z = z ^ (z >> types.uint64(31))
        run[i] = run.dtype.type(types.{whole}(z >> types.uint64({cut}))) * scale + half
"""
_INFIX = INFIX | {"logical_and": "&", "logical_or": "|"}
# NaN propagates, and of two zeros the second is taken, as by NumPy's ufuncs.
_FORMS = {
    "negative": "-{0}",
    "logical_not": "not {0}",
    "absolute": "abs({0})",
    "maximum": "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    "minimum": "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    "sign": "one if {0} > zero else (-one if {0} < zero else (zero if {0} == zero else {0}))",
    "where": "{1} if {0} else {2}",
    "choose": "{1} if {0} != zero else {2}",
    "stochastic_bfloat16": "stochastic_bfloat16({0}, {1})",
}


@functools.lru_cache(maxsize=512)
def loop_code(trace: Trace, compute: np.dtype[Any]) -> TileCode:
    """Generate and compile the loop that runs `trace` on flat arrays of dtype `compute`."""
    source = _source(trace)
    module = _module(source)
    import numba

    real = numba.from_dtype(compute)
    flat = numba.types.Array(real, 1, "C")
    module.loop.compile((flat,) * (len(places(trace)) + 1))
    return TileCode(module.loop, places(trace), 0, 0, constants(trace), source)


@functools.lru_cache(maxsize=512)
def fold_code(phase: Trace, compute: np.dtype[Any]) -> Any:
    """Compile the function that folds a tile, in the order of `gpuopt.executors.fold`: of what is read, scalars, and rows."""
    import numba

    function = _module(_fold_source(phase)).fold
    real = numba.from_dtype(compute)
    flat, rows = (numba.types.Array(real, ndim, "C") for ndim in (1, 2))
    function.compile((*[flat] * len(phase.loads), flat, *[rows] * len(phase.reductions)))
    return function


@functools.lru_cache(maxsize=2)
def fill_code(dtype: np.dtype[Any]) -> Any:
    """The function that does what `gpuopt.arrays.random.fill` does: of a run of that dtype, where to begin, and indices."""
    import numba

    digits = np.finfo(dtype).nmant
    parts = {"golden": GOLDEN, "first": FIRST, "second": SECOND, "cut": 64 - digits, "whole": f"int{8 * dtype.itemsize}"}
    function = _module(_HEADER + _FILL.format(**parts, scale=2.0**-digits, half=2.0 ** -(digits + 1))).fill
    flat, whole = (numba.types.Array(kind, 1, "C") for kind in (numba.from_dtype(dtype), numba.types.uint64))
    function.compile((flat, numba.types.uint64, whole))
    return function


def pack_code(code: TileCode, compute: np.dtype[Any]) -> Any:
    """The function that runs the loop of `code` on many parameters, given the table of their addresses and ends."""
    import numba

    function = _module(code.source).pack
    flat, table = (numba.types.Array(kind, 1, "C") for kind in (numba.from_dtype(compute), numba.types.int64))
    function.compile((*[flat] * sum(place.component != "p" for place in code.places), flat, table, table))
    return function


def _source(trace: Trace) -> str:
    arrays = {place.component: f"a{number}" for number, place in enumerate(places(trace))}
    names, scalars, body = _statements(trace, arrays)
    body += [f"{arrays[component]}[i] = {names[expr]}" for component, expr in changes(trace).items()]
    parts = {
        "arguments": "".join(f"{name}, " for name in arrays.values()),
        "size": next((f"{name}.size" for name in arrays.values()), "0"),
        "scalars": "\n".join(scalars),
        "body": "\n".join(f"        {line}" for line in body or ["pass"]),
        "packed": "".join(f"{name}, " for component, name in arrays.items() if component != "p"),
        "sliced": "".join("p, " if component == "p" else f"{name}[start : ends[j]], " for component, name in arrays.items()),
    }
    return _header(trace) + _LOOP.format(**parts)


def _fold_source(phase: Trace) -> str:
    arrays = {component: f"a{number}" for number, component in enumerate(phase.loads)}
    names, scalars, body = _statements(phase, arrays)
    rows = [f"r{number}" for number in range(len(phase.reductions))]
    values = [names[reduction.args[0]] for reduction in phase.reductions]
    sums = [
        f"{row}[lane] = " + (f"{row}[lane] + {value}" if r.op == "sum" else _FORMS["maximum"].format(f"{row}[lane]", value))
        for row, value, r in zip(rows, values, phase.reductions, strict=True)
    ]
    first = [f"{row}[lane] = {value}" for row, value in zip(rows, values, strict=True)]
    parts = {
        "arguments": "".join(f"{name}, " for name in arrays.values()),
        "rows": ", ".join(rows),
        "row": ", ".join(f"{row}[n]" for row in rows),
        "size": "a0.size",
        "scalars": "\n".join(scalars),
        "body": _indented(body, 8),
        "inner": _indented(body, 12),
        "first": _indented(first, 8),
        "again": _indented(sums, 12),
        "sliced": "".join(f"{name}[start:stop], " for name in arrays.values()),
    }
    return _header(phase) + _FOLD.format(**parts)


def _header(trace: Trace) -> str:
    return _HEADER + (_ROUNDING if any(op.op == "stochastic_bfloat16" for op in trace.ops) else "")


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


def _statements(trace: Trace, arrays: dict[str, str]) -> tuple[dict[Expr, str], list[str], list[str]]:
    """Names of all values; and the lines that give the scalars, and those that load element i and compute with it."""
    names: dict[Expr, str] = {}
    scalars = ["    zero, one = k.dtype.type(0), k.dtype.type(1)"]
    for number, expr in enumerate([*trace.scalars, *constants(trace)]):
        names[expr] = f"k{number}"
        scalars.append(f"    k{number} = k[{number}]  # {text(expr)}")
    old = {component: f"o{number}" for number, component in enumerate(arrays)}
    names |= {leaf: old[leaf.value] for leaf in _inputs(trace)}
    body = [f"{old[component]} = {arrays[component]}[i]" for component in trace.loads]
    for op in trace.ops:
        args = [names[arg] for arg in op.args]
        names[op] = f"x{op.index}"
        form = _FORMS.get(op.op, f"math.{op.op}({{0}})")
        body.append(f"{names[op]} = " + (f" {_INFIX[op.op]} ".join(args) if op.op in _INFIX else form.format(*args)))
    return names, scalars, body


def _inputs(trace: Trace) -> set[Expr]:
    """The components that are read, as expressions."""
    used = [arg for op in trace.ops for arg in op.args] + list(changes(trace).values())
    return {expr for expr in used if expr.op == "input"}


def cache_folder() -> Path:
    """Where generated loops and their machine code are kept: this user's alone, since loading it runs it.

    The folder ``gpuopt`` in ``GPUOPT_CACHE_DIR``, or in the user's cache folder; a temporary one where that cannot be.
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
def _module(source: str) -> ModuleType:
    """Import the text as a module from the cache folder; its file appears there whole or not at all."""
    name = f"gpuopt_loop_{hashlib.sha256(source.encode()).hexdigest()[:32]}"
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            file.write(source)
        Path(file.name).replace(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba finds the function of cached machine code by its module
    spec.loader.exec_module(module)
    return module

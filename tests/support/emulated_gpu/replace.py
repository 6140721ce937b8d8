"""C functions of a module of CuPy's, replaced by ones that call Python and hand on what it raises.

CuPy's modules take C functions from each other by name, from ``__pyx_capi__``: a dict of capsules, each a pointer that is
named as its function is declared. What is put there must be so declared; a function that is gone, or takes other
arguments by now, is refused by its name.
"""

from __future__ import annotations

import atexit
import ctypes
import enum
import inspect
import re
import sysconfig
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from tests.support.cuda.hostbuild import compile_by_itself
from tests.support.cuda.kept import kept, key

_get, _pointer, _new = (getattr(ctypes.pythonapi, f"PyCapsule_{what}") for what in ("GetName", "GetPointer", "New"))
_get.restype, _get.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]

# How PyObject_CallFunction takes an argument, and how a result is read, by the type.
_GIVEN = {"int": "i", "unsigned int": "I", "float": "f", "intptr_t": "n", "size_t": "n", "PyObject *": "O"}
_READ = {"int": "PyLong_AsLong", "intptr_t": "PyLong_AsSsize_t", "float": "PyFloat_AsDouble"}
_FAILED = {"int": "-1", "intptr_t": "0", "float": "-1"}
_HEAD = """#include <Python.h>
#include <cstdint>
extern "C" {
PyObject* called[%d];
void* original[%d];
int plugged, ended;
"""


class Switch(enum.IntEnum):
    """Whether the device is plugged in, and whether some functions return 0 at once, without Python."""

    OFF, ON, AT_ONCE = range(3)


class Replaced:
    """A module with functions replaced: those in `ends` always, the others while the device is plugged in."""

    def __init__(
        self, module: Any, functions: Mapping[str, Callable[..., Any]], ends: Set[str], at_once: Set[str] = frozenset()
    ) -> None:
        self.module, capi, self._kept = module, module.__pyx_capi__, list[Any]()
        declared = {name: _declaration(module, name, function) for name, function in functions.items()}
        text = _HEAD % (len(functions), len(functions))
        text += (
            "".join(_function(n, name, *declared[name], name in ends, name in at_once) for n, name in enumerate(functions))
            + "}\n"
        )
        source = kept(f"{key(text)}.cpp", lambda path: path.write_text(text))
        library = ctypes.PyDLL(str(compile_by_itself([source], "-O1", f"-I{sysconfig.get_paths()['include']}")))
        called: Any = (ctypes.py_object * len(functions)).in_dll(library, "called")
        original = (ctypes.c_void_p * len(functions)).in_dll(library, "original")
        self._plugged = ctypes.c_int.in_dll(library, "plugged")
        ended = ctypes.c_int.in_dll(library, "ended")
        atexit.register(lambda: setattr(ended, "value", 1))  # CuPy's objects outlive these functions
        for number, (name, function) in enumerate(functions.items()):
            called[number] = function
            signature = ctypes.create_string_buffer(_get(capi[name]))
            original[number] = _pointer(capi[name], signature.value)
            self._kept += [capi[name], signature]
            address = ctypes.cast(getattr(library, f"t_{name}"), ctypes.c_void_p)
            capi[name] = _new(address, ctypes.addressof(signature), None)
            if hasattr(module, name):
                setattr(module, name, self._python(function, getattr(module, name), name in ends))
        self._kept += [library, called, original]

    @property
    def plugged(self) -> bool:
        """Whether the device is plugged in."""
        return bool(self._plugged.value)

    def switch(self, to: Switch) -> None:
        self._plugged.value = to

    def _python(self, function: Callable[..., Any], original: Callable[..., Any], always: bool) -> Callable[..., Any]:
        """What Python code calls by the same name."""

        def call(*given: Any, **named: Any) -> Any:
            return function(*given) if always or self._plugged.value else original(*given, **named)

        return call


def _declaration(module: Any, name: str, function: Callable[..., Any]) -> tuple[str, list[str]]:
    """The result's type and the arguments' types of a C function, which `function` must be able to take."""
    changed = f"the emulated device replaces {module.__name__}.{name}, which this CuPy"
    if name not in module.__pyx_capi__:
        raise ImportError(f"{changed} does not have: see {Path(__file__).parent}")
    written = _get(module.__pyx_capi__[name]).decode()
    match = re.fullmatch(r"(.*?)\s*\((.*)\)", written)
    assert match is not None
    kinds = [kind.strip() for kind in match[2].split(",") if kind.strip() != "void"]
    taken = [kind for kind in kinds if "__pyx" not in kind]
    known = match[1] in {*_READ, "PyObject *"} and all(kind in _GIVEN for kind in taken)
    try:
        inspect.signature(function).bind(*taken)
    except TypeError:
        known = False
    if not known:
        raise ImportError(f"{changed} declares as {written!r}: see {Path(__file__).parent}")
    return match[1], kinds


def _function(number: int, name: str, result: str, kinds: list[str], always: bool, at_once: bool) -> str:
    """A C function of that declaration: Cython's own arguments are handed on to the original alone."""
    types = ["void*" if "optional" in kind else "int" if "__pyx" in kind else kind for kind in kinds]
    heading = ", ".join(f"{kind} a{n}" for n, kind in enumerate(types))
    names = ", ".join(f"a{n}" for n in range(len(types)))
    taken = [n for n, kind in enumerate(kinds) if "__pyx" not in kind]
    form = "".join(_GIVEN[kinds[n]] for n in taken)
    given = "".join(f", {'(Py_ssize_t)' if _GIVEN[kinds[n]] == 'n' else ''}a{n}" for n in taken)
    lines = [f"{result} t_{name}({heading}) {{"]
    now = f"ended || plugged == {Switch.AT_ONCE:d}" if at_once else "ended"
    lines += [f"  if ({now}) {'Py_RETURN_NONE' if result == 'PyObject *' else 'return 0'};"]
    if not always:
        lines += [f"  if (!plugged) return (({result} (*)({', '.join(types)}))original[{number}])({names});"]
    lines += [f'  PyObject* r = PyObject_CallFunction(called[{number}], "({form})"{given});']
    if result == "PyObject *":
        lines += ["  return r;"]
    else:
        lines += [f"  if (!r) return {_FAILED[result]};", f"  auto value = {_READ[result]}(r);", "  Py_DECREF(r);"]
        lines += [f"  return ({result})value;"]
    return "\n".join([*lines, "}", ""])

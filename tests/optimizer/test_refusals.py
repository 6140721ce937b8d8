"""What is refused: by which error, in which words, and that nothing was changed."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import check
from tests.support.optimizers import everything, gradients
from tests.support.refusals import INF, NAN, refused, table


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def repeating(shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A writable array whose elements share memory."""
    return np.lib.stride_tricks.as_strided(np.ones(10), shape, strides)


def twice() -> Any:
    array = np.ones(3)
    return {"a": array, "b": [array]}


def overlapping() -> Any:
    array = np.ones(6)
    return [array[:4], array[3:]]


def containing_itself() -> Any:
    tree: list[Any] = [np.ones(2)]
    tree.append(tree)
    return tree


NUMBER = ("must be a finite number",)


loose: Any = go
"""What type checkers refuse is called by this name."""


@table(
    ("lr negative", lambda: go.Adam(-1.0), ValueError, ("Adam: lr must be a finite number >= 0, got -1.0",)),
    ("lr NaN", lambda: go.SGD(NAN), ValueError, ("GradientDescent: lr", "nan", *NUMBER)),
    ("lr inf", lambda: go.RMSProp(lr=INF), ValueError, ("RMSProp: lr", "inf", *NUMBER)),
    ("lr str", lambda: loose.Adam("0.1"), TypeError, ("Adam: lr", "'0.1'", "schedule", *NUMBER)),
    ("lr dict", lambda: loose.Adam({}), TypeError, ("Adam: lr", "got {}", "schedule", *NUMBER)),
    ("lr with braces", lambda: loose.Adam("{x}"), TypeError, ("Adam: lr", "got '{x}'", *NUMBER)),
    ("lr bool", lambda: go.Adam(True), TypeError, ("Adam: lr", "True", *NUMBER)),
    ("lr NumPy bool", lambda: loose.Adam(np.True_), TypeError, ("Adam: lr", "True", *NUMBER)),
    ("lr None", lambda: loose.Adam(None), TypeError, ("Adam: lr", "None", *NUMBER)),
    ("lr complex", lambda: loose.Adam(1j), TypeError, ("Adam: lr", "1j", *NUMBER)),
    ("lr array", lambda: loose.Adam(np.ones(2)), TypeError, ("Adam: lr", "array([1., 1.])", *NUMBER)),
    ("beta 1", lambda: go.Adam(beta1=1.0), ValueError, ("Adam: beta1 must be a number in [0, 1), got 1.0",)),
    ("beta negative", lambda: go.Adam(beta2=-0.1), ValueError, ("Adam: beta2 must be a number in [0, 1), got -0.1",)),
    ("dampening 1", lambda: go.Momentum(dampening=1), ValueError, ("Momentum: dampening", "[0, 1)", "got 1")),
    ("eps 0", lambda: go.AdamW(eps=0), ValueError, ("AdamW: eps must be a finite number > 0, got 0",)),
    ("eps negative", lambda: go.RMSProp(eps=-1e-8), ValueError, ("RMSProp: eps", "> 0", "-1e-08")),
    ("momentum 1.5", lambda: go.RMSProp(momentum=1.5), ValueError, ("RMSProp: momentum", "[0, 1)", "1.5")),
    ("nesterov alone", lambda: go.Momentum(beta=0.0, nesterov=True), ValueError, ("nesterov", "beta > 0", "beta=0.0")),
    ("weight decay", lambda: go.AdamW(weight_decay=-0.01), ValueError, ("AdamW: weight_decay", ">= 0", "-0.01")),
    ("unknown hyperparameter", lambda: loose.Adam(gamma=0.5), TypeError, ("Adam", "'gamma'")),
    ("beta1 by position", lambda: loose.Adam(1e-3, 0.9), TypeError, ("Adam", "positional")),
    ("switch as int", lambda: loose.Adam(amsgrad=1), TypeError, ("Adam: amsgrad must be a bool, got 1",)),
)
def test_rule(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_a_number_counts_whatever_its_type() -> None:
    assert go.Adam(lr=1) == go.Adam(lr=1.0) == go.Adam(lr=np.float32(1)) == go.Adam(np.int64(1))


DTYPES = ("float16, bfloat16, float32, float64, complex64, complex128",)


@table(
    ("None", lambda: None, TypeError, ("params must be a NumPy or CuPy array", "NoneType")),
    ("None inside", lambda: {"w": [None]}, TypeError, ("params['w'][0] must be a NumPy or CuPy array", "NoneType")),
    ("float", lambda: [np.ones(2), 1.0], TypeError, ("params[1]", "float", "0-d array")),
    ("NumPy scalar", lambda: {"w": np.float32(1)}, TypeError, ("params['w']", "float32", "0-d array")),
    ("a string for a tree", lambda: "weights", TypeError, ("params must be", "str")),
    ("dict's values", {"a": np.ones(2)}.values, TypeError, ("params must be", "dict_values")),
    ("set", lambda: {1, 2}, TypeError, ("params is a set", "order", "list or a dict")),
    ("generator", lambda: {"w": (np.ones(1) for _ in "ab")}, TypeError, ("params['w'] is a generator", "order")),
    ("empty list", list, ValueError, ("params holds no arrays",)),
    ("only empty containers", lambda: {"a": {}, "b": ()}, ValueError, ("params holds no arrays",)),
    ("a tree in itself", containing_itself, ValueError, ("params[1] contains itself",)),
    ("the same array twice", twice, ValueError, ("params['b'][0] is the same memory as params['a']", "once")),
    ("overlapping arrays", overlapping, ValueError, ("params[1] overlaps the same memory as params[0]",)),
    ("stride 0", lambda: [repeating((4,), (0,))], ValueError, ("params[0]", "share memory", "(0,)", "copy")),
    ("overlapping windows", lambda: repeating((3, 2), (8, 8)), ValueError, ("params has elements that share memory", "copy")),
    ("a broadcast view", lambda: np.broadcast_to(np.ones(1), (3,)), ValueError, ("params is read-only", "copy")),
    ("read-only array", lambda: {"l": [np.ones(1), frozen(np.ones(3))]}, ValueError, ("params['l'][1] is read-only", "copy")),
    ("array of int", lambda: [np.ones(2, int)], TypeError, ("params[0]", "int64", *DTYPES)),
    ("array of bool", lambda: [np.ones(2, bool)], TypeError, ("params[0]", "bool", *DTYPES)),
    ("array of objects", lambda: [np.ones(2, object)], TypeError, ("params[0]", "object", *DTYPES)),
    ("array of strings", lambda: [np.ones(2, "U3")], TypeError, ("params[0]", "U3", *DTYPES)),
    ("array of datetimes", lambda: [np.zeros(2, "M8[s]")], TypeError, ("params[0]", "datetime64[s]", *DTYPES)),
    ("array of records", lambda: [np.zeros(2, "f4,f4")], TypeError, ("params[0]", "f0", *DTYPES)),
    ("long double", lambda: [np.ones(2, np.clongdouble)], TypeError, ("params[0]", "complex", *DTYPES)),
    ("byte-swapped array", lambda: [np.ones(2, np.dtype("f4").newbyteorder())], TypeError, ("params[0]", "native byte order")),
    ("masked array", lambda: {"w": np.ma.ones(3)}, TypeError, ("params['w'] is a masked array", ".filled()")),
)
def test_parameters(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(lambda: go.Adam().init(action()), error, words)


def test_a_refused_init_leaves_the_other_arrays_alone() -> None:
    good = np.arange(5.0)
    for bad in (np.ones(2, int), good[:2], frozen(np.ones(2))):
        before = good.tobytes(), bad.tobytes()
        error = TypeError if bad.dtype == int else ValueError
        refused(functools.partial(loose.Adam().init, [good, bad]), error, ("params[1]",))
        assert (good.tobytes(), bad.tobytes()) == before


@table(
    ("eps vanishes", lambda: go.Adam(eps=1e-50), ValueError, ("Adam: eps=1e-50 vanishes in float32", "1.18e-38")),
    ("eps subnormal", lambda: go.Adam(eps=1e-40), ValueError, ("Adam: eps=1e-40 vanishes in float32", "1.18e-38")),
    ("schedule of eps vanishes", lambda: go.Adam(eps=lambda t: 1e-50), ValueError, ("eps=1e-50 vanishes", "1.18e-38")),
    ("schedule gives NaN", lambda: go.Adam(lambda t: NAN), ValueError, ("Adam: lr", "nan", "schedule at step 0")),
    (
        "schedule gives a negative",
        lambda: go.Adam(lambda t: -1.0),
        ValueError,
        ("Adam: lr", ">= 0", "-1.0", "schedule at step 0"),
    ),
    ("schedule gives a str", lambda: loose.Adam(lambda t: "a"), TypeError, ("Adam: lr", "'a'", "schedule at step 0")),
    (
        "schedule of beta gives 1",
        lambda: go.Adam(beta1=lambda t: 1.0),
        ValueError,
        ("Adam: beta1", "[0, 1)", "schedule at step 0"),
    ),
    ("a class", lambda: go.Adam, TypeError, ("rule must be a gpuopt.Rule", "gpuopt.Adam()", "got type")),
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_rule_for_these_arrays(action: Any, error: type[Exception], words: tuple[str, ...], dtype: str) -> None:
    params = [np.ones(3), np.ones(2, dtype)]
    before = [p.tobytes() for p in params]
    refused(lambda: go.Optimizer(action(), params), error, words)
    assert [p.tobytes() for p in params] == before


def model(rule: Any = None) -> go.Optimizer:
    """An optimizer of arrays of several dtypes, two steps on its way."""
    params = {
        "layers": [{"w": np.ones((2, 3)), "b": np.ones(3, "f4")}, {"w": np.ones((3, 3), "f4")}],
        "z": np.ones(2, complex),
        "h": np.ones(3, "f2"),
    }
    opt = (rule or go.Adam(0.1)).init(params)
    opt.step(gradients(params))
    opt.step(gradients(params))
    return opt


def at(path: str, value: Any) -> Callable[[Any, Any], Any]:
    """Good gradients, but for what is given for the array that `path` leads to; may be made from the optimizer."""

    def edit(opt: go.Optimizer, grads: Any) -> Any:
        *outer, last = [int(key) if key.isdigit() else key for key in path.split("/")]
        inside = grads
        for key in outer:
            inside = inside[key]
        inside[last] = value(opt) if callable(value) else value
        return grads

    return edit


def without(opt: go.Optimizer, grads: Any) -> Any:
    del grads["layers"][0]["b"]
    return grads


W = "grads['layers'][0]['w']"


@table(
    ("another shape", at("layers/0/w", np.ones((3, 2))), ValueError, (W, "params['layers'][0]['w'], (2, 3)", "got (3, 2)")),
    ("shape that broadcasts", at("layers/0/w", np.ones(1)), ValueError, (W, "(2, 3)", "got (1,)")),
    ("0-d for 1-d", at("layers/0/b", np.array(1, "f4")), ValueError, ("grads['layers'][0]['b']", "(3,)", "got ()")),
    ("gradient of int", at("layers/0/w", np.ones((2, 3), int)), TypeError, (W, "int64", *DTYPES)),
    ("complex for real", at("layers/0/w", np.ones((2, 3), complex)), TypeError, (W, "float64", "got complex128")),
    ("real for complex", at("z", np.ones(2)), TypeError, ("grads['z']", "complex128", "got float64")),
    ("complex64 for complex128", at("z", np.ones(2, "c8")), TypeError, ("grads['z']", "complex128", "got complex64")),
    ("long double", at("layers/0/w", np.ones((2, 3), np.longdouble)), TypeError, (W, *DTYPES)),
    ("byte-swapped", at("h", np.ones(3, np.dtype("f2").newbyteorder())), TypeError, ("grads['h']", "native byte order")),
    ("masked", at("layers/0/w", np.ma.ones((2, 3))), TypeError, (W, "masked", ".filled(0)")),
    ("a float for an array", at("layers/0/w", 1.0), TypeError, (W, "NumPy or CuPy array or None", "got float")),
    ("a list for an array", at("layers/0/w", [[1.0] * 3] * 2), TypeError, (W, "NumPy or CuPy array or None", "got list")),
    ("key missing", without, ValueError, ("missing: grads['layers'][0]['b']",)),
    ("key too many", at("layers/1/c", np.ones(3)), ValueError, ("extra: grads['layers'][1]['c']",)),
    ("entry too many", lambda o, g: {**g, "layers": [*g["layers"], 1]}, ValueError, ("grads['layers']", "2 entries, got 3")),
    ("entry too few", lambda o, g: {**g, "layers": g["layers"][:1]}, ValueError, ("grads['layers']", "2 entries, got 1")),
    ("dict for list", at("layers", {"0": 1}), TypeError, ("grads['layers'] must be a list or tuple", "dict")),
    ("list for dict", lambda o, g: list(g), TypeError, ("grads must be a dict", "'layers', 'z', 'h'", "list")),
    ("None for dict", at("layers/0", None), TypeError, ("grads['layers'][0] must be a dict", "NoneType")),
    ("None for all", lambda o, g: None, TypeError, ("grads must be a dict", "NoneType")),
    (
        "memory of another parameter",
        at("layers/1/w", lambda o: o.params["layers"][1]["w"].T),
        ValueError,
        ("['w'] shares memory", "copy"),
    ),
    (
        "own memory reversed",
        at("h", lambda o: o.params["h"][::-1]),
        ValueError,
        ("grads['h'] shares memory with params['h']", "copy"),
    ),
    (
        "memory of the state",
        at("z", lambda o: o.state["m"]["z"]),
        ValueError,
        ("grads['z'] shares memory with opt.state['m']['z']",),
    ),
)
def test_step(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    opt, twin = model(), model()
    grads = action(opt, gradients(opt.params))
    before = everything(opt, grads)
    refused(lambda: opt.step(grads), error, words)
    assert everything(opt, grads) == before
    opt.step(gradients(opt.params))  # and it goes on as if nothing had been
    twin.step(gradients(twin.params))
    assert everything(opt) == everything(twin)


@pytest.mark.parametrize("window", [slice(3), slice(2, None, -1), slice(4, 7), slice(6, 3, -1)], ids=str)
def test_memory_that_is_shared_in_part(window: slice) -> None:
    """A gradient that ends inside a parameter, or begins there; seen forwards or backwards."""
    memory = np.ones(7)
    opt = go.Adam().init([memory[2:5]])
    before = everything(opt)
    refused(lambda: opt.step([memory[window]]), ValueError, ("grads[0] shares memory with params[0]", "copy"))
    assert everything(opt) == before


class Interface:
    """What another library says of memory."""

    def __init__(self, array: Any) -> None:
        self.__array_interface__, self._kept = array.__array_interface__, array


def laid_on(array: Any) -> Any:
    """An array on the address of another, without a base, as compiled code lays it."""
    numba, extending = pytest.importorskip("numba"), pytest.importorskip("numba.extending")
    pointer = numba.types.CPointer(numba.types.float64)

    @extending.intrinsic  # type: ignore[untyped-decorator]
    def at(context: Any, address: Any) -> Any:
        return pointer(address), lambda c, builder, s, given: builder.inttoptr(given[0], c.get_value_type(pointer))

    found = numba.njit(lambda address, n: numba.carray(at(address), n))(array.ctypes.data, array.size)
    assert found.base is None
    return found


FOREIGN: dict[str, Callable[[Any], Any]] = {
    "memoryview": lambda a: np.asarray(memoryview(a)),
    "buffer": np.frombuffer,
    "ctypes": lambda a: np.ctypeslib.as_array(a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), a.shape),
    "interface": lambda a: np.asarray(Interface(a)),
    "DLPack": np.from_dlpack,
    "address": laid_on,
}


@pytest.mark.parametrize(
    "view", [lambda a: a, lambda a: a[:], lambda a: a.view("f8").reshape(3)], ids=["itself", "part", "view"]
)
@pytest.mark.parametrize("foreign", ["gradient", "parameter"])
@pytest.mark.parametrize("way", FOREIGN)
def test_memory_is_recognized_through_another_library(way: str, foreign: str, view: Any) -> None:
    """A gradient in a parameter's memory, where NumPy does not say whose the memory is."""
    owned = np.ones(3)
    seen = view(FOREIGN[way](owned))
    p, g = (owned, seen) if foreign == "gradient" else (seen, owned)
    opt = go.Adam().init([p, np.ones(3)])
    before = everything(opt)
    refused(lambda: opt.step([g[::-1], np.ones(3)]), ValueError, ("grads[0] shares memory with params[0]", "copy"))
    refused(lambda: opt.step([np.ones(3), g]), ValueError, ("grads[1] shares memory with params[0]", "copy"))
    assert everything(opt) == before
    opt.step([g, np.ones(3)])  # all of it, in order, is itself
    assert opt.t == 1
    refused(lambda: go.Adam().init([owned, seen]), ValueError, ("params[1] is the same memory as params[0]",))


@table(
    ("NaN", NAN, ValueError, ("Adam: lr", ">= 0", "nan", "schedule at step 2")),
    ("negative", -0.5, ValueError, ("Adam: lr", ">= 0", "-0.5", "schedule at step 2")),
    ("inf", INF, ValueError, ("Adam: lr", "inf", "schedule at step 2")),
    ("str", "fast", TypeError, ("Adam: lr", "'fast'", "schedule at step 2")),
    ("bool", True, TypeError, ("Adam: lr", "True", "schedule at step 2")),
    ("None", None, TypeError, ("Adam: lr", "None", "schedule at step 2")),
    ("array", np.ones(1), TypeError, ("Adam: lr", "array([1.])", "schedule at step 2")),
)
def test_schedule_in_step(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    """A schedule that goes wrong on the way."""
    opt = model(go.Adam(lambda t: action if t == 2 else 0.1))
    grads = gradients(opt.params)
    before = everything(opt, grads)
    refused(lambda: opt.step(grads), error, words)
    assert everything(opt, grads) == before


def test_a_schedule_that_raises_is_heard() -> None:
    opt = model(go.Adam([0.1, 0.1].__getitem__))
    before = everything(opt)
    refused(lambda: opt.step(gradients(opt.params)), IndexError, ("list index",))
    assert everything(opt) == before


@table(
    (
        "another kind",
        go.SGD(),
        TypeError,
        ("opt.rule must keep the structure of Adam", "GradientDescent(lr=0.01)", "opt = rule.init(params)"),
    ),
    ("no rule", 0.1, TypeError, ("opt.rule must be a rule like Adam", "0.1")),
    ("more state", go.Adam(amsgrad=True), ValueError, ("amsgrad=True", "['m', 'v', 'v_max']", "['m', 'v']", "call init again")),
    ("eps vanishes", go.Adam(eps=1e-50), ValueError, ("Adam: eps=1e-50 vanishes in float32", "1.18e-38")),
    ("schedule", go.Adam(lambda t: NAN), ValueError, ("Adam: lr", "nan", "schedule at step 2")),
)
def test_set_rule(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    opt = model()
    before = everything(opt)
    refused(lambda: setattr(opt, "rule", action), error, words)
    assert everything(opt) == before


def states(opt: go.Optimizer, name: str, path: str, value: Any) -> Any:
    saved = opt.state_dict()["state"]
    return {**saved, name: at(path, value)(opt, saved[name])}


M, V = "state_dict['state']['m']", "state_dict['state']['v']"


@table(
    ("None", lambda o: None, TypeError, ("Optimizer.state_dict()", "NoneType")),
    ("empty", lambda o: {}, ValueError, ("missing: version, rule, hyper, t, counts, state",)),
    ("version", lambda o: {"version": 99}, ValueError, ("version 99", "version 1")),
    ("rule", lambda o: {"rule": repr(go.SGD())}, ValueError, ("GradientDescent(lr=0.01)", "Adam(lr=0.1")),
    ("rule's name", lambda o: {"rule": repr(go.AdamW())}, ValueError, ("AdamW(", "Adam(lr=0.1")),
    ("lr", lambda o: {"hyper": {"lr": -1.0}}, ValueError, ("Adam: lr", ">= 0", "-1.0")),
    ("beta", lambda o: {"hyper": {"beta2": 1.0}}, ValueError, ("Adam: beta2", "[0, 1)", "1.0")),
    ("eps", lambda o: {"hyper": {"eps": 1e-50}}, ValueError, ("eps=1e-50 vanishes in float32",)),
    ("hyper's name", lambda o: {"hyper": {"gamma": 1.0}}, ValueError, ("hyper", "Adam", "gamma")),
    ("hyper", lambda o: {"hyper": [0.1]}, ValueError, ("state_dict['hyper']", "dict", "[0.1]")),
    ("switch", lambda o: {"hyper": {"amsgrad": True}}, ValueError, ("amsgrad=True", "v_max")),
    ("t", lambda o: {"t": -1}, ValueError, ("t must be a whole number", "-1")),
    ("t float", lambda o: {"t": 1.0}, ValueError, ("t must be a whole number", "1.0")),
    ("t bool", lambda o: {"t": True}, ValueError, ("t must be a whole number", "True")),
    (
        "count",
        lambda o: {"counts": at("z", -3)(o, o.state_dict()["counts"])},
        ValueError,
        ("counts['z']", "whole number", "-3"),
    ),
    ("counts", lambda o: {"counts": at("h", [1])(o, o.state_dict()["counts"])}, ValueError, ("counts['h']", "[1]")),
    (
        "too many counts",
        lambda o: {"counts": at("h", 4)(o, o.state_dict()["counts"])},
        ValueError,
        ("counts holds 4 updates", "the 3 steps"),
    ),
    ("counts' names", lambda o: {"counts": {"z": 1}}, ValueError, ("missing: state_dict['counts']['layers']",)),
    ("no state", lambda o: {"state": None}, ValueError, ("NoneType", "['m', 'v']")),
    ("names", lambda o: {"state": {"m": o.state["m"]}}, ValueError, ("['m']", "['m', 'v']")),
    ("tree", lambda o: {"state": states(o, "v", "q", 1)}, ValueError, (f"extra: {V}['q']",)),
    ("shape", lambda o: {"state": states(o, "v", "h", np.ones(1, "f4"))}, ValueError, (f"{V}['h']", "(3,)", "(1,)")),
    ("dtype", lambda o: {"state": states(o, "m", "h", np.ones(3, "f2"))}, ValueError, (f"{M}['h']", "float32", "float16")),
    ("no array", lambda o: {"state": states(o, "m", "z", [1, 1])}, ValueError, (f"{M}['z']", "complex128", "list")),
)
def test_load_state_dict(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    """The saved numbers all differ from the optimizer's, so that whatever was taken over would be seen."""
    opt, other = model(), model(go.Adam(0.7))
    other.step(gradients(other.params))
    saved, changed = other.state_dict(), action(opt)
    before = everything(opt)
    refused(lambda: opt.load_state_dict({**saved, **changed} if changed else changed), error, words)
    assert everything(opt) == before


@dataclasses.dataclass
class Fake:
    """As much of a CuPy array as the checks look at."""

    device: Any
    shape: tuple[int, ...] = (3,)
    strides: tuple[int, ...] = (8,)
    dtype: Any = dataclasses.field(default_factory=lambda: np.dtype("f8"))
    itemsize: int = 8
    size: int = 3


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two GPUs; `Fake` arrays are CuPy's meanwhile."""
    monkeypatch.setitem(__import__("sys").modules, "cupy", types.SimpleNamespace(ndarray=Fake, __name__="cupy"))
    return [types.SimpleNamespace(id=0), types.SimpleNamespace(id=1)]


def test_nothing_is_moved_between_devices(devices: list[Any]) -> None:
    first, second = map(Fake, devices)
    opt = go.Adam().init({"w": np.ones(3)})
    before = everything(opt)
    step: Any = opt.step
    refused(lambda: step({"w": first}), TypeError, ("grads['w'] is a cupy array", "params['w'] a numpy", "move it"))
    assert everything(opt) == before
    mixed = ("params[1] is on CUDA device 0", "params[0] on the CPU", "one device")
    refused(lambda: loose.Adam().init([np.ones(3), first]), ValueError, mixed)
    two = ("params[1] is on CUDA device 1", "params[0] on CUDA device 0", "one device")
    refused(lambda: loose.Adam().init([first, second]), ValueError, two)
    moved = ("grads['w'] is on CUDA device 1", "params['w'] on CUDA device 0", "move it")
    refused(lambda: check.gradient(second, first, "['w']"), ValueError, moved)
    host = ("grads['w'] is a numpy array", "params['w'] a cupy array", "move it")
    refused(lambda: check.gradient(np.ones(3), first, "['w']"), TypeError, host)

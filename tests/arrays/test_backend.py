"""Which library is chosen, and why not the other; what an import loads; environment variables."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend

ROOT = Path(__file__).parents[2]
NOT_INSTALLED = (
    'CuPy is not installed (pip install "cupy-cuda13x>=14.1" for CUDA 13, pip install "cupy-cuda12x>=14.1" for CUDA 12)'
)


@pytest.fixture(autouse=True)
def _afresh(fresh_choice: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No choice is made, none is remembered, and none is left behind."""
    for variable in (backend.VARIABLE, backend.CPU_VARIABLE, backend.THREADS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(backend, "_chosen", None)
    backend.why_not_cupy.cache_clear()
    yield
    monkeypatch.undo()
    backend.why_not_cupy.cache_clear()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter, where every warning is an error."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUOPT_")} | environment
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=120, check=False)


class Works:
    """As much of a working CuPy as the probe and `info` look at."""

    __name__ = "cupy"
    ndarray = np.ndarray
    answer, devices = 2.0, 1

    def __init__(self) -> None:
        runtime = types.SimpleNamespace(
            getDeviceCount=lambda: self.devices, getDeviceProperties=lambda number: {"name": b"Fake 9000"}
        )
        self.cuda = types.SimpleNamespace(runtime=runtime, Device=lambda: types.SimpleNamespace(id=0))
        self.__spec__ = importlib.util.spec_from_loader("cupy", None, origin="here")

    def ones(self, *_: Any, **__: Any) -> Any:
        return np.ones(1)

    def ElementwiseKernel(self, *_: Any) -> Any:
        return lambda x: x * self.answer


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CuPy that works, or may be broken by a test."""
    fake = Works()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def test_import_loads_nothing_that_is_slow_or_optional() -> None:
    done = python(
        "import gpuopt, json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
        "assert gpuopt.array_module(1) is sys.modules['numpy']"
    )
    assert done.stderr == ""
    loaded = set(json.loads(done.stdout))
    optional = {"cupy", "numba", "matplotlib", "sklearn", "scipy", "tqdm", "torch", "mpi4py", "ml_dtypes", "pandas"}
    assert not loaded & (optional | {"safetensors", "h5py", "zarr", "concurrent"})
    assert {"gpuopt", "numpy"} <= loaded


def test_import_makes_no_random_numbers() -> None:
    """NumPy loads what makes them where they are asked for, and that takes a while."""
    assert python("import gpuopt, sys; print('numpy.random' in sys.modules)").stdout == "False\n"


def test_a_numpy_step_loads_no_cupy() -> None:
    done = python(
        "import gpuopt, sys, numpy as np; gpuopt.Adam().init([np.ones(3)]).step([np.ones(3)]); print('cupy' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_array_module(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Array:
        pass

    monkeypatch.setattr(cupy, "ndarray", Array, raising=False)
    assert go.array_module() is go.array_module(1.0, [2], None, np.ones(1)) is np
    assert go.array_module(Array()) is go.array_module(np.ones(1), Array()) is cupy


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert backend.why_not_cupy() == NOT_INSTALLED
    assert go.xp() is go.array_module(np.ones(1)) is np
    assert go.info()["reasons"]["cupy"] == NOT_INSTALLED
    with pytest.raises(RuntimeError) as caught:
        go.use("cupy")
    assert str(caught.value) == f"CuPy was asked for but cannot be used: {NOT_INSTALLED}"
    with pytest.raises(ModuleNotFoundError, match=r"cuda_source needs CuPy, but no GPU: CuPy is not installed \(pip install"):
        _without_kernels(monkeypatch)


def _without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gpuopt.executors.cuda.launch", raising=False)
    monkeypatch.delattr("gpuopt.executors.cuda.launch", raising=False)
    go.cuda_source(go.Adam())


def test_an_empty_folder_is_no_cupy(tmp_path: Path) -> None:
    """What `pip uninstall` leaves behind looks like a package to Python."""
    (tmp_path / "cupy").mkdir()
    code = (
        f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        f"sys.path += [{str(tmp_path)!r}, {str(Path(np.__file__).parents[1])!r}]\n"
        "import importlib.metadata, importlib.machinery\n"
        "import numpy, gpuopt\n"
        f"sys.path[:] = [{str(tmp_path)!r}]\n"
        "print(gpuopt.xp().__name__, gpuopt.info()['reasons']['cupy'])"
    )
    done = python(code)
    assert done.stdout == f"numpy {NOT_INSTALLED}; {[str(tmp_path / 'cupy')]} has only its empty folder\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise OSError('libcuda.so.1: no such file\\nmore')", "OSError: libcuda.so.1: no such file"),
        ("raise ImportError", "ImportError"),
        ("raise ImportError('\\n=====\\nadvice\\n') from OSError('libnvrtc.so.13')", "OSError: libnvrtc.so.13"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import warnings; warnings.warn('CUDA path')", "UserWarning: CUDA path"),
        ("pass", "AttributeError: module 'cupy' has no attribute 'cuda'"),
    ],
)
def test_an_import_that_fails(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text(text)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import gpuopt as go; i = go.info(); "
    done = python(code + "print(i['backend'], i['reasons']['cupy'])")
    assert (done.stdout, done.stderr) == (f"numpy {reason}\n", "")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"devices": 0}, "CuPy finds no CUDA device"),
        ({"answer": 3.0}, "CuPy's kernels run but give wrong results"),
        ({"cuda": None}, "AttributeError: 'NoneType' object has no attribute 'runtime'"),
        ({"ones": lambda *_, **__: 1 / 0}, "ZeroDivisionError: division by zero"),
        ({"__spec__": None}, "ValueError: cupy.__spec__ is None"),
    ],
)
def test_a_cupy_that_does_not_work(cupy: Any, broken: dict[str, Any], reason: str) -> None:
    vars(cupy).update(broken)
    assert backend.why_not_cupy() == reason
    assert go.xp() is np


def test_a_cupy_that_works(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = go.info()
    assert (found["backend"], found["device"]) == ("cupy", "Fake 9000")
    assert "cupy" not in found["reasons"]
    assert go.xp() is cupy
    go.use("numpy")
    assert go.xp() is np
    assert go.info()["reasons"]["cupy"] == "works, but go.use chose numpy"
    go.use("cupy")
    assert go.xp() is cupy
    go.use("auto")
    monkeypatch.setenv("GPUOPT_BACKEND", "numpy")
    assert go.xp() is cupy  # what the program chose counts more
    monkeypatch.setattr(backend, "_chosen", None)
    assert go.xp() is np
    assert go.info()["reasons"]["cupy"] == "works, but GPUOPT_BACKEND chose numpy"


def test_the_probe_runs_once(cupy: Any) -> None:
    assert backend.why_not_cupy() is None
    cupy.answer = 3.0
    assert go.xp() is cupy
    assert backend.why_not_cupy() is None


def test_this_machine_says_why_not() -> None:
    """Whatever is installed here: what is chosen is what runs, and what is not chosen has a reason in one line."""
    found, reason = go.info(), backend.why_not_cupy()
    assert found["backend"] == go.xp().__name__ == ("cupy" if reason is None else "numpy")
    assert found["reasons"].get("cupy") == reason
    assert reason is None or (reason.strip() == reason and reason and "\n" not in reason and "===" not in reason)
    assert (found["device"] is None) == (reason is not None)
    assert set(found) == {"backend", "cpu", "device", "threads", "versions", "reasons"}
    assert found["versions"]["numpy"] == np.__version__
    assert (found["threads"] or 0) >= 1


@pytest.mark.parametrize("wrong", ["torch", "NumPy", "", None, 1])
def test_use_refuses_what_it_does_not_know(wrong: Any) -> None:
    go.use("numpy")
    with pytest.raises(ValueError) as caught:
        go.use(wrong)
    assert str(caught.value) == f"go.use must be one of auto, numpy, cupy, got {wrong!r}"
    assert go.xp() is np
    assert backend._chosen == "numpy"


def test_a_choice_that_fails_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    go.use("numpy")
    with pytest.raises(RuntimeError, match="cannot be used"):
        go.use("cupy")
    assert backend._chosen == "numpy"
    monkeypatch.setattr(backend, "_chosen", None)
    monkeypatch.setenv("GPUOPT_BACKEND", "cupy")
    with pytest.raises(RuntimeError, match="asked for but cannot be used: CuPy is not installed"):
        go.xp()


@pytest.mark.parametrize(
    ("variable", "value", "choices"),
    [("GPUOPT_BACKEND", "jax", "auto, numpy, cupy"), ("GPUOPT_CPU", "fortran", ", ".join(backend.cpu_choices))],
)
def test_a_variable_with_a_wrong_value(variable: str, value: str, choices: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs it raises; `info`, which is asked when something is wrong, says it among its reasons."""
    monkeypatch.setenv(variable, value)
    name, ask = {"GPUOPT_BACKEND": ("backend", go.xp), "GPUOPT_CPU": ("cpu", backend.cpu_executor)}[variable]
    message = f"{variable} must be one of {choices}, got '{value}'"
    with pytest.raises(ValueError) as caught:
        ask()
    assert str(caught.value) == message
    assert dict(go.info())[name] is None
    assert go.info()["reasons"][name] == message


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GPUOPT_BACKEND", "GPUOPT_CPU", "GPUOPT_NUM_THREADS"):
        monkeypatch.setenv(variable, "")
    assert not {"backend", "cpu", "threads"} & go.info()["reasons"].keys()


@pytest.mark.parametrize(("asked", "threads"), [("1", 1), (" 3 ", 3), ("64", 64)])
def test_variables_are_read_in_a_new_process(asked: str, threads: int) -> None:
    code = "import gpuopt as go, numpy as np; i = go.info(); opt = go.SGD().init(np.ones(1)); "
    code += "print(i['threads'], i['cpu'], i['backend'], opt.executor)"
    done = python(code, GPUOPT_NUM_THREADS=asked, GPUOPT_CPU="numpy", GPUOPT_BACKEND="numpy")
    assert (done.stdout, done.stderr) == (f"{threads} numpy numpy numpy\n", "")


def test_threads_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert go.info()["threads"] == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert go.info()["threads"] == 1


def test_the_arrays_decide_the_executor_not_the_choice(cupy: Any) -> None:
    cupy.ndarray = type("Array", (), {})
    go.use("cupy")
    assert go.SGD().init(np.ones(2)).executor == backend.cpu_executor()

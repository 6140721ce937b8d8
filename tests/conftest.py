"""Options and fixtures of the whole suite: which executors there are, and whether a GPU must be one of them."""

from __future__ import annotations

import argparse
import ctypes.util
import os
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest

from gpuopt.arrays import backend
from gpuopt.executors import executor_of as choose
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.optimizer import losses
from tests.support import examples
from tests.support.cuda import hostbuild, kept, nvrtc
from tests.support.executors import EXECUTORS, ON_CPU, parameter, running_on
from tests.support.plan import named, projected
from tests.support.reference_arrays import LOSS


def part(text: str) -> tuple[int, int]:
    """Which part of how many, from 1 on."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be as 2/4, not {text!r}")
    return int(number), int(count)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="try all combinations of rule, dtype, layout, option and executor"
    )
    parser.addoption("--require-gpu", action="store_true", help="run the tests that need a GPU, and fail where there is none")
    parser.addoption("--emulated-gpu", action="store_true", help="run the tests that need a GPU on one made of software")
    parser.addoption("--part", metavar="K/N", type=part, default=(1, 1), help="run every N-th test, from the K-th on")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault(backend.CPU_VARIABLE, "numpy")  # nothing is compiled for a test that names no executor
    if config.getoption("--exhaustive"):
        examples.ask_for_all()
    if config.getoption("--emulated-gpu"):
        _emulated().plug_in()
    elif _why_not_emulated(config) is None:
        _emulated().load()
    config.addinivalue_line(
        "markers", "gpu: needs a GPU; runs with --require-gpu, and fails there if the GPU is gone, or with --emulated-gpu"
    )
    config.addinivalue_line(
        "markers", "machine_code: reads what NVRTC makes for a GPU; runs with -m machine_code, and with --exhaustive"
    )
    config.addinivalue_line("markers", "torch: needs PyTorch; runs with -m torch, and fails there if it is missing")
    config.addinivalue_line(
        "markers",
        "every(*axes, **given): takes rows of values of `tests.support.plan`; all combinations with --exhaustive",
    )


def _why_not_emulated(config: pytest.Config) -> str | None:
    """Why no GPU made of software can be plugged in, or None."""
    if config.getoption("--emulated-gpu"):
        return None
    if config.getoption("--require-gpu") or ctypes.util.find_library("cuda"):
        return "CuPy has a real GPU here (--emulated-gpu takes another)"
    return hostbuild.available()


def _emulated() -> Any:
    from tests.support.emulated_gpu import device

    return device


def pytest_sessionstart(session: pytest.Session) -> None:
    """Once a run, and not in each of several processes, remove what compilers made for texts that are gone."""
    if not hasattr(session.config, "workerinput"):
        kept.forget()


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that is marked with `every` its rows of the plan."""
    for mark in metafunc.definition.iter_markers("every"):
        axes, rows = projected(mark.args, mark.kwargs, metafunc.config.getoption("--exhaustive"))
        marked = [pytest.param(*row, marks=pytest.mark.gpu if "cupy" in row else (), id=named(row)) for row in rows]
        indirect = ["executor"] if "executor" in axes else []
        metafunc.definition.add_marker(pytest.mark.parametrize(axes, marked, indirect=indirect))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set aside what nobody asked for; the summary says how much. What needs a GPU comes first where it was asked for."""
    if config.getoption("--require-gpu"):
        for item in items:
            if "some_gpu" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.gpu)
    aside = {}
    for mark in (mark for mark in SET_ASIDE if not _asked_for(mark, config)):
        found = [item for item in items if item.get_closest_marker(mark)]
        items[:] = [item for item in items if not item.get_closest_marker(mark)]
        config.hook.pytest_deselected(items=found)
        aside[mark] = len(found)
    number, count = config.getoption("--part")
    chosen = set(items[number - 1 :: count])
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]
    config.stash[_ASIDE] = aside
    items.sort(key=lambda item: item.get_closest_marker("gpu") is None)


SET_ASIDE = {
    "gpu": "that need a GPU did not run (--require-gpu or --emulated-gpu runs them)",
    "machine_code": "of machine code did not run (-m machine_code runs them)",
    "torch": "that need PyTorch did not run (-m torch runs them)",
}
_ASIDE = pytest.StashKey[dict[str, int]]()


def _asked_for(mark: str, config: pytest.Config) -> bool:
    if mark == "gpu":
        return bool(config.getoption("--require-gpu") or config.getoption("--emulated-gpu"))
    return bool(config.getoption("--exhaustive")) or mark in config.getoption("markexpr")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where several processes share the tests, tell the first one how many were set aside."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["aside"] = session.config.stash.get(_ASIDE, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_ASIDE] = getattr(node, "workeroutput", {}).get("aside", {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for mark, number in config.stash.get(_ASIDE, {}).items():
        if number:
            terminalreporter.write_line(f"{number} tests {SET_ASIDE[mark]}", yellow=True)


@pytest.fixture(autouse=True)
def _gpu(request: pytest.FixtureRequest) -> None:
    """A test that needs a GPU fails where there is none."""
    if request.node.get_closest_marker("gpu") and (reason := backend.why_not_cupy()):
        pytest.fail(f"a GPU was asked for, but {reason}")


@pytest.fixture(autouse=True)
def _machine_code(request: pytest.FixtureRequest) -> None:
    """A test of machine code is skipped where kernels cannot be compiled for a GPU."""
    if request.node.get_closest_marker("machine_code") and (reason := nvrtc.available(disassembler=True)):
        pytest.skip(reason)


@pytest.fixture(params=map(parameter, EXECUTORS))
def executor(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each executor in turn; NumPy arrays are run by it."""
    name = str(request.param)
    with running_on(name):
        yield name


@pytest.fixture(params=ON_CPU)
def tile_group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[TileExecutor]:
    """The groups of each CPU executor in turn, which NumPy arrays are run by."""
    name = str(request.param)
    if name == "numba" and (reason := backend.why_not_numba()):
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", name)
    return cast("type[TileExecutor]", choose(np.ones(1)))


@pytest.fixture
def xp(executor: str) -> Any:
    """The array module of the executor."""
    if executor == "cupy":
        import cupy

        return cupy
    return np


@pytest.fixture
def emulated_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Meanwhile there is a GPU, made of software."""
    if reason := _why_not_emulated(request.config):
        pytest.skip(reason)
    backend.why_not_cupy.cache_clear()
    with _emulated().plugged_in():
        yield
    backend.why_not_cupy.cache_clear()


@pytest.fixture
def some_gpu(request: pytest.FixtureRequest) -> None:
    """The GPU where one was asked for, else one made of software: for what a test sees of both."""
    if not request.config.getoption("--require-gpu"):
        request.getfixturevalue("emulated_gpu")


@pytest.fixture
def gpu_is_emulated(request: pytest.FixtureRequest) -> bool:
    """Whether the GPU is made of software: its powers are NumPy's, and a large array only takes longer."""
    return not request.config.getoption("--require-gpu")


@pytest.fixture(autouse=True)
def _loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of all rules step without a loss: those that read one are given the same in each step."""
    monkeypatch.setattr(losses, "missing_loss", lambda reader: LOSS)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    """Undo what a test chooses with `gpuopt.use`."""
    before = backend._chosen
    yield
    backend._chosen = before

"""Which executor runs which arrays, and the seam by which a test puts another in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt import executors
from gpuopt.arrays import backend
from gpuopt.executors import Executor, executor_of, using
from gpuopt.executors.cpu.numpy import NumpyExecutor
from tests.support.executors import ON_CPU, only

ARRAY = np.ones(3)


class Other(NumpyExecutor):
    name = "other"


@only(*ON_CPU, "cupy")
def test_the_variable_chooses_what_runs_numpy_arrays(executor: str, xp: Any) -> None:
    assert executor_of(xp.ones(3)).name == executor
    assert go.Adam().init(xp.ones(3)).executor == executor


def test_an_executor_runs_the_arrays_of_optimizers_made_meanwhile() -> None:
    before = go.Adam().init(ARRAY.copy())
    with using(Other) as chosen:
        assert chosen is Other
        inside = go.Adam().init(ARRAY.copy())
        with using(NumpyExecutor):
            assert executor_of(ARRAY).name == "numpy"
        assert executor_of(ARRAY) is Other
    after = go.Adam().init(ARRAY.copy())
    assert inside.executor == "other"
    assert before.executor == after.executor != "other"
    inside.step(ARRAY)  # it keeps what it was made with
    assert inside.t == 1


def test_an_error_inside_ends_it() -> None:
    with pytest.raises(ZeroDivisionError), using(Other):
        raise ZeroDivisionError
    assert executor_of(ARRAY) is not Other


def test_a_registered_executor_is_loaded_when_arrays_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    monkeypatch.setattr(executors, "_loaders", dict(executors._loaders))
    loaded: list[str] = []

    def load() -> type[Executor]:
        loaded.append("numpy")
        return Other

    executors.register("numpy", load)
    assert not loaded
    assert executor_of(ARRAY) is Other
    assert loaded == ["numpy"]


def test_the_variable_may_choose_what_was_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_loaders", dict(executors._loaders))
    monkeypatch.setattr(backend, "cpu_choices", choices := list(backend.cpu_choices))
    monkeypatch.setattr(executors, "cpu_choices", choices)
    monkeypatch.setenv("GPUOPT_CPU", "other")
    known = ", ".join(ON_CPU)
    with pytest.raises(ValueError, match=rf"GPUOPT_CPU must be one of {known}, got 'other'"):
        go.Adam().init(ARRAY.copy())
    executors.register("other", lambda: Other)
    executors.register("elsewhere", lambda: Other, of_numpy=False)
    assert go.Adam().init(ARRAY.copy()).executor == "other"
    assert go.info()["cpu"] == "other"
    monkeypatch.setenv("GPUOPT_CPU", "elsewhere")
    with pytest.raises(ValueError, match=rf"GPUOPT_CPU must be one of {known}, other, got 'elsewhere'"):
        go.Adam().init(ARRAY.copy())

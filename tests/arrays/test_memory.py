"""Which arrays share memory: NumPy's, and CuPy's by their addresses alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.memory import share
from tests.support.cuda.simulated import no_gpu

WITHOUT = pytest.mark.skipif(no_gpu.why_not() is not None, reason=str(no_gpu.why_not()))


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=WITHOUT)])
def made(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """What makes arrays of NumPy or CuPy from an array."""
    if request.param == "numpy":
        yield np.array
    else:
        with no_gpu.simulated():
            yield no_gpu.to_device


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        pytest.param(np.s_[:], np.s_[:], True, id="all, as another object"),
        pytest.param(np.s_[:3], np.s_[2:], True, id="one row"),
        pytest.param(np.s_[:2], np.s_[2:], False, id="one after the other"),
        pytest.param(np.s_[:, ::2], np.s_[:, 1::2], False, id="in turns"),
        pytest.param(np.s_[:, ::2], np.s_[:, 1::3], True, id="now and then"),
        pytest.param(np.s_[:2], np.s_[:1:-1], False, id="reversed, and after it"),
        pytest.param(np.s_[:3], np.s_[:1:-1], True, id="reversed, with one row"),
    ],
)
def test_parts_of_one_array(one: Any, other: Any, shared: bool, made: Callable[[Any], Any]) -> None:
    whole = made(np.zeros((4, 6), "float32"))
    assert share(whole[one], whole[other]) is shared
    assert share(whole[other].T, whole[one]) is shared


def test_other_arrays(made: Callable[[Any], Any]) -> None:
    assert not share(made(np.zeros(3)), made(np.zeros(3)))


def test_the_halves_of_complex_arrays_are_two_parameters(made: Callable[[Any], Any]) -> None:
    whole = made(np.zeros(5, complex))
    assert not share(whole.real, whole.imag)
    opt = go.SGD().init([whole.real, whole.imag])
    assert opt.t == 0
    with pytest.raises(ValueError, match=r"params\[1\] overlaps the same memory as params\[0\]"):
        go.SGD().init([whole.real, whole.real[1:]])

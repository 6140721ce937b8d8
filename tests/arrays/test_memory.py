"""Which arrays share memory: NumPy's, and CuPy's by their addresses alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import memory as memory_module
from gpuopt.arrays.memory import Memory, share
from tests.support.asked import idle_device, on_device


@pytest.fixture(params=["numpy", "cupy"])
def made(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """What makes arrays of NumPy or CuPy from an array."""
    if request.param == "numpy":
        yield np.array
    else:
        request.getfixturevalue("emulated_gpu")
        with idle_device():
            yield on_device


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


def views(kind: str, m: Any) -> list[Any]:
    """Parts of a three-dimensional array that interleave."""
    found = {
        "columns": [m[:, 0, j] for j in range(m.shape[2])],
        "reversed columns": [m[::-1, 1, j] for j in range(m.shape[2])],
        "blocks": [m[:, :, j : j + 3] for j in range(0, m.shape[2] - 3, 3)],
        "planes": [m[:, :, j] for j in range(m.shape[2])],
        "middles": [m[:, j, :] for j in range(m.shape[1])],
        "every other": [m[..., j::12] for j in range(12)],
        "mixed": [*(m[:, 0, j] for j in range(20)), m[:, 1, :], *(m[j, 2, :30] for j in range(m.shape[0])), m[:, 2, 30:]],
    }
    return found[kind]


KINDS = ["columns", "reversed columns", "blocks", "planes", "middles", "every other", "mixed"]


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_that_interleave_are_told_apart(kind: str) -> None:
    """None shares an element with another; each finds itself, and a part of itself."""
    arrays = views(kind, np.ones((12, 11, 60)))
    memory = Memory(arrays, [f"params[{n}]" for n in range(len(arrays))])
    memory.check_distinct()
    for n, array in enumerate(arrays):
        assert memory.sharing(array) == memory.sharing(array[::2]) == memory.sharing(array[-1:]) == [n]
    for n in (0, len(arrays) // 2, len(arrays) - 1):
        with pytest.raises(ValueError, match=rf"params\[{len(arrays)}\] overlaps the same memory as params\[{n}\]"):
            Memory([*arrays, arrays[n][-1:]], [f"params[{n}]" for n in range(len(arrays) + 1)]).check_distinct()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_told_apart_is_apart(seed: int) -> None:
    """Whatever the views: what is found is what NumPy says of each pair."""
    rng = np.random.default_rng(seed)
    cuts = [[(rng.integers(6), rng.integers(1, 7), rng.choice([-3, -2, -1, 1, 2, 3])) for _ in range(3)] for _ in range(30)]
    m = np.ones((6, 6, 6), "f4")
    blocks = [m[tuple(slice(a, a + n) for a, n, _ in cut)] for cut in cuts]
    arrays = [block[tuple(slice(None, None, s) for _, _, s in cut)] for block, cut in zip(blocks, cuts, strict=True)]
    memory = Memory(arrays, [str(n) for n in range(len(arrays))])
    for array in arrays:
        assert sorted(memory.sharing(array)) == [n for n, other in enumerate(arrays) if np.shares_memory(array, other)]


@pytest.mark.parametrize("kind", ["columns", "planes", "middles", "blocks"])
def test_many_arrays_that_interleave_are_compared_few_times(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is compared with those alone that may have an element of it."""
    asked: list[Any] = []

    def noted(a: Any, b: Any) -> bool:
        asked.append((a, b))
        return np.shares_memory(a, b)

    monkeypatch.setattr(memory_module, "share", noted)
    arrays = views(kind, np.ones((5, 80, 150)))
    opt = go.SGD(0.1).init(arrays)
    opt.step(arrays)
    assert len(asked) <= 2 * len(arrays)

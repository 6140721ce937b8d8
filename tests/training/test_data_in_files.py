"""Data in files give fit the batches that arrays in memory do, read ahead, and sent to a GPU on a stream of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.variants import on_host

X = np.random.default_rng(0).normal(size=(23, 2, 3))
Y = np.arange(23.0)


@contextlib.contextmanager
def stored(kind: str, folder: Path, array: Any) -> Iterator[Any]:
    """An array in a file."""
    library = pytest.importorskip(kind)
    if kind == "h5py":
        with library.File(folder / "a.h5", "w") as file:
            yield file.create_dataset("x", data=array, chunks=(4, 2, 3))
    elif kind == "zarr":
        made = library.create_array(folder / "a.zarr", shape=array.shape, dtype=array.dtype, chunks=(4, 2, 3))
        made[...] = array
        yield made
    else:
        np.save(folder / "a.npy", array)
        yield np.load(folder / "a.npy", mmap_mode="r")


def squares(params: Any, x: Any, y: Any) -> Any:
    error = x.reshape(len(x), -1) @ params - y
    return (error * error).sum() / len(x), 2 * (error[:, None] * x.reshape(len(x), -1)).sum(axis=0) / len(x)


def trained(xp: Any, data: Any, **options: Any) -> Any:
    params = xp.zeros(6)
    history = go.fit(squares, params, data, go.Adam(0.1), epochs=2, validation=data, **options)
    return on_host(params).tolist(), {**history.to_dict(), "seconds": 0}


@pytest.mark.every("executor", kind=["h5py", "zarr", "numpy"])
def test_the_same_bits_as_from_memory(executor: str, xp: Any, kind: str, tmp_path: Path) -> None:
    """In a random order and in their own, beside an array of NumPy, also for what is measured."""
    with stored(kind, tmp_path, X) as x:
        for options in ({"batch_size": 4}, {"batch_size": 5, "shuffle": False}, {"batch_size": None}):
            right = trained(xp, (xp.asarray(X), xp.asarray(Y)), **options)
            assert trained(xp, (x, Y) if kind != "numpy" or xp is not np else (x, xp.asarray(Y)), **options) == right


def test_the_next_batch_is_read_while_one_is_used(tmp_path: Path) -> None:
    """By another thread; and an error of the file is that of fit, with the updates before it made."""
    with stored("h5py", tmp_path, X) as x:
        seen: list[int] = []

        class Watched(type(x)):  # type: ignore[misc]
            def __getitem__(self, place: Any) -> Any:
                if len(seen) == 3:
                    raise OSError("no such block")
                seen.append(threading.get_ident())
                return super().__getitem__(place)

        opt = go.Adam().init(np.zeros(6))

        def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
            while len(seen) < min(opt.t + 2, 3):  # that of the next batch
                time.sleep(0.001)
                assert time.monotonic() < end
            return squares(params, x, y)

        end = time.monotonic() + 60
        with pytest.raises(OSError, match="no such block"):
            go.fit(loss_and_grad, opt.params, (Watched(x.id), Y), opt, 5)
        assert opt.t == 3
        assert threading.get_ident() not in seen


def test_data_on_a_gpu_beside_data_in_a_file_are_named(tmp_path: Path) -> None:
    with stored("h5py", tmp_path, X) as x:
        with pytest.raises(ValueError, match=r"the arrays of data must have equal lengths, not \[23, 22\]"):
            trained(np, (x, Y[1:]))
        with pytest.raises(TypeError, match=r"data\[1\] must be a NumPy or CuPy array, not list"):
            trained(np, (x, [1.0]))

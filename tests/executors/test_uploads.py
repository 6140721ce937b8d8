"""Numbers on their way to a device: what an asynchronous copy reads outlives the copy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.support import ROOT

AT_EXIT = """
import collections
from tests.support.emulated_gpu import device
device.plug_in()
import cupy, gpuopt
with device.idle():
    collections.kept = gpuopt.Adam().init(cupy.ones(3))
    collections.kept.step(cupy.ones(3))
"""


@pytest.fixture
def pool(emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The pinned memory, of a device that copies nothing before somebody waits for it."""
    import cupy

    monkeypatch.setattr("tests.support.emulated_gpu.settings.LATE", True)
    cupy.cuda.Device().synchronize()
    found = cupy.cuda.PinnedMemoryPool()
    cupy.cuda.set_pinned_memory_allocator(found.malloc)
    yield found
    cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)


def several(width: int, count: int) -> list[Any]:
    """Uploads of float64, in one piece of memory."""
    runtime, uploads = map(import_module, ("gpuopt.executors.cuda.runtime", "gpuopt.executors.cuda.uploads"))
    found: list[Any] = uploads.PinnedUpload.several(runtime.CUPY, width, np.float64, count)
    return found


def test_pinned_memory_outlives_a_dropped_upload_until_it_was_copied(pool: Any) -> None:
    import cupy

    first, second = (several(3, 1)[0] for _ in range(2))
    array, _ = (upload.write([1.0, 2.0, 3.0]) for upload in (first, second))
    del first
    assert pool.n_free_blocks() == 0
    other = cupy.cuda.alloc_pinned_memory(24)  # whoever asks next does not get it
    np.frombuffer(other, np.float64, 3)[...] = 9.0
    assert array.tolist() == [1.0, 2.0, 3.0]
    cupy.cuda.Device().synchronize()
    del second
    assert pool.n_free_blocks() == 2


def test_uploads_of_one_piece_of_memory(pool: Any) -> None:
    """It is there as long as one of them is."""
    import cupy

    parts = several(2, 3)
    arrays = [part.write([float(n), n + 0.5]) for n, part in enumerate(parts)]
    last = parts.pop()
    del parts[:]
    assert pool.n_free_blocks() == 0
    assert [array.tolist() for array in arrays] == [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]
    cupy.cuda.Device().synchronize()
    assert pool.n_free_blocks() == 0
    del last
    assert pool.n_free_blocks() == 1
    assert several(2, 0) == []


def test_an_optimizer_that_ends_with_the_process_says_nothing(emulated_gpu: None) -> None:
    """One that a module holds which was imported before gpuopt, and so goes after it."""
    done = subprocess.run([sys.executable, "-c", AT_EXIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

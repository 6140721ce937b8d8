"""Numbers on their way to a device: what an asynchronous copy reads outlives the copy."""

from __future__ import annotations

import dataclasses
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuopt.executors.cuda import uploads
from tests.support.cuda.hostgroup import host_runtime


class Event:
    """It is done when the test says so."""

    def __init__(self, disable_timing: bool) -> None:
        self.done = False

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


class Pinned(bytearray):
    """Memory that can be referred to weakly."""


@pytest.fixture
def given() -> Any:
    """A runtime, the events and weak references to the pinned memory that it gave."""
    events: list[Event] = []
    memory: list[Any] = []

    def event(disable_timing: bool) -> Event:
        events.append(Event(disable_timing))
        return events[-1]

    def pinned(size: int) -> Pinned:
        made = Pinned(size)
        memory.append(weakref.ref(made))
        return made

    usual = host_runtime()
    cuda = SimpleNamespace(**{**vars(usual.cuda), "Event": event, "alloc_pinned_memory": pinned})
    return dataclasses.replace(usual, cuda=cuda), events, memory


def test_pinned_memory_outlives_a_dropped_upload_until_it_was_copied(given: Any) -> None:
    runtime, events, memory = given
    first, second = (uploads.PinnedUpload.several(runtime, 3, np.float64, 1)[0] for _ in range(2))
    for upload in (first, second):
        upload.write([1.0, 2.0, 3.0])
    del upload, first
    assert memory[0]() is not None
    for event in events:
        event.done = True
    del second
    assert [each() for each in memory] == [None, None]


def test_uploads_of_one_piece_of_memory(given: Any) -> None:
    """It is there as long as one of them is."""
    runtime, events, memory = given
    parts = uploads.PinnedUpload.several(runtime, 2, np.float64, 3)
    arrays = [part.write([float(n), n + 0.5]) for n, part in enumerate(parts)]
    assert [array.tolist() for array in arrays] == [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]
    assert len(memory) == 1
    last = parts.pop()
    del parts
    assert memory[0]() is not None
    for event in events:
        event.done = True
    assert memory[0]() is not None
    del last
    assert memory[0]() is None
    assert uploads.PinnedUpload.several(runtime, 2, np.float64, 0) == []

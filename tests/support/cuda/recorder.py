"""A CUDA graph on the CPU: while it records, kernels are not run but kept with their arguments, to be run again and again."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

from gpuopt.executors import using

from .hostgroup import Stream, _Memory, gradients_are_recognized, host_executor, host_runtime


class Recorder:
    """What was launched while it was recording: functions that do it.

    As in a CUDA graph, numbers among the arguments are frozen, and arrays are meant by their memory.
    """

    def __init__(self) -> None:
        self.recording = False
        self.kept: list[Callable[[], object]] = []

    def do(self, work: Callable[[], object]) -> None:
        """Do the work, or keep it."""
        if self.recording:
            self.kept.append(work)
        else:
            work()

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Keep what is launched inside."""
        self.kept, self.recording = [], True
        try:
            yield
        finally:
            self.recording = False

    def replay(self) -> None:
        """Run what was kept."""
        for work in self.kept:
            work()


class _Event:
    """An event that was recorded inside a capture last cannot be waited for, as CUDA has it."""

    done = True

    def __init__(self, recorder: Recorder, disable_timing: bool) -> None:
        self.recorder, self.captured = recorder, False

    def record(self) -> None:
        self.captured = self.recorder.recording

    def synchronize(self) -> None:
        assert not self.captured, "cudaErrorCapturedEvent"


class _Stream(Stream):
    """What is launched on another stream than the one that is captured is done at once."""

    def __init__(self, recorder: Recorder, non_blocking: bool) -> None:
        super().__init__(non_blocking)
        self.recorder, self.recording = recorder, recorder.recording

    def __enter__(self) -> None:
        self.recorder.recording = False

    def __exit__(self, *_: object) -> None:
        self.recorder.recording = self.recording


@contextlib.contextmanager
def recording_on_the_cpu() -> Iterator[Recorder]:
    """`cupy_on_the_cpu`, with what records its launches, and refuses copies to the device meanwhile as CuPy does."""
    recorder = Recorder()

    def copy(memory: Any, source: int, size: int) -> None:
        if recorder.recording:
            raise RuntimeError("the current stream is capturing, so H2D transfers are disallowed")
        ctypes.memmove(memory.ptr, source, size)

    usual = host_runtime()
    stream = SimpleNamespace(is_capturing=lambda: recorder.recording, synchronize=lambda: None)
    usual.xp.empty = usual.xp.zeros  # what is read before it is written is 0 at least
    usual.cuda.get_current_stream = lambda: stream
    usual.cuda.Event = functools.partial(_Event, recorder)
    usual.cuda.Stream = functools.partial(_Stream, recorder)
    runtime = dataclasses.replace(usual, compile_kernel=_recorded(recorder, usual.compile_kernel))
    executor, copying = host_executor(runtime), mock.patch.object(_Memory, "copy_from_host_async", copy)
    with copying, using(executor), gradients_are_recognized():
        yield recorder


def _recorded(recorder: Recorder, compile_kernel: Callable[[Any], Any]) -> Callable[[Any], Callable[..., None]]:
    def recorded(written: Any) -> Callable[..., None]:
        kernel = compile_kernel(written)
        return lambda *arguments, size=None: recorder.do(lambda: kernel(*arguments, size=size))

    return recorded

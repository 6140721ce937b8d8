"""A CUDA graph on the CPU: while it records, kernels are not run but kept with their arguments, to be run again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from unittest import mock

from .hostgroup import cupy_on_the_cpu


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


@contextlib.contextmanager
def recording_on_the_cpu() -> Iterator[Recorder]:
    """`cupy_on_the_cpu`, with what records its launches."""
    recorder = Recorder()
    with cupy_on_the_cpu(), contextlib.ExitStack() as patches:
        for name in ("cupy_kernel", "cupy_phases"):
            module = import_module(f"gpuopt.executors.{name}")
            patches.enter_context(mock.patch.object(module, "made", _recorded(recorder, module.made)))
        yield recorder


def _recorded(recorder: Recorder, made: Callable[[Any], Any]) -> Callable[[Any], Callable[..., None]]:
    def recorded(written: Any) -> Callable[..., None]:
        kernel = made(written)
        return lambda *arguments, size=None: recorder.do(lambda: kernel(*arguments, size=size))

    return recorded

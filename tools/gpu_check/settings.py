"""What there is to tune in a launch, and how a process takes other values of it; this is the only place that knows."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.compile import compile_kernel
from gpuopt.codegen.cuda.elementwise import KernelSource
from gpuopt.codegen.cuda.reduction import reduction_source, reductions_source
from gpuopt.codegen.cuda.scalars import scalar_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.executors.cuda.launch import CupyExecutor


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to launch a step.

    Attributes
    ----------
    chunk, in_flight, lanes_in_flight : int
        As in `gpuopt.codegen.cuda.tuning`; the last two are of reductions.
    block : int
        Threads of a block.
    vectors : int
        How many times 16 bytes of the narrowest array a thread loads before it computes.
    streaming : bool
        Whether stores say that nobody reads them soon (``.cs``).
    """

    chunk: int = tuning.UPDATE_CHUNK
    in_flight: int = tuning.IN_FLIGHT
    lanes_in_flight: int = tuning.LANES_IN_FLIGHT
    block: int = 128
    vectors: int = 1
    streaming: bool = False

    def __str__(self) -> str:
        words = [f"chunk {self.chunk:,}", f"block {self.block}"]
        words += [f"{self.vectors} vectors"] * (self.vectors > 1) + ["streaming stores"] * self.streaming
        return ", ".join([*words, f"{self.in_flight} and {self.lanes_in_flight} in flight"])


SETTINGS = (
    Setting(),
    Setting(streaming=True),
    Setting(vectors=2),
    Setting(block=256),
    Setting(chunk=8_192),
    Setting(chunk=2_048),
    Setting(chunk=16_384, block=256),
    Setting(block=512),
)
"""For updates: the first is what steps use; the others come in the order of what they promise."""
REDUCTIONS = (
    Setting(),
    Setting(in_flight=4),
    Setting(in_flight=16),
    Setting(lanes_in_flight=8),
    Setting(lanes_in_flight=128),
)
"""The same for reductions."""


COUNTS = (
    r"(?<=% )\d+(?= : first)",
    r"(?<=lane \* )\d+(?=; at < whole)",
    r"(?<=; at < whole; at \+= )\d+",
    r"(?<=Width<)\d+(?=, 16>)",
)
"""Where an update says how many elements a thread takes at a time."""


def rewritten(written: KernelSource, setting: Setting) -> KernelSource:
    """The text of a kernel with a setting's loads and stores; only an update by a table has them.

    Raises
    ------
    ValueError
        If the text is not as it was when this was written: nothing is measured twice under two names.
    """
    if "Width<" not in written.body:
        return written
    body, preamble = written.body, written.preamble
    for place in COUNTS if setting.vectors > 1 else ():
        body = _replaced(place, lambda found: str(int(found[0]) * setting.vectors), body, 1)
    if setting.streaming:
        preamble = _replaced(r"st\.global\.v", lambda _: "st.global.cs.v", preamble, 2)
    return dataclasses.replace(written, body=body, preamble=preamble)


def _replaced(place: str, value: Callable[[re.Match[str]], str], text: str, times: int) -> str:
    found, count = re.subn(place, value, text)
    if count != times:
        raise ValueError(f"the text of an update has {count} times what {place!r} finds, not {times}: see {__file__}")
    return found


@contextlib.contextmanager
def applied(setting: Setting) -> Iterator[None]:
    """Optimizers that are made inside launch their kernels so."""
    runtime = CupyExecutor.runtime

    def compiled(written: KernelSource) -> Callable[..., Any]:
        return functools.partial(compile_kernel(rewritten(written, setting)), block_size=setting.block)

    constants = {"UPDATE_CHUNK": setting.chunk, "IN_FLIGHT": setting.in_flight, "LANES_IN_FLIGHT": setting.lanes_in_flight}
    other = dataclasses.replace(runtime, compile_kernel=compiled)
    try:
        with mock.patch.dict(vars(tuning), constants), mock.patch.object(CupyExecutor, "runtime", other):
            _forget()
            yield
    finally:
        _forget()


def _forget() -> None:
    """Forget the texts that were written with other constants."""
    for source in (table_source, reduction_source, reductions_source, scalar_source):
        source.cache_clear()

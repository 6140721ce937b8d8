"""What there is to tune in a launch, the constants of `gpuopt.codegen.cuda.tuning`, and how a process takes other values."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from unittest import mock

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.reduction import reduction_source, reductions_source
from gpuopt.codegen.cuda.scalars import scalar_source
from gpuopt.codegen.cuda.table import table_source


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to launch a step: a value for each constant, the one that is used where nothing is said."""

    update_chunk: int = tuning.UPDATE_CHUNK
    block: int = tuning.BLOCK
    vectors: int = tuning.VECTORS
    streaming_stores: bool = tuning.STREAMING_STORES
    in_flight: int = tuning.IN_FLIGHT
    lanes_in_flight: int = tuning.LANES_IN_FLIGHT

    def __str__(self) -> str:
        """What differs from what steps use."""
        values, used = dataclasses.asdict(self), dataclasses.asdict(Setting())
        other = [f"{name.upper()} = {value}" for name, value in values.items() if value != used[name]]
        return ", ".join(other) or "as it is"


SETTINGS = (
    Setting(),
    Setting(streaming_stores=not tuning.STREAMING_STORES),
    Setting(vectors=2),
    Setting(block=256),
    Setting(block=64),
    Setting(update_chunk=16_384),
    Setting(update_chunk=12_288),
    Setting(update_chunk=4_096),
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


@contextlib.contextmanager
def applied(setting: Setting) -> Iterator[None]:
    """Optimizers that are made inside, and have made a step there, launch their kernels so."""
    constants = {name.upper(): value for name, value in dataclasses.asdict(setting).items()}
    try:
        with mock.patch.dict(vars(tuning), constants):
            _forget()
            yield
    finally:
        _forget()


def _forget() -> None:
    """Forget the texts that were written with other constants."""
    for source in (table_source, reduction_source, reductions_source, scalar_source):
        source.cache_clear()

"""Kernels tuned otherwise than `gpuopt.codegen.cuda.tuning` says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.reduction import reductions_source
from gpuopt.codegen.cuda.scalars import scalar_source
from gpuopt.codegen.cuda.table import table_source

OTHERWISE: list[dict[str, Any]] = [
    {"UPDATE_CHUNK": 1024, "BLOCK": 256},
    {"VECTORS": 2, "STREAMING_STORES": True},
    {"IN_FLIGHT": 1, "LANES_IN_FLIGHT": 2},
]


@contextlib.contextmanager
def tuned(values: dict[str, Any]) -> Iterator[None]:
    """Meanwhile texts are made of these values."""
    sources = table_source, reductions_source, scalar_source
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in values.items():
                patch.setattr(tuning, name, value)
            for source in sources:
                source.cache_clear()
            yield
    finally:
        for source in sources:
            source.cache_clear()

"""CuPy's own arrays without a GPU: what asv's benchmarks count launches on, loaded for the tests."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parents[3] / "asv_bench" / "benchmarks" / "no_gpu.py"
spec = importlib.util.spec_from_file_location("gpuopt_no_gpu", PATH)
assert spec is not None
assert spec.loader is not None
no_gpu: Any = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = no_gpu
spec.loader.exec_module(no_gpu)


def arrays(count: int, dtype: str = "float32", shape: tuple[int, ...] = (4, 2)) -> list[Any]:
    """CuPy arrays of ones."""
    return [no_gpu.to_device(np.ones(shape, dtype)) for _ in range(count)]


def during(log: Any, opt: Any, grads: Any) -> Counter[str]:
    """How often a step asks for each thing."""
    log.clear()
    opt.step(grads)
    return Counter(event[0] for event in log.events)

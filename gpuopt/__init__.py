"""First-order optimizers for plain NumPy and CuPy arrays."""

from gpuopt import rules as _rules
from gpuopt import schedules
from gpuopt.arrays.backend import array_module, info, use, xp
from gpuopt.codegen.source import cuda_source
from gpuopt.optimizer.capture import graph
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules import *
from gpuopt.tracing.trace import TraceError
from gpuopt.training.fit import fit
from gpuopt.training.history import History
from gpuopt.training.minimize import OptimizeResult, minimize, scipy_method

__version__ = "0.1.0"
__all__ = [
    "History",
    "OptimizeResult",
    "Optimizer",
    "TraceError",
    "array_module",
    "cuda_source",
    "fit",
    "graph",
    "info",
    "minimize",
    "schedules",
    "scipy_method",
    "use",
    "xp",
]
__all__ += _rules.__all__

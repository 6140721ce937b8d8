"""First-order optimizers for plain NumPy and CuPy arrays."""

from gpuopt import rules as _rules
from gpuopt import schedules
from gpuopt.backend import array_module, info, use, xp
from gpuopt.fit import fit
from gpuopt.history import History
from gpuopt.optimizer import Optimizer
from gpuopt.rules import *
from gpuopt.source import cuda_source
from gpuopt.trace import TraceError

__version__ = "0.1.0"
__all__ = ["History", "Optimizer", "TraceError", "array_module", "cuda_source", "fit", "info", "schedules", "use", "xp"]
__all__ += _rules.__all__

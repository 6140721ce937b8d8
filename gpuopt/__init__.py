"""First-order optimizers for plain NumPy and CuPy arrays."""

import typing

from gpuopt import schedules
from gpuopt.arrays.backend import array_module, info, use, xp
from gpuopt.arrays.tree import ArrayTree
from gpuopt.codegen.source import cuda_source
from gpuopt.optimizer.capture import graph
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules import (
    ADOPT,
    QHM,
    SGD,
    AdaBelief,
    AdaDelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    Bound,
    Chain,
    Decay,
    GradientDescent,
    GradientPiece,
    Hyper,
    Lion,
    LossScale,
    Momentum,
    NonNegative,
    OptimisticGradient,
    ParameterPiece,
    Partition,
    Positive,
    RMSProp,
    Rule,
    SignSGD,
    Signum,
    Yogi,
    abs2,
    accumulate,
    average,
    bounds,
    centralize,
    chain,
    clip,
    clip_global_norm,
    clip_norm,
    debias,
    decoupled_weight_decay,
    freeze,
    gradient_noise,
    lookahead,
    maximize,
    partition,
    scale,
    skip_nonfinite,
    standard_normal,
    tree_max,
    tree_mean,
    tree_norm,
    tree_sum,
    weight_decay,
)
from gpuopt.tracing.trace import TraceError
from gpuopt.training.fit import fit
from gpuopt.training.history import History
from gpuopt.training.minimize import minimize
from gpuopt.training.result import OptimizeResult
from gpuopt.training.scipy_method import scipy_method

__version__ = "0.1.0"
__all__ = [
    "ADOPT",
    "QHM",
    "SGD",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ArrayTree",
    "Bound",
    "Chain",
    "Decay",
    "GradientDescent",
    "GradientPiece",
    "History",
    "Hyper",
    "Lion",
    "LossScale",
    "Momentum",
    "NonNegative",
    "OptimisticGradient",
    "OptimizeResult",
    "Optimizer",
    "ParameterPiece",
    "Partition",
    "Positive",
    "RMSProp",
    "Rule",
    "SignSGD",
    "Signum",
    "TraceError",
    "Yogi",
    "abs2",
    "accumulate",
    "array_module",
    "average",
    "bounds",
    "centralize",
    "chain",
    "clip",
    "clip_global_norm",
    "clip_norm",
    "cuda_source",
    "debias",
    "decoupled_weight_decay",
    "fit",
    "freeze",
    "gradient_noise",
    "graph",
    "info",
    "lookahead",
    "maximize",
    "minimize",
    "partition",
    "scale",
    "schedules",
    "scipy_method",
    "skip_nonfinite",
    "standard_normal",
    "tree_max",
    "tree_mean",
    "tree_norm",
    "tree_sum",
    "use",
    "weight_decay",
    "xp",
]


if not typing.TYPE_CHECKING:  # to a type checker any name would then be one of the module's

    def __getattr__(name):
        from gpuopt.rules.elsewhere import not_exported

        raise not_exported(name, __all__)

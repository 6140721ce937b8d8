"""A rule bound to arrays: parameter groups, gradients, three ways of a step, saved state, CUDA
graphs.

Comes in: a rule, parameters and gradients. Imports: `arrays`, `rules`, `schedules`, `tracing`,
`codegen` and `executors`.
"""

from gpuopt.optimizer.optimizer import Optimizer

__all__ = ["Optimizer"]

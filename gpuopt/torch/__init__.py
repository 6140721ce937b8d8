"""PyTorch: any rule as a ``torch.optim.Optimizer``, which updates the tensors in place.

``go.torch.Optimizer(model.parameters(), go.Adam(1e-3))`` stands where ``torch.optim.Adam`` stood.
Comes in: parameters, a rule, gradients in ``.grad``. Imports: PyTorch, and all wings of an update.
`gpuopt` imports it when it is asked for.
"""

from gpuopt.arrays.backend import optional_import

optional_import("torch", "gpuopt.torch")

from gpuopt.torch.optimizer import Optimizer  # noqa: E402 # which needs what was looked for

__all__ = ["Optimizer"]

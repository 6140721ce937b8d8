"""PyTorch: any rule as a ``torch.optim.Optimizer``, which updates the tensors in place.

Write ``go.torch.Optimizer(model.parameters(), go.Adam(1e-3))`` in place of ``torch.optim.Adam``.
Comes in: parameters, a rule, gradients in ``.grad``. Imports: PyTorch, and all wings of an update.
`gpuopt` imports this wing on first use.
"""

from gpuopt.arrays.backend import optional_import

optional_import("torch", "gpuopt.torch")

from gpuopt.torch.optimizer import Optimizer  # noqa: E402 # which needs PyTorch

__all__ = ["Optimizer"]

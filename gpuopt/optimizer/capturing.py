"""The one door of `gpuopt.graph` to the inside of an optimizer.

Comes in: gradients, while CUDA captures or just before. Goes out: the launches of a step whose
counts are on the device, so that nothing is noted on the host.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gpuopt.optimizer.gradients import GradientReader
from gpuopt.optimizer.guard import Guard

if TYPE_CHECKING:
    from gpuopt.optimizer.steps.counting import CountingSteps

__all__ = ["Capturing"]


class Capturing:
    """An optimizer whose steps are captured. Callers of a method hold the lock that `exclusive`
    gives.

    Attributes
    ----------
    device : Device
        The device of its arrays.
    """

    def __init__(self, guard: Guard, reader: GradientReader, steps: CountingSteps) -> None:
        self._guard, self._reader, self._steps, self._binding = guard, reader, steps, steps.binding
        self.device = steps.device
        self._gradients = list[Any]()

    @property
    def structure(self) -> int:
        """A number that is another one when the rule was set to one that needs other kernels."""
        return self._steps.structure

    def exclusive(self, what: str) -> threading.Lock:
        """The lock to hold; RuntimeError if the optimizer is in use, and so cannot be `what`."""
        return self._guard.exclusive(what)

    def check(self) -> None:
        """Raise RuntimeError or ValueError if no step can be made now."""
        self._guard.check()

    def launch(self, grads: Any, loss: Any = None) -> None:
        """Launch a step into a graph that is being captured: nothing happens yet."""
        self._guard.check()
        gradients, where = self._reader.read(grads)
        self._gradients = gradients
        loss = self._binding.loss(loss, where.complete)
        self._steps.execute(self._steps.plan(gradients, where, loss))

    def replayed(self) -> None:
        """Tell PyTorch that the step which was launched has been made again."""
        self._guard.written(self._gradients, self._binding.updated)

    def dry_run(self, grads: Any, loss: Any = None) -> None:
        """Launch the same kernels at once, without effect: they are compiled, and have what they
        need.
        """
        self._guard.check()
        gradients, where = self._reader.read(grads)
        loss = self._binding.loss(loss, where.complete)
        self._steps.execute(self._steps.dry_run(gradients, loss))

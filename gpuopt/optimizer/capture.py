"""A training step as one CUDA graph: forward pass, backward pass and update, captured and replayed.

A replay is a single launch, so it costs the host almost nothing, for any number of kernels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from gpuopt.arrays import check
from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.typed import CupyArray, LossAndGrad
from gpuopt.optimizer.capture_checks import REFUSED, check_arguments, check_batch, explain
from gpuopt.optimizer.capturing import Capturing
from gpuopt.optimizer.optimizer import Optimizer

__all__ = ["CapturedStep", "graph"]

_WARM_UP = 3  # the first call compiles, by the last the memory pool holds all that a call takes


def graph(loss_and_grad: LossAndGrad, opt: Optimizer, *batch: CupyArray) -> CapturedStep:
    """Capture forward pass, backward pass and update in one CUDA graph.

    This call updates nothing. It calls `loss_and_grad` a few times to compile its kernels, and once
    to capture it; `loss_and_grad` must not call ``opt.step``. Python code in it runs only in these
    calls; a replay repeats only its launches.

    Parameters
    ----------
    loss_and_grad : callable
        ``loss_and_grad(params, *batch) -> (loss, grads)``, as for `fit`; the loss is a real 0-d
        CuPy array.
    opt : Optimizer
        An optimizer of CuPy arrays, made by ``rule.init(params, capturable=True)``.
    *batch : array
        CuPy arrays that `loss_and_grad` reads. Every replay reads the same arrays, with their new
        values.

    Returns
    -------
    CapturedStep
        Call it to make a step: ``g()``, or ``g(*new_batch)`` to copy new values into `batch` first.

    Raises
    ------
    TypeError, ValueError
        If an argument, or the result of `loss_and_grad`, is not as described.
    RuntimeError
        If the step cannot be captured; the message names the line and the remedy. The optimizer is
        unchanged.

    Examples
    --------
    ::

        opt = go.Adam(1e-3).init(params, capturable=True)
        step = go.graph(loss_and_grad, opt, x, y)
        for x, y in batches:
            loss = step(x, y)
    """
    inside = check_arguments(loss_and_grad, opt, batch)
    with inside.exclusive("captured"), inside.device:
        return CapturedStep(loss_and_grad, opt, batch, inside)


class CapturedStep:
    """A captured step, made by `graph`. A call launches one step on the current stream.

    A call waits for nothing.

    Attributes
    ----------
    opt : Optimizer
        Between replays it works as usual: ``opt.t``, ``state_dict``, single steps, and ``opt.rule =
        ...`` with other numbers.
    batch : tuple of array
        The arrays that are read.
    """

    def __init__(
        self,
        loss_and_grad: LossAndGrad,
        opt: Optimizer,
        batch: tuple[CupyArray, ...],
        inside: Capturing,
    ) -> None:
        from cupy import cuda

        self.opt, self.batch, self._inside, self._structure = opt, batch, inside, inside.structure
        # What is allocated inside is written by every replay: it comes from a pool that nobody else
        # takes from.
        self._pool = cuda.MemoryPool()
        allocate = _allocator(self._pool)
        before, stream = cuda.get_current_stream(), cuda.Stream(non_blocking=True)
        stream.wait_event(before.record())
        try:
            with cuda.using_allocator(allocate), stream:
                self._warm_up(loss_and_grad)
                self._loss, grads, self._graph = self._captured(stream, loss_and_grad)
        finally:
            before.wait_event(stream.record())
        self._kept = loss_and_grad, grads  # whose memory the graph reads

    def _warm_up(self, loss_and_grad: LossAndGrad) -> None:
        """Compile and allocate all that a step needs, without making one."""
        for _ in range(_WARM_UP):
            loss = grads = None  # the memory of the call before serves the next one
            loss, grads = check.loss_and_grads(loss_and_grad(self.opt.params, *self.batch))
        if not is_cupy(loss):
            raise TypeError(
                "go.graph: the loss must be a 0-d CuPy array, which replays can write, not "
                f"{type(loss).__name__}: leave it on the device"
            )
        self._inside.dry_run(grads, loss)

    def _captured(self, stream: Any, loss_and_grad: LossAndGrad) -> tuple[Any, Any, Any]:
        """The loss, the gradients, and the graph that makes them and a step."""
        stream.begin_capture()
        try:
            loss, grads = check.loss_and_grads(loss_and_grad(self.opt.params, *self.batch))
            self._inside.launch(grads, loss)
        except BaseException as error:
            with contextlib.suppress(Exception):  # it may have been broken off already
                stream.end_capture()
            explain(error)
            raise
        try:
            return loss, grads, stream.end_capture()
        except Exception as error:
            raise RuntimeError(
                f"go.graph: what loss_and_grad did cannot be captured ({error}). {REFUSED}"
            ) from error

    def __call__(self, *batch: CupyArray) -> Any:
        """Make one step.

        Parameters
        ----------
        *batch : array
            New values for `batch`: as many arrays, of the same shapes and dtypes. Without any,
            `batch` is read as it is.

        Returns
        -------
        array
            The loss, 0-d; the next replay overwrites it.

        Raises
        ------
        TypeError, ValueError
            If an array is not like that of `batch`, or an entry of params was replaced. Then no
            step is made.
        RuntimeError
            If the rule's structure is no longer the captured one.
        """
        if batch:
            check_batch(batch, self.batch)
        with self._inside.exclusive("replayed"):
            self._inside.check()
            if self._inside.structure != self._structure:
                raise RuntimeError(
                    "opt.rule has another structure than the captured step (more than its numbers "
                    "changed): capture the step again with go.graph"
                )
            with self._inside.device:
                for kept, new in zip(self.batch, batch, strict=False):
                    kept[...] = new
                self._graph.launch()
            self._inside.replayed()
        return self._loss


def _allocator(pool: Any) -> Callable[[int], Any]:
    """An allocator from a pool that it keeps alive: CuPy frees a pool's memory with the pool.

    Such arrays may outlive the graph: the loss, arrays that `loss_and_grad` keeps, and CuPy's plans
    of FFTs.
    """
    from cupy import cuda

    def allocate(size: int) -> Any:
        pointer = pool.malloc(size)
        return cuda.MemoryPointer(
            cuda.UnownedMemory(pointer.ptr, size, (pointer, pool), pointer.device_id), 0
        )

    return allocate

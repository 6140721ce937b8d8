"""Training: forward pass, backward pass and update, batch after batch, with a record of the loss.

Nothing in the loop waits for a GPU: the losses stay in an array there until an epoch ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np

from gpuopt.arrays.options import brief, flag, generator, whole
from gpuopt.arrays.tree import leaves
from gpuopt.arrays.typed import AnyArray, ArrayTree, LossAndGrad
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.optimizer.processes import ALONE
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import loss_scale_name, takes_back
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.arguments import check_callback, remedy
from gpuopt.training.checkpoints.checkpointer import Checkpointer, check_checkpointer
from gpuopt.training.checkpoints.resuming import resume
from gpuopt.training.data import batch_size_of, check_batch, checked
from gpuopt.training.epochs import Training
from gpuopt.training.history import History
from gpuopt.training.validation import Validation

__all__ = ["History", "fit"]

Seed: TypeAlias = (  # a text, because NumPy imports its random numbers where they are asked for
    "int | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None"
)


@by_known_names("gpuopt.fit(loss_and_grad, params, data, gpuopt.Adam())")
def fit(
    loss_and_grad: LossAndGrad,
    params: ArrayTree,
    data: AnyArray | tuple[AnyArray, ...],
    rule: Bindable | Optimizer,
    batch_size: SupportsIndex | None = 64,
    epochs: SupportsIndex = 10,
    shuffle: bool = True,
    seed: Seed = 0,
    progress: bool = False,
    callback: Callable[[History], object] | None = None,
    *,
    validation: AnyArray | tuple[AnyArray, ...] | None = None,
    metrics: Mapping[str, Callable[..., SupportsFloat]] | None = None,
    patience: SupportsIndex | None = None,
    min_delta: float = 0.0,
    checkpoint: Checkpointer | None = None,
) -> History:
    """Train `params` in place: forward pass, backward pass and one update for each batch.

    Parameters
    ----------
    loss_and_grad : callable
        ``loss_and_grad(params, *batch) -> (loss, grads)``: the forward and the backward pass. The
        loss is a real number or 0-d array, usually the mean over the batch. The gradients have the
        structure of `params`.
    params : array, or lists, tuples or dicts of arrays
        The parameters, updated in place.
    data : array or tuple of arrays
        The examples along the first axis, the same number in every array, on the device of
        `params`. An array of h5py or zarr stays in its file. So does a ``numpy.memmap`` if `params`
        are on a GPU. The next batch is read, and sent to the GPU on its own stream, while the
        current one is used. Such arrays and NumPy arrays may be mixed.
    rule : Rule or Optimizer
        The rule that updates the parameters; or an optimizer of the same `params`, whose state
        continues.
    batch_size : int or None
        Examples per update: 1 is stochastic, more (typically a power of two) is mini-batch, and
        None takes all (batch). The last batch of an epoch is shorter if the number of examples is
        not a multiple.
    epochs : int
        Passes over the data.
    shuffle : bool
        Take the examples in a new random order in each epoch. If False, or if one batch holds all
        examples, batches are views of `data` in its own order.
    seed : int or numpy.random.Generator
        Determines the order, which the host draws, so it is the same on every backend. The same
        seed repeats the same orders. To continue a stream, pass one generator to several calls.
    progress : bool
        Show a progress bar, with the epoch and the loss, in a terminal or a notebook; needs tqdm.
        On a GPU it shows the last loss that has arrived, and waits for none.
    callback : callable, optional
        ``callback(history)`` after each epoch; returning True stops. If it stops one of several
        processes, all stop.
    validation : array or tuple of arrays, optional
        Data like `data` to measure after each epoch. ``history.validation`` holds the mean of the
        loss that `loss_and_grad` returns for the parameters of ``Optimizer.evaluation()``. In
        several processes it is the mean over the examples of all.
    metrics : dict, optional
        Functions by name that are also measured on the validation data: ``metric(params, *batch)``
        returns a real number, the mean over the batch. ``history.metrics`` holds the means over all
        batches.
    patience : int, optional
        Stop if the validation loss has not fallen for this many epochs. The parameters stay those
        of the last epoch. On a GPU, each epoch then waits for the loss.
    min_delta : float
        The least fall that counts for `patience`.
    checkpoint : Checkpointer, optional
        Continue from the newest checkpoint in its folder, and save checkpoints there. A killed run
        ends with the bits of an uninterrupted one, including its order of examples. `epochs` and
        the record count the whole run. The callback is called before its epoch is saved.

    Returns
    -------
    History
        The loss of every update, and the number of epochs, updates and seconds.

    Raises
    ------
    FloatingPointError
        If a loss is not finite and `gpuopt.backtrack` does not take back the step before. The
        message names the update. A NumPy loss is checked before its update, so the parameters are
        those of the previous update. Losses on a GPU are checked after an epoch (after several
        short ones), so later updates have already happened.
    TypeError, ValueError
        If an argument is not as described; nothing has changed then. Also if `loss_and_grad` does
        not return a pair as described.
    RuntimeError
        With an optimizer of several processes, in all of them if one raises an error. The message
        names its rank.
    """

    def prepared() -> Training:
        _check_options(loss_and_grad, callback, checkpoint)
        flag("shuffle", shuffle), flag("progress", progress)
        arrays, xp = checked(data, params)
        check_batch("loss_and_grad", loss_and_grad, data)
        count, number = arrays[0].shape[0], whole("epochs", epochs, 0)
        size = batch_size_of(batch_size, count)
        measured = (validation, params, loss_and_grad, size, metrics, patience, min_delta)
        after, opt = Validation(*measured), _optimizer(rule, params)
        rng = generator(seed) if shuffle and size < count else None
        history, forward = History(takes_back(opt.rule)), functools.partial(loss_and_grad, params)
        given = (arrays, size, number, rng, xp)
        return Training(forward, opt, history, *given, after, callback, checkpoint)

    processes = rule._processes if isinstance(rule, Optimizer) else ALONE
    training = processes.together("fit", prepared)
    processes.agree("fit", _told(training))
    if checkpoint is not None:
        an_epoch = training.data[0].shape[0], training.updates
        resume(checkpoint, training.optimizer, training.history, training.rng, an_epoch)
    return training.run(progress)


def _told(training: Training) -> dict[str, str]:
    """What must be the same in several processes, or they would wait for one another."""
    every = None if training.checkpoint is None else training.checkpoint.every
    return {
        "epochs": str(training.epochs),
        "updates of an epoch": str(training.updates),
        "the epochs between checkpoints": str(every),
        "what validation measures": training.validation.described,
    }


def _check_options(loss_and_grad: Any, callback: Any, checkpoint: Any) -> None:
    if not callable(loss_and_grad):
        raise TypeError(
            f"loss_and_grad must be callable, not {brief(loss_and_grad)}: the order is "
            "gpuopt.fit(loss_and_grad, params, data, rule)"
        )
    check_callback(callback)
    check_checkpointer(checkpoint)


def _optimizer(rule: Bindable | Optimizer, params: Any) -> Optimizer:
    if not isinstance(rule, Optimizer):
        if not isinstance(rule, Bindable):
            raise TypeError(
                f"rule must be a rule such as Adam() or an Optimizer, not {rule!r}{remedy(rule)}"
            )
        made = rule.init(params)
        if loss_scale_name(rule) is not None:
            raise ValueError(
                f"{rule!r} divides the gradients by a scale, and loss_and_grad must multiply the "
                "loss by it: write opt = rule.init(params), use opt.loss_scale in loss_and_grad, "
                "and pass opt in place of the rule"
            )
        return made
    own, given = leaves(rule.params), leaves(params)
    if len(own) != len(given) or any(a is not b for a, b in zip(own, given, strict=True)):
        raise ValueError(
            "the optimizer was made for other arrays than params: pass its own, optimizer.params"
        )
    return rule

"""Optimizers of several processes, on MPI: each has its own examples, and all make the same steps.

`init` is the door. Comes in: a communicator of mpi4py, whose own functions send everything.
Imports: optimizer. `gpuopt` imports it when it is asked for, and it imports no library.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from gpuopt.arrays import check, exchange
from gpuopt.arrays.packages import command
from gpuopt.arrays.tree import TreeSpec
from gpuopt.arrays.typed import ArrayTree, HyperArrays
from gpuopt.distributed.agreement import agree, described, shown, together
from gpuopt.distributed.averaging import Averaging
from gpuopt.distributed.buckets import Order, broadcast
from gpuopt.distributed.sharding import Sharding
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.written import is_written

__all__ = ["init"]

BindableT = TypeVar("BindableT", bound=Bindable)

_NEEDED = ("size", "rank", "allgather", "Allgather", "Alltoall", "Bcast", "Reduce_scatter_block")
_WHAT = "gpuopt.distributed.init"


def init(
    rule: BindableT,
    params: ArrayTree,
    comm: Any,
    *,
    shard: bool = False,
    order: Order = "fast",
    hyper: HyperArrays | None = None,
    master: bool = False,
    stochastic_rounding: bool = False,
    seed: int = 0,
    state_dtype: str | None = None,
) -> Optimizer[BindableT]:
    """Bind a rule to the parameters of several processes, which update them alike.

    Every process calls it, with parameters of the same structure, and then ``step`` with gradients
    of its own examples: the step takes their mean. The parameters of rank 0 are those of all.

    Parameters
    ----------
    rule, params, hyper, master, stochastic_rounding, seed, state_dtype
        As for `Rule.init`, the same in every process.
    comm : mpi4py communicator
        Such as ``mpi4py.MPI.COMM_WORLD``.
    shard : bool
        Keep in each process the state of its share of each array alone: a quarter of it with four
        processes. Each updates its share, and all send theirs. Not for rules that need whole arrays
        beyond norms, nor together with options.
    order : {"fast", "fixed"}
        How gradients are added: as MPI does soonest, or in the order of the ranks, whatever MPI
        does.

    Returns
    -------
    Optimizer
        Its ``step``, and if `shard` ``state_dict`` and ``evaluation``, are called by all processes.

    Raises
    ------
    TypeError
        If `comm` is not a communicator.
    RuntimeError, ValueError
        In all processes alike, if one has other arrays, another rule or another version, or cannot
        bind them; the message names its rank.

    Notes
    -----
    The mean is ``(g₀ + g₁ + …) / n``, added up in the precision in which the arrays are computed.
    Each of its elements is added up by one process, and sent to all: they have the same bits, so
    norms, skipped steps and loss scales are the same. Arrays on a GPU go through the host.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> from mpi4py import MPI                                          # doctest: +SKIP
    >>> x = np.zeros(1000)
    >>> opt = go.distributed.init(go.Adam(), x, MPI.COMM_WORLD)         # doctest: +SKIP
    >>> opt.step(gradient_of_my_examples(x))                            # doctest: +SKIP
    """
    if missing := [name for name in _NEEDED if not hasattr(comm, name)]:
        raise TypeError(
            f"comm must be a communicator such as mpi4py.MPI.COMM_WORLD ({command('mpi4py')}), got "
            f"{type(comm).__name__}, which has no {missing[0]}"
        )
    options = {
        "hyper": hyper,
        "master": master,
        "stochastic_rounding": stochastic_rounding,
        "seed": seed,
        "state_dtype": state_dtype,
    }
    spec, mine = together(comm, _WHAT, lambda: _described(rule, params, shard, order, options))
    agree(comm, _WHAT, mine)

    def made() -> Optimizer[BindableT]:
        kind: Any = Sharding if shard else Averaging
        given = {} if shard else options
        optimizer: Optimizer[BindableT] = kind(comm, order, spec, rule, params, **given)
        return optimizer

    together(comm, _WHAT, made)  # before any parameter is written
    for leaf in spec.leaves:
        broadcast(comm, leaf)
    return together(comm, _WHAT, made)  # for state may begin with them


def _described(
    rule: Any, params: Any, shard: bool, order: str, options: dict[str, Any]
) -> tuple[TreeSpec, dict[str, str]]:
    """The parameters, and what must be the same in all processes."""
    if not isinstance(rule, Bindable):
        raise TypeError(f"rule must be a gpuopt.Rule, got {rule!r}{class_hint(rule)}")
    if order not in ("fast", "fixed"):
        raise ValueError(f"order must be 'fast' or 'fixed', got {order!r}")
    given = {name: value for name, value in options.items() if value not in (None, False, 0)}
    if shard and given:
        raise ValueError(f"shard=True takes no {', '.join(given)}: use shard=False")
    if shard and any(map(is_written, rule.hyperparameters.values())):
        raise ValueError("shard=True takes no arrays in place of numbers: use shard=False")
    spec = TreeSpec(params, "params")
    spec.leaves = list(map(exchange.parameter, spec.leaves, spec.paths))
    check.parameters(spec.leaves, spec.paths, params)
    told = {name: shown(value) for name, value in given.items()}
    mine = {
        "gpuopt": str(sys.modules["gpuopt"].__version__),
        "the rule": described(rule),
        "the options": repr({"shard": bool(shard), "order": order, **told}),
        "paths": ", ".join(spec.paths),
    }
    arrays = zip(spec.paths, spec.leaves, strict=True)
    return spec, mine | {f"params{path}": f"{leaf.dtype} {leaf.shape}" for path, leaf in arrays}

"""Optimizers of several processes: each has its own examples, and all make the same steps.

`init` is the door. Comes in: a communicator of mpi4py, or of CuPy's NCCL. Imports: optimizer.
`gpuopt` imports it when it is asked for, and it imports no library.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from gpuopt.arrays import check, exchange
from gpuopt.arrays.device import device_of
from gpuopt.arrays.tree import TreeSpec
from gpuopt.arrays.typed import ArrayTree, HyperArrays
from gpuopt.distributed.agreement import agree, described, shown, together
from gpuopt.distributed.averaging import Averaging
from gpuopt.distributed.buckets import Order, broadcast
from gpuopt.distributed.carriers import TransportName, carrier_of, check_transport, control_of
from gpuopt.distributed.nccl import is_communicator
from gpuopt.distributed.sharding import Sharding
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.written import is_written

__all__ = ["init"]

BindableT = TypeVar("BindableT", bound=Bindable)

_WHAT = "gpuopt.distributed.init"


def init(
    rule: BindableT,
    params: ArrayTree,
    comm: Any,
    *,
    shard: bool = False,
    order: Order = "fast",
    transport: TransportName | None = None,
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
    comm : mpi4py communicator, or cupy.cuda.nccl.NcclCommunicator
        Such as ``mpi4py.MPI.COMM_WORLD``. With one of NCCL, which needs no MPI, the host waits for
        the GPU once in each step.
    shard : bool
        Each process keeps the state of its own share of each array: with four processes, a quarter.
        It updates this share and sends it to the others. Not for rules that need whole arrays for
        more than norms, and not with `hyper`, `master`, `stochastic_rounding`, `seed` or
        `state_dtype`.
    order : {"fast", "fixed"}
        How gradients are added: in the order that MPI or NCCL chooses, or in the order of the
        ranks.
    transport : {"host", "cuda-aware", "nccl"}, optional
        How arrays on a GPU are sent. ``"host"``, the default with MPI: through the memory of the
        host. ``"cuda-aware"``: by an MPI that reads the memory of a GPU. ``"nccl"``: by NCCL, on
        the current stream, without waiting for the GPU; MPI carries the small messages. The last
        two need CuPy arrays, and ``"nccl"`` a GPU for each process.

    Returns
    -------
    Optimizer
        All processes call its ``step``, and if `shard` its ``state_dict`` and ``evaluation``. They
        also call `gpuopt.fit`, `gpuopt.save` and `gpuopt.load` together.

    Raises
    ------
    TypeError
        If `comm` is not a communicator.
    RuntimeError, ValueError
        In all processes, if one has other arrays, another rule or another version, cannot bind
        them, or lacks what `transport` needs. The message names its rank.

    Notes
    -----
    The mean is ``(g₀ + g₁ + …) / n``, added up in the precision in which the arrays are computed.
    Each of its elements is added up by one process, and sent to all: they have the same bits, so
    norms, skipped steps and loss scales are the same.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> from mpi4py import MPI                                          # doctest: +SKIP
    >>> x = np.zeros(1000)
    >>> opt = go.distributed.init(go.Adam(), x, MPI.COMM_WORLD)         # doctest: +SKIP
    >>> opt.step(gradient_of_my_examples(x))                            # doctest: +SKIP
    """
    control, name = control_of(comm), transport or ("nccl" if is_communicator(comm) else "host")
    options: dict[str, Any] = {"hyper": hyper, "master": master, "seed": seed}
    options |= {"stochastic_rounding": stochastic_rounding, "state_dtype": state_dtype}

    def own() -> tuple[TreeSpec, dict[str, str]]:
        found = _described(rule, params, shard, order, name, options)
        check_transport(name, comm, found[0].leaves[0])
        return found

    spec, mine = together(control, _WHAT, own)
    agree(control, _WHAT, mine)
    with device_of(spec.leaves[0]):
        carrier = carrier_of(name, comm, control, _WHAT, spec.leaves[0])

        def made() -> Optimizer[BindableT]:
            kind: Any = Sharding if shard else Averaging
            given = {} if shard else options
            optimizer: Optimizer[BindableT] = kind(carrier, order, spec, rule, params, **given)
            return optimizer

        together(control, _WHAT, made)  # before any parameter is written
        for leaf in spec.leaves:
            broadcast(carrier, leaf)
        return together(control, _WHAT, made)  # for state may begin with them


def _described(
    rule: Any, params: Any, shard: bool, order: str, transport: str, options: dict[str, Any]
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
    sent = {} if transport == "host" else {"transport": transport}
    told = {name: shown(value) for name, value in given.items()}
    mine = {
        "gpuopt": str(sys.modules["gpuopt"].__version__),
        "the rule": described(rule),
        "the options": repr({"shard": bool(shard), "order": order, **sent, **told}),
        "paths": ", ".join(spec.paths),
    }
    arrays = zip(spec.paths, spec.leaves, strict=True)
    return spec, mine | {f"params{path}": f"{leaf.dtype} {leaf.shape}" for path, leaf in arrays}

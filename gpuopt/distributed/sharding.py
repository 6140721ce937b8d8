"""Optimizers of several processes, each with the state of its share of every array.

Comes in: gradients of this process. Each gets the mean of all in its own share, and updates that
with an ordinary optimizer of flat slices; then all send their shares.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays import exchange
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import TreeSpec
from gpuopt.distributed.averaging import Distributed
from gpuopt.distributed.buckets import Order
from gpuopt.distributed.shares import ShareBucket, gathered, share_of
from gpuopt.distributed.transports import Transport
from gpuopt.optimizer.gradients import GradientReader
from gpuopt.optimizer.guard import Guard
from gpuopt.optimizer.saved import Ready
from gpuopt.rules.base import BindableT_co

__all__ = ["Sharding"]


class Sharding(Distributed[BindableT_co]):
    """Each process has the state of its share of each array, and updates that."""

    _kind = ShareBucket

    def __init__(
        self,
        transport: Transport,
        order: Order,
        spec: TreeSpec,
        rule: BindableT_co,
        params: Any,
    ) -> None:
        for path, leaf in zip(spec.paths, spec.leaves, strict=True):
            if not leaf.flags.c_contiguous:
                raise ValueError(
                    f"params{path} has gaps or another order than C, so a share of it is not "
                    "contiguous: pass a copy, or shard=False"
                )
        size, rank = transport.size, transport.rank
        own = [x.reshape(-1)[share_of(x.size, size, rank)] for x in spec.leaves]
        names = spec.names
        if rule.group_keys(names, spec.leaves) != rule.group_keys(names, own):
            raise ValueError(f"shard=True: {rule!r} chooses by the shapes of arrays: {_REMEDY}")
        try:
            super().__init__(transport, order, spec, rule, spec.build(own))
        except (TypeError, ValueError) as error:
            raise ValueError(f"shard=True flattens arrays: {error}; {_REMEDY}") from error
        self._shared, self._guard = params, Guard(spec, params, self._binding.on_device)
        self._check_shares()
        whole = [True] * len(own)
        self._whole = GradientReader(spec, spec.leaves, [{} for _ in own], whole)
        self._let_reductions_agree()

    @property
    def params(self) -> Any:
        """The arrays, whole, as given to `init`."""
        return self._shared

    def _change(self, rule: Any, change: Any) -> None:
        super()._change(rule, change)
        self._let_reductions_agree()

    def _let_reductions_agree(self) -> None:
        """Let results for shares be added up to those of whole arrays, in every step."""
        self._steps.agree = functools.partial(_agreed, self._transport)

    def _check_rule(self) -> None:
        if self._known is not self._rule:
            self._check_shares()
        super()._check_rule()

    def _check_shares(self) -> None:
        """Raise ValueError if an update needs more of an array than a share."""
        for group in self._binding.groups:
            program = group.programs[-1]
            kernels = [kernel for each in group.programs for kernel in each.kernels]
            reasons = {
                "calls functions of whole arrays": bool(program.buffers)
                or any(kernel.calls for kernel in kernels),
                "draws random numbers": any(kernel.random for kernel in kernels),
                "reads the shapes of arrays": bool(program.dimensions),
                "reads arrays in place of numbers": any(self._binding.hyper_arrays),
            }
            for reason, holds in reasons.items():
                if holds:
                    raise ValueError(f"shard=True: {program.name} {reason}: {_REMEDY}")

    def _read(self, grads: Any) -> list[Any]:
        return self._whole.read(grads)[0]

    def step(self, grads: Any, loss: Any = None) -> None:
        super().step(grads, loss)
        with self._there():
            for bucket in self._buckets:
                bucket.exchange(self._all.leaves, self._scratch)

    step.__doc__ = Distributed.step.__doc__

    def evaluation(self) -> Any:
        """The whole parameters to evaluate with; all processes must call it."""
        found = self._processes.together("evaluation", super().evaluation)
        shares = map(exchange.parameter, self._all.match(found, "evaluation"), self._all.paths)
        whole = list(map(self._gathered, shares, self._all.leaves))
        return self._all.build(self._guard.alike(whole))

    def _gathered(self, own: Any, like: Any) -> Any:
        with self._there():
            return gathered(self._transport, own, like)

    def state_dict(self) -> dict[str, Any]:
        """As of one process that has all state; all processes must call it.

        It loads in any number of processes, sharded or not, and in one.
        """
        saved = self._processes.together("state_dict", super().state_dict)
        leaves = self._all.leaves
        for name, tree in saved["state"].items():
            each = zip(self._all.match(tree, name), leaves, self._binding.states, strict=True)
            whole = [self._gathered(x, p) if name in own else x for x, p, own in each]
            saved["state"][name] = self._all.build(whole)
        return saved

    def _ready(self, state_dict: Any) -> Ready:
        """The share of this process in the state of any number of processes."""
        state = state_dict.get("state") if isinstance(state_dict, dict) else None
        if isinstance(state, Mapping):
            mine = {name: self._mine(tree, name) for name, tree in state.items()}
            state_dict = {**state_dict, "state": mine}
        return super()._ready(state_dict)

    def _mine(self, tree: Any, name: str) -> Any:
        """The share of this process in a tree of whole arrays."""
        transport, spec, found = self._transport, self._all, list[Any]()
        where = f"state_dict['state'][{name!r}]"
        each = zip(spec.match(tree, where), spec.leaves, self._binding.states, strict=True)
        for (whole, p, own), path in zip(each, spec.paths, strict=True):
            if name not in own:
                found.append(whole)
                continue
            if getattr(whole, "shape", None) != p.shape:
                shape = getattr(whole, "shape", type(whole).__name__)
                raise ValueError(f"{where}{path} must be an array of {p.shape}, got {shape}")
            found.append(whole.reshape(-1)[share_of(p.size, transport.size, transport.rank)])
        return spec.build(found)


def _agreed(transport: Transport, found: Sequence[tuple[str, Any]]) -> list[Any]:
    """What reductions of whole arrays are, from those of all processes' shares, in one message."""
    xp, stops = transport.xp, np.cumsum([len(values) for _, values in found])
    own = xp.concatenate([transport.here(values) for _, values in found])
    rows = xp.empty((transport.size, own.size))
    transport.all_gather(own, rows)
    parts = zip(found, xp.split(rows, stops[:-1].tolist(), axis=1), strict=True)
    return [quietly(getattr(xp, op), part, axis=0) for (op, _), part in parts]


_REMEDY = "use gpuopt.distributed.init(rule, params, comm), without shard"

"""A rule as an optimizer of PyTorch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from gpuopt.rules.base import Bindable
from gpuopt.torch.bound import Bound, Kept
from gpuopt.torch.files import HEADER, kept_in
from gpuopt.torch.groups import (
    check_rule,
    entries_of,
    filled,
    joined,
    renewed,
    schedules_of,
    values_of,
)

__all__ = ["Optimizer"]

_outside_of_graphs = getattr(torch, "_disable_dynamo", lambda method: method)


class Optimizer(torch.optim.Optimizer):
    """Any rule, chain or partition as a ``torch.optim.Optimizer``.

    The tensors are updated in their own memory, by the kernels that update arrays. Closures,
    ``add_param_group``, hooks, learning rate schedulers, gradient scalers and ``clip_grad_norm_``
    work as with the optimizers of PyTorch.

    Parameters
    ----------
    params : iterable of tensor, of dict, or of (str, tensor)
        As for any optimizer of PyTorch, on a CPU or on one CUDA device. A dict is a group: it may
        have a ``"rule"`` of its own, and any float hyperparameter of its rule, as ``"lr"``. With
        ``model.named_parameters()`` a partition finds ``layers.0.weight`` at ``layers/0/weight``.
    rule : Rule, Chain or Partition
        That of groups without one. Its pieces see the tensors of all groups, if none has its own.
    master, stochastic_rounding, seed, state_dtype, capturable
        As for `gpuopt.Rule.init`.

    Attributes
    ----------
    param_groups : list of dict
        Each has ``lr`` and the other float hyperparameters of its rule, of which the next step
        takes the values: ``beta1`` and ``beta2`` are together ``betas``, ``beta`` is ``momentum``.
        A hyperparameter that follows a schedule of gpuopt does so until a number is assigned.
    rule : Rule, Chain or Partition
        What updates the tensors of all groups now.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As by any optimizer of PyTorch; by the first step, if a tensor cannot be updated in place.

    Examples
    --------
    >>> import gpuopt as go, torch                                # doctest: +SKIP
    >>> model = torch.nn.Linear(3, 1)                             # doctest: +SKIP
    >>> rule = go.chain(go.clip_global_norm(1.0), go.AdamW(1e-3)) # doctest: +SKIP
    >>> opt = go.torch.Optimizer(model.parameters(), rule)        # doctest: +SKIP
    """

    def __init__(
        self,
        params: Any,
        rule: Bindable,
        *,
        master: bool = False,
        stochastic_rounding: bool = False,
        seed: int = 0,
        state_dtype: str | None = None,
        capturable: bool = False,
    ) -> None:
        check_rule(rule)
        self._options = {
            "master": master,
            "stochastic_rounding": stochastic_rounding,
            "seed": seed,
            "state_dtype": state_dtype,
            "capturable": capturable,
        }
        self._default, self._rules = rule, list[Bindable]()
        self._shown, self._schedules = list[dict[str, float]](), list[dict[str, Any]]()
        self._bound: Bound | None = None
        self._kept: Kept | None = None
        self._seen: list[list[Any]] = []
        super().__init__(params, entries_of(rule))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, as in PyTorch; ``"rule"`` in it is a rule of its own."""
        group, rule = param_group, self._default
        if isinstance(group, dict):
            group = dict(group)
            rule = group.pop("rule", rule)
            check_rule(rule)
            rate = group.get("lr")
            if isinstance(rate, torch.Tensor) and rate.numel() != 1:
                raise ValueError("Tensor lr must be 1-element")
            group = filled(rule, group)
        super().add_param_group(group)
        self._release()
        self._rules.append(rule)
        self._shown.append(values_of(rule, entries_of(rule)))
        self._schedules.append(schedules_of(rule))

    @property
    def rule(self) -> Bindable:
        """What updates the tensors of all groups now."""
        rules = [
            renewed(rule, group, shown)
            for rule, group, shown in zip(self._rules, self.param_groups, self._shown, strict=True)
        ]
        shared = [rule is self._default for rule in self._rules]
        return joined(self._default, rules, shared)

    @_outside_of_graphs
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Any = None) -> Any:
        """Update the parameters by their gradients.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model anew, and returns the loss.
        loss : float or tensor, optional
            The loss, for rules that read it; that of the closure by default.

        Returns
        -------
        The loss that the closure returned, or None.
        """
        found = None
        if closure is not None:
            with torch.enable_grad():
                found = closure()
        bound = self._binding()
        bound.step(found if loss is None else loss)
        self._show(bound.t)
        return found

    def _binding(self) -> Bound:
        """The rule of now, bound to the tensors where they are now."""
        if self._bound is not None and self._bound.moved:
            self._release()
        seen = [list(map(_number, group.values())) for group in self.param_groups]
        if self._bound is None:
            bound = Bound(self.rule, self.param_groups, self._options)
            if self._kept is not None:
                bound.go_on(self._kept)
                bound.optimizer.rule = self.rule
            self._bound, self._kept = bound, None
            self.state = defaultdict(dict, zip(bound.tensors, bound.shown(), strict=True))
        elif seen != self._seen:
            self._bound.optimizer.rule = self.rule
        self._seen = seen
        return self._bound

    def _release(self) -> None:
        """Keep the state aside, until the rule is bound anew."""
        if self._bound is not None:
            self._kept, self._bound = self._bound.kept(), None
            self.state = defaultdict(dict)

    def _follow(self, t: int) -> None:
        """Let schedules of gpuopt go on where a group has the value of each after `t` steps."""
        each = zip(self._schedules, self.param_groups, self._shown, strict=True)
        for schedules, group, shown in each:
            for name, schedule in schedules.items():
                if group[name] == schedule(t):
                    shown[name] = group[name]

    def _show(self, t: int) -> None:
        """Put the value that each schedule of gpuopt has now where PyTorch looks for it."""
        each = zip(self._schedules, self.param_groups, self._shown, strict=True)
        for schedules, group, shown in each:
            for name, schedule in schedules.items():
                if group[name] == shown[name]:
                    group[name] = shown[name] = schedule(t)

    @_outside_of_graphs
    def state_dict(self) -> dict[str, Any]:
        """A copy of what a resumed optimizer needs, for ``torch.save``: tensors and plain numbers.

        Returns
        -------
        dict
            ``state`` and ``param_groups`` as in PyTorch; ``gpuopt`` has what belongs to no single
            tensor.
        """
        kept, live = self._kept if self._bound is None else self._bound.kept(), self.state
        if kept is None:
            return super().state_dict()  # type: ignore[no-any-return]
        tensors = [p for group in self.param_groups for p in group["params"]]
        self.state = defaultdict(dict, zip(tensors, kept["tensors"], strict=False))
        try:
            return {**super().state_dict(), HEADER: kept["header"]}
        finally:
            self.state = live

    @_outside_of_graphs
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on, bit for bit, where another optimizer of the same rule and like tensors was.

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing has changed then.
        """
        taken = dict[str, Any]()

        def take(_: Any, given: dict[str, Any]) -> dict[str, Any]:
            taken.update(given)
            return {**given, "state": {}}  # whose dtypes PyTorch would change

        before = {name: vars(self)[name] for name in ("param_groups", "state", "_bound", "_kept")}
        hook = self.register_load_state_dict_pre_hook(take)
        try:
            super().load_state_dict(state_dict)
            self._bound, self._kept = None, kept_in(taken, self._rules)
            if self._kept is not None:
                self._follow(self._kept["header"]["t"])
                self._binding()
        except BaseException:
            self.__dict__.update(before)
            raise
        finally:
            hook.remove()

    def __getstate__(self) -> dict[str, Any]:
        kept = self._kept if self._bound is None else self._bound.kept()
        own = ("_options", "_default", "_rules", "_shown", "_schedules")
        rest: dict[str, Any] = {"state": defaultdict(dict), "_bound": None, "_kept": kept}
        return {**super().__getstate__(), **{name: vars(self)[name] for name in own}, **rest}


def _number(value: Any) -> Any:
    """An entry of a group as it can be compared: the number in a tensor, which may change."""
    return float(value) if isinstance(value, torch.Tensor) else value

"""A rule as an optimizer of PyTorch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from gpuopt.rules.base import Bindable
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.torch.binder import Binder
from gpuopt.torch.files import HEADER, kept_in
from gpuopt.torch.groups import check_rule, entries_of
from gpuopt.torch.owners import Owners

__all__ = ["Optimizer"]

_outside_of_graphs = getattr(torch, "_disable_dynamo", lambda method: method)


class Optimizer(torch.optim.Optimizer):
    """Any rule, chain or partition as a ``torch.optim.Optimizer``.

    It updates the tensors in place, with the kernels that update arrays. Closures,
    ``add_param_group``, hooks, learning rate schedulers, gradient scalers and ``clip_grad_norm_``
    work as with the optimizers of PyTorch.

    Parameters
    ----------
    params : iterable of tensor, of dict, or of (str, tensor)
        As for any optimizer of PyTorch, on a CPU or on one CUDA device. A dict is a group: it may
        have a ``"rule"`` of its own, and any float hyperparameter of its rule, such as ``"lr"``.
        With ``model.named_parameters()`` a partition finds ``layers.0.weight`` at
        ``layers/0/weight``.
    rule : Rule, Chain or Partition
        The rule of all groups that have no ``"rule"``. If no group has one, the pieces of a chain
        see the tensors of all groups. A partition makes a group for each of its rules.
    master, stochastic_rounding, seed, state_dtype, capturable
        As for `gpuopt.Rule.init`.

    Attributes
    ----------
    param_groups : list of dict
        Each group has ``lr`` and the other float hyperparameters of its rule; the next step uses
        their values. ``beta1`` and ``beta2`` stand together as ``betas``, and ``beta`` is
        ``momentum``. A hyperparameter follows its schedule of gpuopt until you assign a number.
    rule : Rule, Chain or Partition
        The rule that updates the tensors of all groups now.
    state : dict
        The state of each tensor by name, for reading.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As by any optimizer of PyTorch. If a tensor cannot be updated in place, the first step
        raises the error; with a partition, this call does.

    Examples
    --------
    >>> import gpuopt as go, torch                                # doctest: +SKIP
    >>> model = torch.nn.Linear(3, 1)                             # doctest: +SKIP
    >>> rule = go.chain(go.clip_global_norm(1.0), go.AdamW(1e-3)) # doctest: +SKIP
    >>> opt = go.torch.Optimizer(model.parameters(), rule)        # doctest: +SKIP
    """

    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]

    @by_known_names("gpuopt.torch.Optimizer(params, gpuopt.Adam())")
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
        if isinstance(params, torch.nn.Module):
            raise TypeError(
                f"params is a {type(params).__name__}, whose tensors are to be updated: write "
                "gpuopt.torch.Optimizer(model.named_parameters(), rule)"
            )
        options: dict[str, Any] = {"master": master, "seed": seed, "state_dtype": state_dtype}
        options |= {"stochastic_rounding": stochastic_rounding, "capturable": capturable}
        self._owners = Owners(rule)
        self._binder = Binder(self._owners, options)
        self._packed: defaultdict[Any, Any] | None = None  # the state while it is saved
        self._evaluating = False
        super().__init__(params, {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, as in PyTorch. It may have a ``"rule"`` of its own.

        A partition adds one group for each of its rules that has tensors in the group.
        """
        group, rule, defaults = param_group, self._owners.default, self.defaults
        if isinstance(group, dict):
            group = dict(group)
            rule = group.pop("rule", rule)
            check_rule(rule)
        self.defaults = {}  # the group may have another rule than the groups before it
        try:
            super().add_param_group(group)
        finally:
            self.defaults = defaults
        added = self._owners.add(self.param_groups.pop(), rule)
        self._binder.release()
        self.param_groups += added
        entries = {name for rule in self._owners.rules for name in entries_of(rule)}
        self.defaults = {  # where schedulers look for what all groups have
            name: x
            for name, x in self.param_groups[0].items()
            if name in entries and all(name in group for group in self.param_groups)
        }

    @property
    def rule(self) -> Bindable:
        """The rule that updates the tensors of all groups now."""
        return self._owners.joined(self._owners.now(self.param_groups))

    @property
    def state(self) -> defaultdict[Any, Any]:
        """The state of each tensor by name; empty before the first step.

        The tensors share the memory of the optimizer's arrays. With ``state_dtype="dynamic8"`` they
        are decoded copies.
        """
        if self._packed is not None:
            return self._packed
        if (bound := self._binder.bound) is None:
            return defaultdict(dict)
        return defaultdict(dict, zip(bound.tensors, bound.shown(), strict=True))

    @state.setter
    def state(self, state: Any) -> None:
        if state or not self._binder.is_new:
            raise AttributeError("opt.state is for reading: write opt.load_state_dict(state_dict)")

    @_outside_of_graphs
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Any = None) -> Any:
        """Update the parameters by their gradients.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model again and returns the loss.
        loss : float or tensor, optional
            The loss, for rules that read it. By default it is the loss that the closure returns.

        Returns
        -------
        The loss that the closure returned, or None.
        """
        self._check_evaluating("opt.step()")
        found = None
        if closure is not None:
            with torch.enable_grad():
                found = closure()
        bound = self._binder.of(self.param_groups)
        bound.step(found if loss is None else loss)
        self._owners.show(self.param_groups, bound.t)
        return found

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Within ``with opt.evaluation():`` the tensors hold the parameters to evaluate with.

        A piece such as `average`, or a rule such as `ScheduleFreeAdamW`, computes them. With other
        rules the tensors do not change. When the ``with`` ends, the tensors hold the same bits as
        before. This needs memory for two copies of all parameters.

        Raises
        ------
        RuntimeError
            If you call `evaluation` or `step` within it, or copy or pickle the optimizer there.

        Examples
        --------
        >>> with opt.evaluation():                                # doctest: +SKIP
        ...     loss = validate(model)
        """
        self._check_evaluating("another one")
        binder, self._evaluating = self._binder, True
        try:
            with nullcontext() if binder.is_new else binder.of(self.param_groups).evaluation():
                yield
        finally:
            self._evaluating = False

    @_outside_of_graphs
    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a resumed optimizer needs: tensors and plain numbers.

        Returns
        -------
        dict
            For ``torch.save``: ``state`` and ``param_groups`` as in PyTorch, and ``gpuopt`` with
            what belongs to all tensors together.
        """
        if self._binder.is_new:
            return super().state_dict()  # type: ignore[no-any-return]
        bound = self._binder.of(self.param_groups)
        kept = bound.kept()
        self._packed = defaultdict(dict, zip(bound.tensors, kept["tensors"], strict=True))
        try:
            return {**super().state_dict(), HEADER: kept["header"]}
        finally:
            self._packed = None

    @_outside_of_graphs
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue, bit for bit, from the state of another optimizer.

        The other optimizer must have the same rule, and tensors of the same shapes and dtypes.

        Raises
        ------
        TypeError, ValueError
            If the state does not fit. The optimizer is unchanged then.
        """
        taken = dict[str, Any]()

        def take(_: Any, given: dict[str, Any]) -> dict[str, Any]:
            taken.update(given)
            return {**given, "state": {}}  # whose dtypes PyTorch would change

        before = self.param_groups
        hook = self.register_load_state_dict_pre_hook(take)
        try:
            super().load_state_dict(state_dict)
            kept = kept_in(taken, self._owners.rules)
            self._binder = self._binder.loaded(kept, self.param_groups)
        except BaseException:
            self.param_groups = before
            raise
        finally:
            hook.remove()

    def _check_evaluating(self, what: str) -> None:
        """Raise RuntimeError within `evaluation`."""
        if self._evaluating:
            raise RuntimeError(
                "the tensors hold the parameters to evaluate with: leave `with opt.evaluation():` "
                f"before {what}"
            )

    def __getstate__(self) -> dict[str, Any]:
        self._check_evaluating("you copy or pickle the optimizer")
        own = ("_owners", "_binder", "_packed", "_evaluating")
        state = {**super().__getstate__(), "state": defaultdict(dict)}
        return state | {name: vars(self)[name] for name in own}

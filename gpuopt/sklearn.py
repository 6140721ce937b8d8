"""scikit-learn's networks, trained by a rule: its estimators with one more parameter, ``rule``.

Comes in: the arguments of scikit-learn's estimators. `gpuopt` imports it on first use. It imports
scikit-learn, which makes the batches and asks for a step for each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from gpuopt.arrays.packages import command
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.chains import loss_scale_name
from gpuopt.rules.tuples import whole

try:
    from sklearn.neural_network._stochastic_optimizers import BaseOptimizer

    from sklearn import neural_network
except ModuleNotFoundError as error:
    what = f"gpuopt.sklearn needs scikit-learn: {command('sklearn')}"
    raise ModuleNotFoundError(what, name=error.name) from error

__all__ = ["MLPClassifier", "MLPRegressor"]

ByRule = TypeVar("ByRule", bound="_ByRule")

_OF_SOLVERS = (
    *("solver", "learning_rate", "learning_rate_init", "power_t", "momentum"),
    *("nesterovs_momentum", "beta_1", "beta_2", "epsilon", "max_fun"),
)
"""The parameters of scikit-learn's own solvers, which a rule replaces."""


class _RuleOptimizer(BaseOptimizer):  # type: ignore[misc]
    """An `Optimizer` of the rule that scikit-learn calls in place of its own."""

    def __init__(self, rule: Bindable, params: list[Any]) -> None:
        self.loss: float | None = None
        self._rule, self._params, self._shown = rule, params, params
        self._saved: dict[str, Any] | None = None

    @functools.cached_property
    def _optimizer(self) -> Optimizer[Any]:
        """Made on first use, because the arrays of a pickle may be read-only."""
        optimizer = self._rule.init(self._params)
        if self._saved is not None:
            optimizer.load_state_dict(self._saved)
        return optimizer

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if "_optimizer" in state:
            state["_saved"] = state.pop("_optimizer").state_dict()
        return state

    def update_params(self, params: list[Any], grads: list[Any]) -> None:
        self._optimizer.step(grads, loss=self.loss)

    def trained(self, rule: Bindable, shown: list[Any]) -> list[Any]:
        """The arrays to continue with, by `rule`; with the values of `shown` if those changed."""
        if rule != self._rule:
            self._optimizer.rule = self._rule = rule
        if any(array is not before for array, before in zip(shown, self._shown, strict=True)):
            for own, array in zip(self._params, shown, strict=True):
                own[...] = array
        return self._params

    def evaluated(self) -> list[Any]:
        """The arrays to predict with: the trained ones, unless the rule averages."""
        found = self._optimizer.evaluation()
        same = all(np.array_equal(new, p) for new, p in zip(found, self._params, strict=True))
        self._shown = self._params if same else found
        return self._shown


class _ByRule:
    """A mixin before a class of scikit-learn, which trains it by a rule."""

    rule: Bindable | None
    early_stopping: bool
    coefs_: list[Any]
    intercepts_: list[Any]
    if TYPE_CHECKING:  # made at run time, with the parameters by their names

        def __init__(self, *args: Any, rule: Bindable | None = None, **others: Any) -> None: ...

    @property
    def _arrays(self) -> list[Any]:
        return self.coefs_ + self.intercepts_

    @_arrays.setter
    def _arrays(self, arrays: list[Any]) -> None:
        layers = len(arrays) // 2
        self.coefs_, self.intercepts_ = arrays[:layers], arrays[layers:]

    @property
    def _optimizer(self) -> Any:
        if "_optimizer" not in vars(self):  # which scikit-learn asks with hasattr
            raise AttributeError("_optimizer")
        return vars(self)["_optimizer"]

    @_optimizer.setter
    def _optimizer(self, own: Any) -> None:
        """scikit-learn assigns its own optimizer here when a training begins."""
        by_rule = None if self.rule is None else _RuleOptimizer(self.rule, self._arrays)
        vars(self)["_optimizer"] = own if by_rule is None else by_rule

    def _fit(self, *args: Any, **kwargs: Any) -> Self:
        if self.rule is not None:
            self._check_rule()
        fitted: Self = super()._fit(*args, **kwargs)  # type: ignore[misc]
        return fitted

    def _fit_stochastic(self, *args: Any, **kwargs: Any) -> None:
        fit: Callable[..., None] = super()._fit_stochastic  # type: ignore[misc]
        given = inspect.signature(fit).bind(*args, **kwargs).arguments
        begun = given["incremental"] and "_optimizer" in vars(self)
        if begun and self._is_by_rule != (self.rule is not None):
            what = f"{type(self).__name__}: rule={self.rule!r} cannot continue a training that"
            raise ValueError(f"{what} began otherwise: call fit, or set rule before partial_fit")
        if given["incremental"] and self._is_by_rule:
            self._arrays = self._optimizer.trained(self.rule, self._arrays)
        fit(*args, **kwargs)
        if self._is_by_rule and not self.early_stopping:
            self._arrays = self._optimizer.evaluated()

    @property
    def _is_by_rule(self) -> bool:
        return isinstance(vars(self).get("_optimizer"), _RuleOptimizer)

    def _backprop(self, *args: Any) -> Any:
        found = super()._backprop(*args)  # type: ignore[misc]
        if self._is_by_rule:
            self._optimizer.loss = float(found[0])
        return found

    def _update_no_improvement_count(self, early_stopping: bool, *args: Any) -> None:
        trained = self._arrays
        if early_stopping and self._is_by_rule:  # it keeps the best of those that it scores
            self._arrays = self._optimizer.evaluated()
        super()._update_no_improvement_count(early_stopping, *args)  # type: ignore[misc]
        self._arrays = trained

    def _check_rule(self) -> None:
        """Raise an error if this is not a rule, or a parameter would have no effect with it."""
        name, rule = type(self).__name__, self.rule
        if not isinstance(rule, Bindable):
            raise TypeError(
                f"{name}: rule must be a gpuopt.Rule, such as gpuopt.Adam(), a chain of one, or "
                f"None, got {rule!r}{class_hint(rule)}"
            )
        if loss_scale_name(rule) is not None:
            raise ValueError(f"{name} does not scale the loss: leave LossScale out of {rule!r}")
        defaults = inspect.signature(type(self)).parameters
        for other in _OF_SOLVERS:
            if (value := getattr(self, other)) != (default := defaults[other].default):
                raise ValueError(
                    f"{name}: {other}={value!r} is for scikit-learn's own solvers, and has no "
                    f"effect with rule={rule!r}: leave it at {default!r}, and set the rule's own "
                    "hyperparameters"
                )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters; ``deep`` includes those of the rule, such as ``rule__lr``."""
        params: dict[str, Any] = super().get_params(deep)  # type: ignore[misc]
        if deep and isinstance(self.rule, Bindable):
            params |= {f"rule__{name}": value for name, value in self.rule.hyperparameters.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``rule__lr`` replaces the rule by a copy with another rate."""
        own = {name: value for name, value in params.items() if not name.startswith("rule__")}
        super().set_params(**own)  # type: ignore[misc]
        values = {name.removeprefix("rule__"): params[name] for name in params.keys() - own.keys()}
        if values:
            known = {} if self.rule is None else self.rule.hyperparameters
            if unknown := values.keys() - known.keys() - set(map(whole, known)):
                raise ValueError(
                    f"{type(self).__name__} has no parameters {sorted(unknown)} of rule="
                    f"{self.rule!r}, which has {list(known)}"
                )
            self.rule = self.rule and self.rule.replace(values)
        return self


def _with_rule(cls: type[ByRule]) -> type[ByRule]:
    """The class, with an ``__init__`` that takes scikit-learn's parameters and a rule."""
    base = cls.__mro__[2]

    def __init__(self: Any, *args: Any, rule: Any = None, **params: Any) -> None:  # noqa: N807
        base.__init__(self, *args, **params)  # type: ignore[misc]
        self.rule = rule

    theirs = inspect.signature(base.__init__)  # type: ignore[misc] # where scikit-learn looks, too
    parameters = [*theirs.parameters.values(), inspect.signature(__init__).parameters["rule"]]
    __init__.__signature__ = theirs.replace(parameters=parameters)  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


@_with_rule
class MLPClassifier(_ByRule, neural_network.MLPClassifier):  # type: ignore[misc]
    """scikit-learn's ``MLPClassifier``, trained by a rule.

    Parameters
    ----------
    rule : Rule, Chain or Partition, optional
        The rule that makes the steps, with its own learning rate, in place of scikit-learn's
        ``solver``. The paths of a partition are ``[0]`` to ``[n-1]`` for the weights of the layers,
        then as many for the intercepts. With None, scikit-learn's own ``solver`` trains. In
        `GridSearchCV` and ``set_params``, the hyperparameters have names such as ``rule__lr``.
    **others
        scikit-learn's parameters. With a rule, those of its solvers, such as
        ``learning_rate_init``, are refused.

    Notes
    -----
    Everything else is scikit-learn's: the network, its penalty ``alpha``, the order of the data,
    ``partial_fit``, early stopping and the attributes. A schedule of the rule counts batches.
    Rules that average, such as `gpuopt.ScheduleFreeAdamW`, predict with their averages, which
    ``coefs_`` and ``intercepts_`` then hold. Rules that read the loss get that of the batch, with
    the penalty. `gpuopt.conventions.sklearn` has rules with the numbers of scikit-learn's solvers.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> model = go.sklearn.MLPClassifier(rule=go.Adam(0.1), random_state=0)
    >>> model.fit(X, y).predict(X)
    array([0, 0, 1, 1])
    """


@_with_rule
class MLPRegressor(_ByRule, neural_network.MLPRegressor):  # type: ignore[misc]
    """scikit-learn's ``MLPRegressor``, trained by a rule.

    Parameters
    ----------
    rule : Rule, Chain or Partition, optional
        As for `MLPClassifier`.
    **others
        scikit-learn's parameters. With a rule, those of its solvers, such as
        ``learning_rate_init``, are refused.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> model = go.sklearn.MLPRegressor(rule=go.Adam(0.01), max_iter=300, random_state=0)
    >>> model.fit(X, 3 * X[:, 0]).score(X, 3 * X[:, 0]) > 0.95
    True
    """

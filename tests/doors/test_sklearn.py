"""scikit-learn's networks, trained by a rule."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import gpuopt as go
from gpuopt.sklearn import MLPClassifier, MLPRegressor
from tests.support import ROOT
from tests.support.refusals import refused, table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
AVERAGING = go.ScheduleFreeAdamW(0.05)


def classifier(rule: Any, **params: Any) -> Any:
    return MLPClassifier((8,), rule=rule, **{"max_iter": 12, "random_state": 0, **params})


def arrays(model: Any) -> list[Any]:
    return [*model.coefs_, *model.intercepts_]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(map(np.array_equal, one, other))


SPELLED = go.conventions.sklearn
SOLVERS: list[tuple[dict[str, Any], Any]] = [
    ({"solver": "adam"}, SPELLED.AdamOptimizer()),
    ({"solver": "sgd", "learning_rate_init": 0.1}, SPELLED.SGDOptimizer()),
    ({"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False}, SPELLED.SGDOptimizer(nesterov=False)),
]


@pytest.mark.parametrize(("solver", "rule"), SOLVERS, ids=["adam", "nesterov", "momentum"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_scikit_learns_solvers_by_their_conventions(solver: Any, rule: Any, early_stopping: bool) -> None:
    """Its losses to the last digit that it prints, its epochs and its predictions."""
    params = {"max_iter": 40, "random_state": 0, "early_stopping": early_stopping, "batch_size": 32}
    theirs = neural_network.MLPClassifier((8,), **solver, **params).fit(X, Y)
    ours = classifier(rule, **params).fit(X, Y)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-13 if solver["solver"] == "adam" else 0.0)
    assert [f"{loss:.8f}" for loss in ours.loss_curve_] == [f"{loss:.8f}" for loss in theirs.loss_curve_]
    assert (ours.predict_proba(X).argmax(1) == theirs.predict_proba(X).argmax(1)).all()


def test_without_a_rule_it_is_scikit_learns() -> None:
    models = [
        kind(hidden_layer_sizes=(8,), random_state=0, max_iter=3).fit(X, Y)
        for kind in (MLPRegressor, neural_network.MLPRegressor)
    ]
    assert models[0].loss_curve_ == models[1].loss_curve_
    assert type(models[0]._optimizer) is type(models[1]._optimizer)


@pytest.mark.parametrize("rule", [go.Adam(0.01), AVERAGING, go.chain(go.Adam(0.01), go.average(0.9))], ids=repr)
def test_batches_one_by_one_are_a_fit(rule: Any) -> None:
    """`partial_fit` goes on with the state, where the averages are shown, and out of a pickle."""
    whole = classifier(rule, shuffle=False, max_iter=4).fit(X, Y)
    parts = classifier(rule, shuffle=False)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y, classes=[0, 1, 2])
    assert same(arrays(whole), arrays(parts))
    assert same(arrays(whole), whole._optimizer._optimizer.evaluation())
    assert same(arrays(whole), whole._optimizer._params) == isinstance(rule, go.Adam)


def test_another_rate_and_assigned_weights_hold_in_the_next_batch() -> None:
    model = classifier(go.SGD(0.1), shuffle=False).fit(X, Y)
    model.set_params(rule__lr=0.0)
    before = model.coefs_ = [np.zeros_like(array) for array in model.coefs_]
    model.partial_fit(X, Y)
    assert same(model.coefs_, before)
    assert model._optimizer._optimizer.t == 13


def test_early_stopping_keeps_the_best_averages() -> None:
    """The weights that it keeps are those it scored."""
    model = classifier(AVERAGING, early_stopping=True, max_iter=20).fit(X, Y)
    assert not same(arrays(model), model._optimizer._params)
    scored: list[Any] = []

    def score(*_: Any, **__: Any) -> float:
        scored.append(again.coefs_[0].copy())
        return 0.0

    again = classifier(AVERAGING, early_stopping=True, max_iter=5)
    again._score = score
    again.fit(X, Y)
    first, *_, last = scored
    assert np.array_equal(again.coefs_[0], first)  # no score is better than the first
    assert np.array_equal(last, again._optimizer._optimizer.evaluation()[0])
    assert not np.array_equal(first, last)


def test_a_rule_reads_the_loss_of_its_batch() -> None:
    seen: list[float] = []
    model = classifier(go.PolyakStep(), batch_size=150, max_iter=3)
    backprop = model._backprop

    def seeing(*args: Any) -> Any:
        found = backprop(*args)
        seen.append(model._optimizer.loss)
        return found

    model._backprop = seeing
    model.fit(X, Y)
    np.testing.assert_allclose(seen, model.loss_curve_, rtol=1e-15)


def test_parameters_of_a_rule_are_parameters_of_the_model() -> None:
    model = classifier(go.chain(go.clip(1.0), go.AggMo(0.1)))
    assert model.get_params()["rule__clip.value"] == 1.0
    assert "rule__lr" not in model.get_params(deep=False)
    other = clone(model).set_params(rule__lr=0.5, rule__betas=(0.0, 0.5), alpha=0.1)
    assert other.rule == go.chain(go.clip(1.0), go.AggMo(0.5, betas=(0.0, 0.5)))
    assert (other.alpha, model.rule) == (0.1, go.chain(go.clip(1.0), go.AggMo(0.1)))
    assert other.set_params(rule=go.SGD(0.1), rule__lr=0.2).rule == go.SGD(0.2)
    assert repr(MLPClassifier(rule=go.SGD(0.1))) == "MLPClassifier(rule=GradientDescent(lr=0.1))"


def test_a_search_over_rules_and_rates_in_a_pipeline() -> None:
    model = make_pipeline(StandardScaler(), classifier(None))
    grid = {"mlpclassifier__rule": [go.SGD(), go.Adam()], "mlpclassifier__rule__lr": [1e-6, 0.03]}
    found = GridSearchCV(model, grid, cv=3).fit(X, Y)
    assert found.best_params_["mlpclassifier__rule__lr"] == 0.03
    assert found.best_estimator_[-1].rule in (go.SGD(0.03), go.Adam(0.03))
    assert found.best_score_ > 0.8


@table(
    ("a class", lambda: classifier(go.Adam).fit(X, Y), TypeError, ("Adam is a class, so call it, Adam()",)),
    ("a name", lambda: classifier("adam").fit(X, Y), TypeError, ("MLPClassifier: rule must be", "got 'adam'")),
    (
        "a solver's parameter",
        lambda: classifier(go.Adam(), learning_rate_init=0.1).fit(X, Y),
        ValueError,
        ("learning_rate_init=0.1 is for scikit-learn's own solvers", "leave it at 0.001"),
    ),
    ("a solver", lambda: classifier(go.Adam(), solver="lbfgs").fit(X, Y), ValueError, ("leave it at 'adam'",)),
    ("no rule", lambda: classifier(None).set_params(rule__lr=0.1), ValueError, ("['lr'] of rule=None",)),
    ("no field", lambda: classifier(go.SGD()).set_params(rule__beta=0.1), ValueError, ("['beta'] of rule=", "has ['lr']")),
    ("a value", lambda: classifier(go.SGD()).set_params(rule__lr=-1.0), ValueError, ("lr must be",)),
)
def test_what_is_refused(action: Callable[[], Any], error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def checks(model: Any) -> Iterator[tuple[Any, Any]]:
    """scikit-learn's own checks of an estimator."""
    if hasattr(estimator_checks, "estimator_checks_generator"):
        return iter(estimator_checks.estimator_checks_generator(model))
    return iter(estimator_checks.check_estimator(model, generate_only=True))


QUICK = (
    "params",
    "pickle",
    "clone",
    "init",
    "set_",
    "repr",
    "attributes",
    "dict_unchanged",
    "idempotent",
    "constructible",
    "fitted",
)
"""What the names have of those checks that are about parameters and pickles, and train next to nothing."""


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "model", [MLPClassifier(), MLPRegressor(), MLPClassifier(rule=go.Adam()), MLPRegressor(rule=AVERAGING)]
)
def test_scikit_learns_own_checks(model: Any, request: pytest.FixtureRequest) -> None:
    names = set()
    for estimator, check in checks(model):
        name = str(check)
        if request.config.getoption("--exhaustive") or (model.rule is not None and any(word in name for word in QUICK)):
            names.add(name)
            try:
                check(estimator)
            except estimator_checks.SkipTest:
                continue
    assert len(names) > 8 or model.rule is None


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = None\nimport gpuopt as go\ntry: go.sklearn\nexcept ImportError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == 'gpuopt.sklearn needs scikit-learn: pip install "scikit-learn>=1.5"\n'


def test_a_warning_is_scikit_learns() -> None:
    with pytest.warns(ConvergenceWarning):
        classifier(go.SGD(1e-6), max_iter=2).fit(X, Y)


def test_what_would_train_nothing_or_otherwise_is_refused() -> None:
    x, y = np.eye(6), np.arange(6) % 2
    with pytest.raises(ValueError, match="MLPClassifier does not scale the loss: leave LossScale out"):
        go.sklearn.MLPClassifier(rule=go.chain(go.LossScale(), go.SGD())).fit(x, y)
    net = go.sklearn.MLPClassifier((3,)).partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"rule=.* cannot continue a training that began otherwise: call fit"):
        net.set_params(rule=go.SGD(0.0)).partial_fit(x, y)

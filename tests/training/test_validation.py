"""fit measures after each epoch what it does not train with, and stops where that no longer improves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.training import progress
from tests.support.asked import asked

X = np.random.default_rng(0).normal(size=(10, 2))
Y = X[:7] + 1


def squares(params: Any, x: Any) -> Any:
    """The mean over a batch."""
    error = x - params
    return (error * error).sum() / len(x), -2 * error.mean(axis=0)


def furthest(params: Any, x: Any) -> Any:
    return abs(x - params).sum(axis=1).mean()


def trained(xp: Any, rule: Any = None, **options: Any) -> Any:
    params = xp.zeros(2)
    given = {"batch_size": 3, "epochs": 4, "validation": xp.asarray(Y), "metrics": {"far": furthest}, **options}
    return params, go.fit(squares, params, xp.asarray(X), rule or go.Adam(0.1), **given)


@pytest.mark.every("executor")
def test_the_means_over_all_examples(executor: str, xp: Any) -> None:
    """After each epoch, of batches of 3, 3 and 1."""
    seen = []

    def callback(history: go.History) -> None:
        seen.append((float(squares(params, xp.asarray(Y))[0]), float(furthest(params, xp.asarray(Y)))))

    params = xp.zeros(2)
    history = go.fit(
        *(squares, params, xp.asarray(X), go.Adam(0.1), 3, 4),
        validation=(xp.asarray(Y),),
        metrics={"far": furthest},
        callback=callback,
    )
    np.testing.assert_allclose(history.validation, [one for one, _ in seen], rtol=1e-14)
    np.testing.assert_allclose(history.metrics["far"], [other for _, other in seen], rtol=1e-14)
    assert history.to_dict()["metrics"]["far"] == history.metrics["far"].tolist()
    json.dumps(history.to_dict())


def test_what_is_measured_changes_no_update() -> None:
    measured, plain = trained(np)[0], trained(np, validation=None, metrics=None)[0]
    assert measured.tobytes() == plain.tobytes()


def test_the_parameters_are_those_to_evaluate_with() -> None:
    opt = go.chain(go.Adam(0.1), go.average(0.5)).init(np.zeros(2))
    history = go.fit(squares, opt.params, X, opt, 3, epochs=1, validation=Y)
    assert history.validation == pytest.approx(squares(opt.evaluation(), Y)[0])
    assert history.validation != pytest.approx(squares(opt.params, Y)[0])


@pytest.mark.parametrize(
    ("losses", "options", "epochs"),
    [
        ([5, 4, 3, 3, 3, 2], {"patience": 2}, 5),
        ([5, 4, 4, 3, 3, 2], {"patience": 2}, 6),
        ([5, 4.9, 4.8, 4.7], {"patience": 2, "min_delta": 0.5}, 3),
        ([5, np.nan, np.nan, 4], {"patience": 2}, 3),
        ([5, 6, 7, 8], {}, 4),
    ],
)
def test_it_stops_where_the_loss_no_longer_falls(losses: list[float], options: Any, epochs: int) -> None:
    of_validation = iter(losses)

    def loss_and_grad(params: Any, x: Any) -> Any:
        return next(of_validation) if x[0] else 1.0, params

    data = np.zeros(2), np.ones(2)
    history = go.fit(loss_and_grad, np.zeros(1), data[0], go.SGD(), None, len(losses), validation=data[1], **options)
    assert history.epochs == len(history.validation) == epochs


def test_a_killed_training_stops_where_it_would_have(tmp_path: Path) -> None:
    options = {"epochs": 999, "patience": 3, "batch_size": None, "rule": go.SGD(0.3), "validation": X}
    params, right = trained(np, **options)
    assert 5 < right.epochs < 999
    for epochs in (4, 999):
        checkpoint = go.Checkpointer(tmp_path, every=2)
        again, history = trained(np, **{**options, "epochs": epochs}, checkpoint=checkpoint)
    assert {**history.to_dict(), "seconds": 0} == {**right.to_dict(), "seconds": 0}
    assert again.tolist() == params.tolist()


def test_plot_shows_the_validation() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    history = trained(np)[1]
    ax = history.plot(figure.subplots())
    line = ax.lines[-1]
    assert ax.get_ylabel() == "loss"
    assert line.get_xdata().tolist() == [4, 8, 12, 16]
    assert line.get_ydata().tolist() == history.validation.tolist()
    whole = trained(np, batch_size=None)[1].plot(figure.subplots())
    assert [text.get_text() for text in whole.get_legend().get_texts()] == ["training", "validation"]


@pytest.mark.gpu
def test_nothing_waits_for_a_gpu_but_patience(gpu_is_emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar and the measuring read nothing that is not there yet."""
    cupy = pytest.importorskip("cupy")
    if not gpu_is_emulated:
        pytest.skip("the emulated GPU counts what waits")
    from tests.support.emulated_gpu import streams

    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_EVERY", 0.0)  # the training is short
    waits = []
    for options in ({}, {}, {"progress": True}, {"patience": 9}):  # the first compiles
        streams.log.clear()
        assert trained(cupy, **options)[1].epochs == 4
        waits.append(asked(streams.log)["synchronize"])
    assert waits[1] == waits[2] < waits[3]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"validation": None}, ValueError, r"metrics needs validation data: give validation=\(x, y\)"),
        ({"validation": None, "metrics": None, "patience": 2}, ValueError, "patience needs validation data"),
        ({"validation": ()}, ValueError, "validation is an empty tuple"),
        ({"validation": [1.0]}, TypeError, "validation must be a NumPy or CuPy array, not list"),
        ({"metrics": furthest}, TypeError, r"metrics must be a dict of functions by name, such as \{'accuracy'"),
        ({"metrics": {"far": 3}}, TypeError, "metrics must be a dict of functions by name"),
        ({"metrics": {"far": lambda p, x, y: 0}}, TypeError, r"metrics\['far'\]\(params, validation\), .* it must take params"),
        ({"metrics": {"far": lambda p, x: x}}, TypeError, r"metrics\['far'\] must return a real number .*: return the mean"),
        (
            {"metrics": {"far": lambda p, x: 1j}},
            TypeError,
            r"metrics\['far'\] must return .*, got 1j",
        ),
        ({"patience": 0}, ValueError, "patience must be a whole number of at least 1, got 0"),
        ({"min_delta": 0.1}, ValueError, r"min_delta=0\.1 has no effect without patience: give both, patience=5 too"),
        ({"min_delta": -1.0}, ValueError, r"min_delta must be a number >= 0, got -1\.0"),
    ],
)
def test_wrong_options_are_named(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trained(np, **options)

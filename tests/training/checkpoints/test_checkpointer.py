"""Checkpointer: which checkpoints there are, which is loaded, and that fit and minimize go on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl, rosenbrock
from tests.support.variants import on_host


def run(folder: Path, steps: int, **options: Any) -> go.Checkpointer:
    opt, checkpoints = go.Adam().init(np.zeros(2)), go.Checkpointer(folder, **options)
    for _ in range(steps):
        opt.step(np.ones(2))
        checkpoints.save(opt, extra=opt.t)
    return checkpoints


@pytest.mark.parametrize(("keep", "names"), [(2, [4, 5]), (1, [5]), (9, [1, 2, 3, 4, 5]), (None, [1, 2, 3, 4, 5])])
def test_the_newest_are_kept(keep: int | None, names: list[int], tmp_path: Path) -> None:
    checkpoints = run(tmp_path / "made" / "here", 5, keep=keep)
    assert [path.name for path in checkpoints.paths] == [f"checkpoint-{n:06}.npz" for n in names]
    opt = go.Adam().init(np.zeros(2))
    assert (checkpoints.load(opt), opt.t) == (5, 5)


def test_the_newest_is_the_last_written_whatever_its_count(tmp_path: Path) -> None:
    """Checkpoints of an optimizer that begins anew in an old folder are the newer ones."""
    run(tmp_path, 5, keep=2)
    run(tmp_path, 1, keep=2)
    opt = go.Adam().init(np.zeros(2))
    assert (go.Checkpointer(tmp_path).load(opt), opt.t) == (1, 1)


def test_without_a_checkpoint_nothing_changes(tmp_path: Path) -> None:
    opt = go.Adam().init(np.zeros(2))
    assert go.Checkpointer(tmp_path / "none").load(opt) is None
    assert opt.t == 0
    assert not list(tmp_path.iterdir())


def test_the_one_before_a_damaged_one_is_loaded_with_a_warning(tmp_path: Path) -> None:
    checkpoints, opt = run(tmp_path, 3), go.Adam().init(np.zeros(2))
    checkpoints.paths[-1].write_bytes(b"")
    with pytest.warns(UserWarning, match=r"checkpoint-000003\.npz is not a checkpoint, .*; trying the one before it"):
        assert checkpoints.load(opt) == 2
    for path in checkpoints.paths:
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="trying the one"), pytest.raises(go.CheckpointError, match=r"checkpoint-000001\.npz"):
        checkpoints.load(opt)
    assert opt.t == 2


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    (tmp_path / f".checkpoint-000007.npz.{'0' * 16}.tmp").touch()
    (tmp_path / "notes.txt").touch()
    run(tmp_path, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-000001.npz", "notes.txt"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": 3}, "folder must be a path, got 3"),
        ({"every": 0}, "every must be a whole number of at least 1, got 0"),
        ({"keep": 0}, "keep must be a whole number of at least 1, got 0"),
        ({"folder": __file__}, "is a file: give a folder for this run"),
    ],
)
def test_wrong_options_are_named(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        go.Checkpointer(**{"folder": "runs", **options})


# Loops that are killed and go on


class Killed(BaseException):
    """What no loop catches."""


def squares(params: Any, x: Any) -> Any:
    error = params - x.mean(axis=0)
    return (error * error).sum(), 2 * error


def killed_after(function: Any, calls: int | None) -> Any:
    """A function that works so often, or ever."""
    made = []

    def counted(*args: Any) -> Any:
        made.append(1)
        if calls is not None and len(made) > calls:
            raise Killed
        return function(*args)

    return counted


def trained(xp: Any, folder: Path | None, calls: int | None = None, **options: Any) -> Any:
    """What a training gives: its parameters, and its record but for the time."""
    data = xp.asarray(np.random.default_rng(0).normal(size=(20, 2)))
    params, checkpoint = xp.zeros(2), None if folder is None else go.Checkpointer(folder, every=2)
    given = {"batch_size": 3, "epochs": 5, "seed": np.random.Generator(np.random.MT19937(3)), **options}
    rule = go.Adam(go.schedules.Exponential(0.1, 0.5, 9))
    history = go.fit(killed_after(squares, calls), params, data, rule, checkpoint=checkpoint, **given)
    return on_host(params).tolist(), {**history.to_dict(), "seconds": 0}


@pytest.mark.every("executor")
def test_a_training_that_was_killed_goes_on(executor: str, xp: Any, tmp_path: Path) -> None:
    """From the last of the epochs that were saved, in the order of examples that follows; a finished one is over."""
    right = trained(xp, None)
    for calls in (5, 20, 34):  # 7 updates an epoch
        with pytest.raises(Killed):
            trained(xp, tmp_path / str(calls), calls)
        assert trained(xp, tmp_path / str(calls)) == right
    assert trained(xp, tmp_path / "5", calls=0) == right
    assert trained(xp, tmp_path / "5", epochs=6)[1]["epochs"] == 6


def test_a_training_stops_where_its_callback_said(tmp_path: Path) -> None:
    """The epoch of a callback is saved after it, so that it is asked again if it was not heard."""
    heard = []

    def callback(history: go.History) -> bool:
        heard.append(history.epochs)
        return history.epochs == 4

    first = trained(np, tmp_path, callback=callback)
    assert trained(np, tmp_path, callback=callback) == first
    assert heard == [1, 2, 3, 4, 3, 4]


def minimized(xp: Any, method: Any, folder: Path | None, calls: int | None = None, **options: Any) -> Any:
    checkpoint = None if folder is None else go.Checkpointer(folder, every=2)
    x0 = {"a": xp.asarray([-1.2, 1.0]), "b": xp.asarray([0.5])}

    def fun(x: Any) -> Any:
        value, gradient = rosenbrock(x["a"])
        return value + (x["b"] * x["b"]).sum(), {"a": gradient, "b": 2 * x["b"]}

    given = {"maxiter": 12, "check_every": 3, **options}
    found = go.minimize(killed_after(fun, calls), x0, method, checkpoint=checkpoint, **given)
    host = {name: [on_host(part).tolist() for part in found.pop(name).values()] for name in ("x", "jac")}
    return host, dict(found)


METHODS = [
    go.chain(go.clip_norm(1.0), go.Adam(0.1), go.average(0.9)),
    go.LBFGS(memory=3),
    go.NonlinearCG(),
    go.ProximalGradient(prox=go.l1(0.01)),
    go.ProximalGradient(accelerate=False),
]


@pytest.mark.every("executor", method=METHODS)
def test_a_minimization_that_was_killed_goes_on(executor: str, xp: Any, method: Any, tmp_path: Path) -> None:
    """To the same point, value, gradient, counts of iterations and of calls."""
    right = minimized(xp, method, None)
    with pytest.raises(Killed):
        minimized(xp, method, tmp_path, right[1]["nfev"] - 1)
    assert minimized(xp, method, tmp_path) == right
    assert minimized(xp, method, tmp_path, maxiter=5)[1]["status"] == 1


def test_a_check_that_was_saved_is_not_made_again(tmp_path: Path) -> None:
    """And the value that the patience began with is remembered."""
    heard: list[int] = []
    options: dict[str, Any] = {"patience": 3, "gtol": 0.0, "check_every": 2, "maxiter": 8}

    def callback(intermediate_result: Any) -> None:
        heard.append(intermediate_result.nit)

    right = minimized(np, go.SGD(1e-4), None, **options)
    with pytest.raises(Killed):
        minimized(np, go.SGD(1e-4), tmp_path, 4, callback=callback, **options)
    assert minimized(np, go.SGD(1e-4), tmp_path, callback=callback, **options) == right
    assert heard == [0, 2, 4, 6, 8]
    assert right[1]["status"] == 1


def test_what_another_run_wrote_is_refused(tmp_path: Path) -> None:
    adam, lbfgs, fitted, own = (tmp_path / name for name in ("adam", "lbfgs", "fit", "own"))
    minimized(np, go.Adam(), adam)
    minimized(np, go.LBFGS(), lbfgs)
    trained(np, fitted)
    run(own, 1)
    opt = go.Adam().init(np.zeros(2))
    refused: list[tuple[Any, str]] = [
        (lambda: minimized(np, go.NonlinearCG(), lbfgs), "is from a minimization by LBFGS, and this one is by NonlinearCG"),
        (lambda: minimized(np, go.NonlinearCG(), adam), "is from a minimization by a rule, and this one is by NonlinearCG"),
        (lambda: minimized(np, go.SGD(), adam), "state_dict is of the rule Adam"),
        (lambda: minimized(np, go.SGD(), fitted), r"minimize did not write .*: give checkpoint= a folder for this run only"),
        (lambda: trained(np, own), r"fit did not write .*: give checkpoint= a folder for this run only"),
        (
            lambda: trained(np, fitted, seed=3),
            r"order comes from MT19937, and this one's comes from PCG64: give fit the same seed=",
        ),
        (lambda: trained(np, fitted, batch_size=5), "examples and .* updates an epoch, and this one has"),
        (lambda: trained(np, fitted, shuffle=False), "order comes from MT19937, and this one's comes from the data"),
        (lambda: go.minimize(bowl, np.zeros(4), go.LBFGS(), checkpoint=go.Checkpointer(lbfgs)), "is from an x0 with 3 numbers"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(go.CheckpointError, match=r"holds no optimizer: did gpuopt\.minimize write it\?"):
        go.Checkpointer(lbfgs).load(opt)
    with pytest.raises(TypeError, match=r"checkpoint must be a Checkpointer, got 'runs': write gpuopt\.Checkpointer\("):
        go.minimize(bowl, np.zeros(2), go.SGD(), checkpoint="runs")  # type: ignore[call-overload]

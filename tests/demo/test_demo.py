"""gpuopt demo: the network's gradient, what the command prints and draws, and what it refuses."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tqdm
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal

import gpuopt.arrays.backend
import gpuopt.demo
from gpuopt.arrays.packages import command
from gpuopt.demo import picture
from gpuopt.demo.network import accuracy, initial_params, load_digits, loss_and_grad
from gpuopt.demo.runs import Run, Way, make_rule, train
from gpuopt.rules import USUAL, Adam, GradientDescent, Rule, rules
from gpuopt.training.fit import fit


@pytest.fixture
def demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command as the command line does: exit code, stdout and stderr."""

    def run(*options: Any, output: Any = tmp_path / "curves.png") -> Any:
        parser = argparse.ArgumentParser(prog="gpuopt demo")
        gpuopt.demo.add_arguments(parser)
        code: object
        try:
            code = gpuopt.demo.main(parser.parse_args([*options, "--output", str(output)]))
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


# The network


@pytest.mark.parametrize("count", [1, 5])
def test_gradient_against_finite_differences(count: int) -> None:
    rng = np.random.default_rng(0)
    params = initial_params(1, np, hidden=7, dtype=np.float64)
    for value in params.values():
        value[...] += 0.1 * rng.normal(size=value.shape)  # biases do not start at 0 here
    x = rng.random((count, 64))
    targets = np.eye(10)[rng.integers(10, size=count)]
    grads = loss_and_grad(params, x, targets)[1]
    assert grads.keys() == params.keys()
    step = 1e-5
    for name, value in params.items():
        numeric = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            kept = value[at]
            value[at] = kept + step
            above = loss_and_grad(params, x, targets)[0]
            value[at] = kept - step
            below = loss_and_grad(params, x, targets)[0]
            value[at] = kept
            numeric[at] = (above - below) / (2 * step)
        # Central differences: truncation and rounding leave about 1e-10.
        assert_allclose(grads[name], numeric, rtol=1e-7, atol=2e-10, err_msg=name)


def test_loss_is_the_mean_cross_entropy() -> None:
    params = initial_params(0, np, dtype=np.float64)
    (x, targets), _ = load_digits(0, np)
    scores = np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = -np.log(share[targets == 1]).mean()
    assert_allclose(loss_and_grad(params, x, targets)[0], expected, rtol=1e-12)


def test_large_scores_do_not_overflow() -> None:
    params = {name: 1e4 * value for name, value in initial_params(0, np).items()}
    (x, targets), _ = load_digits(0, np)
    loss, grads = loss_and_grad(params, x, targets)
    assert np.isfinite(loss)
    assert all(np.isfinite(grad).all() for grad in grads.values())


def test_network_stays_in_float32() -> None:
    (x, targets), _ = load_digits(0, np)
    loss, grads = loss_and_grad(initial_params(0, np), x, targets)
    assert {array.dtype for array in (loss, *grads.values())} == {np.dtype("float32")}


def test_accuracy() -> None:
    params = {"w1": np.zeros((64, 2)), "b1": np.zeros(2), "w2": np.zeros((2, 10)), "b2": np.eye(10)[3]}
    targets = np.eye(10)[[3, 1, 3, 3]]
    assert accuracy(params, np.zeros((4, 64)), targets) == 0.75


def test_digits_are_split_by_the_seed() -> None:
    (x, targets), (test_x, test_targets) = load_digits(0, np)
    assert (x.shape, targets.shape, test_x.shape, test_targets.shape) == ((1437, 64), (1437, 10), (360, 64), (360, 10))
    assert (x.min(), x.max(), x.dtype) == (0, 1, np.float32)
    assert (targets.sum(axis=1) == 1).all()
    assert_array_equal(load_digits(0, np)[0][0], x)
    assert not np.array_equal(load_digits(1, np)[0][0], x)


# Runs


BATCH_SIZES = (1, 32, None)
RUNS = [(cls, size) for cls in rules().values() for size in BATCH_SIZES if cls.__name__ in USUAL]
NO_NOISE = ("BarzilaiBorwein", "Rprop")
"""Rules for gradients of all the data."""
OTHERS = [cls for cls in rules().values() if cls.__name__ not in USUAL]
RUNS += [(cls, None if cls.__name__ in NO_NOISE else BATCH_SIZES[n % 3]) for n, cls in enumerate(OTHERS)]


@pytest.mark.parametrize(("cls", "batch_size"), RUNS)
def test_every_rule_learns_and_the_usual_ones_in_every_way(cls: type[Rule], batch_size: int | None) -> None:
    way = Way.of(batch_size)
    data, test = load_digits(0, np)
    way = dataclasses.replace(way, epochs=max(1, way.epochs // (4 if cls.__name__ in way.lr else 16)))  # enough to tell
    run = train(way, make_rule(cls, way, None), 0, data, test, lambda history: None)
    if cls.__name__ in way.lr:
        assert run.accuracy > 0.87
        assert run.loss < 0.7  # from about 2.3
    else:  # a new rule, with the learning rate of its class until one is chosen for the demo
        assert run.loss < run.history.loss[0]
    assert run.history.steps == way.epochs * way.updates(1437)


def test_same_seed_same_bits() -> None:
    data, test = load_digits(0, np)
    way = Way("mini-batch", 32, 2, {})
    runs = [train(way, Adam(0.01), seed, data, test, lambda history: None) for seed in (4, 4, 5)]
    assert_array_equal(runs[0].history.loss, runs[1].history.loss)
    assert (runs[0].loss, runs[0].accuracy) == (runs[1].loss, runs[1].accuracy)
    assert runs[0].loss != runs[2].loss


def test_learning_rate_of_choice_or_of_the_way_or_of_the_rule() -> None:
    class Unlisted(Rule):
        lr: float = 0.125

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * g

    way = Way.of(None)
    assert make_rule(GradientDescent, way, 0.5).lr == 0.5
    assert make_rule(GradientDescent, way, None).lr == way.lr["GradientDescent"]
    assert make_rule(Unlisted, way, None).lr == 0.125


# The command


def test_prints_a_table_and_draws_a_picture(demo: Any, tmp_path: Path) -> None:
    code, out, err = demo("--rules", "adam", "SGD", "--epochs", "2", "--batch-size", "64", "all", "64", "--seed", "3")
    assert (code, err) == (0, "")
    rows = re.findall(r"^(\S+ \(\w+\)) +(\w+) +(\S+) +([\d.]+)% +(\S+) +(\d+) +([\d.]+)$", out, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        ("mini-batch (64)", "Adam"),
        ("mini-batch (64)", "GradientDescent"),
        ("batch (all)", "Adam"),
        ("batch (all)", "GradientDescent"),
    ]
    assert [int(row[5]) for row in rows] == [46, 46, 2, 2]
    assert float(rows[0][3]) > 80
    assert "seed 3" in out
    assert str(tmp_path / "curves.png") in out
    image = imread(tmp_path / "curves.png")[..., :3]
    height, width, _ = image.shape
    assert width > height > 500
    assert 0.005 < (image.min(axis=2) < 0.9).mean() < 0.3  # something is drawn, on a white ground


def test_default_is_every_usual_rule_in_every_way(demo: Any) -> None:
    code, out, _ = demo("--epochs", "1")
    assert code == 0
    for way in ("stochastic (1)", "mini-batch (32)", "batch (all)"):
        assert [line.split(")")[1].split()[0] for line in out.splitlines() if line.startswith(way)] == list(USUAL)


def test_learning_rate_for_every_run(demo: Any) -> None:
    out = demo("--epochs", "1", "--lr", "0.0625", "--batch-size", "128")[1]
    assert out.count(" 0.0625 ") == len(USUAL)


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_other_formats(demo: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"curves{suffix}"
    assert demo("--rules", "adam", "--epochs", "1", "--batch-size", "all", output=path)[0] == 0
    assert path.read_bytes().startswith({".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])


def test_run_that_diverges_is_told_and_the_others_are_drawn(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Way.of(None).lr, "GradientDescent", 1e38)
    code, out, err = demo("--rules", "gradient-descent", "adam", "--epochs", "30", "--batch-size", "all")
    assert (code, err) == (0, "")
    assert re.search(r"GradientDescent +1e\+38 +the loss is (nan|inf) at update \d+ \(epoch \d+\)", out)
    assert re.search(r"Adam .*%", out)
    assert (tmp_path / "curves.png").exists()


def test_nothing_to_draw(demo: Any, tmp_path: Path) -> None:
    code, _, err = demo("--rules", "sgd", "--epochs", "30", "--batch-size", "all", "--lr", "1e38")
    assert code == 1
    assert err.splitlines() == ["gpuopt demo: every loss stopped being finite: try a smaller --lr"]
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("lr", ["0.1", "1e38"])  # with 1e38 the runs stop early
def test_bar_is_full_at_the_end(demo: Any, monkeypatch: pytest.MonkeyPatch, lr: Any) -> None:
    bars: list[Any] = []
    real: Any = tqdm.tqdm

    class Bar(real):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "disable": False})
            bars.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    err = demo("--rules", "sgd", "adam", "--epochs", "3", "--batch-size", "64", "all", "--lr", lr)[2]
    assert [(bar.n, bar.total) for bar in bars] == [(144, 144)]
    assert "batch, Adam" in err


# The picture


def test_a_line_that_climbs_out_of_the_picture_does_not_flatten_the_others() -> None:
    low, high = picture._limits([np.array([2.0, 1.0, 0.1]), np.array([2.0, 1e8])])
    assert 0.05 < low < 0.1
    assert 6 <= high < 10


def test_narrow_panels_stand_one_below_the_other(demo: Any, tmp_path: Path) -> None:
    code, _, err = demo("--narrow", "--rules", "adam", "lars", "--epochs", "2", "--batch-size", "64", "all")
    assert (code, err) == (0, "")
    height, width, _ = imread(tmp_path / "curves.png").shape
    assert width < 700 < height


def test_the_title_says_what_one_should_see() -> None:
    way = Way("batch", None, 2, {})
    runs = [Run(way, rule, "numpy", accuracy=share) for rule, share in ((Adam(), 0.9), (GradientDescent(), 0.8))]
    first, second = picture._findings([(0.2, runs[0]), (0.1, runs[1])], [way])
    assert first.endswith("the lower a line, the better")
    assert second.endswith("read right: GradientDescent (batch, 80.0%)")


def test_a_loss_of_zero_can_be_drawn(tmp_path: Path) -> None:
    history = fit(lambda p, x: (0.0, p * 0), np.zeros(1), np.zeros(8), Adam(), 4, epochs=2)
    picture.draw([Run(Way("mini-batch", 4, 2, {}), Adam(), "numpy", history, 0.0, 1.0)], 8, "title", tmp_path / "zero.png")
    assert (tmp_path / "zero.png").stat().st_size > 5000


# Refused: one line that names the option, exit code 2, nothing written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rules", "nothing"], r"argument --rules: there is no rule 'nothing'; the rules are .*adam"),
        (["--batch-size", "0"], "argument --batch-size: must be an integer of at least 1, not '0'; or 'all'"),
        (["--batch-size", "2.5"], "argument --batch-size: must be an integer of at least 1, not '2.5'; or 'all'"),
        (["--batch-size", "1438"], "argument --batch-size: 1438 is more than the 1437 training examples"),
        (["--epochs", "-1"], "argument --epochs: must be an integer of at least 1, not '-1'"),
        (["--epochs", "0"], "argument --epochs: must be an integer of at least 1, not '0'"),
        (["--epochs", "many"], "argument --epochs: must be an integer of at least 1, not 'many'"),
        (["--lr", "-0.1"], "argument --lr: must be a finite number >= 0, not '-0.1'"),
        (["--lr", "nan"], "argument --lr: must be a finite number >= 0, not 'nan'"),
        (["--lr", "inf"], "argument --lr: must be a finite number >= 0, not 'inf'"),
        (["--lr", "fast"], "argument --lr: must be a finite number >= 0, not 'fast'"),
        (["--seed", "-1"], "argument --seed: must be an integer of at least 0, not '-1'"),
        (["--backend", "torch"], "argument --backend: invalid choice: 'torch'"),
    ],
)
def test_bad_option(demo: Any, tmp_path: Path, options: Any, message: str) -> None:
    code, out, err = demo(*options)
    assert (code, out) == (2, "")
    assert re.match(f"gpuopt demo: error: {message}", err.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/curves.png", "cannot write .*missing/curves.png: No such file or directory"),
        ("folder.png", "cannot write .*folder.png: Is a directory"),
        ("curves.txt", r".*curves.txt must end in one of .png, .pdf, .svg"),
        ("curves", r".*curves must end in one of .png, .pdf, .svg"),
    ],
)
def test_bad_output(demo: Any, tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    code, out, err = demo(output=tmp_path / path)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert re.match(f"gpuopt demo: error: argument --output: {message}", err)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


def test_refusal_keeps_an_old_picture(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(b"old")
    assert demo("--batch-size", "5000")[0] == 2
    assert (tmp_path / "curves.png").read_bytes() == b"old"


@pytest.mark.parametrize(("module", "name"), [("tqdm", "tqdm"), ("matplotlib", "matplotlib"), ("sklearn.datasets", "sklearn")])
def test_missing_package_is_named(demo: Any, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = demo()
    assert (code, out) == (2, "")
    assert err == f"gpuopt demo: error: the demo needs {name}: {command(name)}\n"


def test_backend_that_cannot_be_used_says_why(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def use(name: str) -> None:
        raise RuntimeError(f"{name} cannot be used:\n no CUDA device")

    monkeypatch.setattr(gpuopt.arrays.backend, "use", use)
    assert demo("--backend", "cupy") == (2, "", "gpuopt demo: error: cupy cannot be used: no CUDA device\n")

"""gpuopt bench: what it measures, prints and draws, and what it refuses."""

from __future__ import annotations

import ctypes
import functools
import re
import time

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose

from gpuopt import backend, cli
from gpuopt.bench import measure, report, rivals
from gpuopt.rules import Adam, AdamW, GradientDescent, Momentum, RMSProp, rules

LIKE_BY_HAND = {
    "GradientDescent": GradientDescent(lr=0.01),
    "Momentum": Momentum(lr=0.01, beta=0.9),
    "RMSProp": RMSProp(lr=0.01, beta=0.9, eps=1e-8),
    "Adam": Adam(lr=1e-3, eps=1e-8),
    "AdamW": AdamW(lr=1e-3, eps=1e-8, weight_decay=0.01),
}
QUICK = ["--sizes", "50", "--many", "3", "7", "--rounds", "1"]


@pytest.fixture
def no_libraries(monkeypatch):
    """PyTorch, JAX and optax are as if they were not installed: they take seconds to import."""
    monkeypatch.setattr(rivals, "_optional", lambda name: None)


@pytest.fixture
def bench(capsys, no_libraries):
    """Run the command: exit code, stdout and stderr."""

    def run(*options):
        try:
            code = cli.main(["bench", *QUICK, *options])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


# Measuring


def test_rivals_take_turns_in_blocks():
    seen = []
    steps = {name: functools.partial(seen.append, name) for name in "ab"}
    found = measure.in_turns(steps, 2, lambda: seen.append("|"), {"a": 2, "b": 1})
    assert "".join(seen) == "|" + "aa|b|" * 3  # a round warms up
    assert {name: len(times) for name, times in found.items()} == {"a": 2, "b": 2}


def test_a_time_is_of_one_call_and_waits_for_the_device():
    found = measure.medians(measure.in_turns({"call": lambda: time.sleep(0.002)}, 3, lambda: time.sleep(0.004), 2))
    assert 0.004 <= found["call"] < 0.04


def test_calls_that_last_a_while():
    assert measure.calls_lasting(lambda: time.sleep(0.002), lambda: None, 0.02) in range(2, 11)
    assert measure.calls_lasting(lambda: time.sleep(0.002), lambda: None, 1e-6) == 1


@pytest.mark.parametrize(("rule", "states"), [(GradientDescent(), 0), (Momentum(), 1), (Adam(), 2), (Adam(amsgrad=True), 3)])
def test_the_bytes_a_step_must_move(rule, states):
    opt = rule.init([np.ones(5, "float32"), np.ones((2, 2), "float32")])
    assert measure.bytes_a_step(opt) == 4 * 9 * (3 + 2 * states)


def test_the_floor_is_the_same_bytes_streamed():
    assert measure.over_floor(seconds=3.0, moved=28, streamed=8, stream_seconds=0.5) == pytest.approx(3 / (28 / 8 * 0.5))


@pytest.mark.parametrize("size", [10, 2_500_000])
def test_streams_touch_every_element(size, monkeypatch):
    kept = []
    for name, real in {"ones": np.ones, "zeros": np.zeros}.items():
        monkeypatch.setattr(np, name, lambda *a, real=real: kept.append(real(*a)) or kept[-1])
    steps = measure.stream_steps(np, size)
    source, target, one = kept
    source[...] = 3
    one[...] = 2
    steps["copy"]()
    assert (target == 3).all()
    steps["scale"]()
    assert (source == 6).all()


def test_an_executor_is_chosen_and_the_choice_undone(executor, monkeypatch):
    monkeypatch.delenv(backend.CPU_VARIABLE, raising=False)
    xp = measure.module_of(executor)
    opt = measure.optimizer(Adam(), measure.make_arrays(xp, 5), executor)
    assert opt.executor == executor
    assert backend.CPU_VARIABLE not in measure.os.environ
    opt.step(measure.make_arrays(xp, 5))
    measure.waiting(xp)()


def test_the_allocator_is_pinned_where_it_is_glibc():
    assert measure.pin_allocator() == hasattr(ctypes.CDLL(None), "mallopt")


# Rivals


def test_what_is_written_by_hand_gives_the_same():
    assert LIKE_BY_HAND.keys() == {name for name in rules() if rivals.naive(name, np, [np.ones(1)], [np.ones(1)])}
    for name, rule in LIKE_BY_HAND.items():
        rng = np.random.default_rng(0)
        ours, g = rng.normal(size=20), rng.normal(size=20)
        theirs = ours.copy()
        step, opt = rivals._by_hand(name, np, theirs, g), rule.init(ours)
        for _ in range(4):
            step()
            opt.step(g)
        assert_allclose(theirs, ours, rtol=1e-6, err_msg=name)
    assert rivals.naive("Unknown", np, [ours], [g]) is None


def test_the_chain_that_is_written_by_hand_gives_the_same():
    rng = np.random.default_rng(0)
    ours, gradients = [rng.normal(size=20), rng.normal(size=(3, 2))], [rng.normal(size=20), rng.normal(size=(3, 2))]
    theirs = [p.copy() for p in ours]
    opt = rivals.subjects()[rivals.CHAIN]().init(ours)
    step = rivals._chain_by_hand(np, theirs, gradients)
    for _ in range(4):
        step()
        opt.step(gradients)
    for mine, other in zip(ours, theirs, strict=True):
        assert_allclose(other, mine, rtol=1e-6)


def test_a_chain_is_a_case_whose_gradients_are_read_twice(no_libraries):
    case = rivals.compare(rivals.CHAIN, ["numpy"], 11, 3, "float64", 1)
    assert list(case.rivals) == ["by hand"]
    assert case.moved == 3 * 11 * 8 * 10


def test_torch_takes_a_step_of_its_own_copy():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        for name in LIKE_BY_HAND:
            p, g = np.ones(4, "float32"), np.ones(4, "float32")
            for how in ("fused", "foreach"):
                step = rivals.torch_step(name, [p], [g], False, how)
                assert (step is None) == (name == "RMSProp" and how == "fused")
                if step:
                    step()
            assert (p == 1).all()
    finally:
        torch.set_num_threads(threads)


def test_a_case_holds_what_takes_part(no_libraries):
    executors = [e for e in ("numpy", "numba") if measure.why_not(e) is None]
    case = rivals.compare("Adam", executors, 11, 3, "float64", 1)
    assert list(case.ours) == executors
    assert list(case.rivals) == ["by hand"]
    assert case.moved == 3 * 11 * 8 * 7
    assert case.floor > 0


# The command


def test_text(bench):
    code, out, err = bench("--executors", "numpy", "--rules", "adam", "MOMENTUM", "chain")
    assert (code, err) == (0, "")
    header, _, columns, *rows = out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d; .+, \d+ threads?; float32; gpuopt .+, python .+, numpy ", header)
    assert columns.split()[:3] == ["rule", "arrays", "executor"]
    assert [re.split(r"  +", row)[:3] for row in rows[:6]] == [
        ["Adam", "50", "numpy"],
        ["Adam", "3 x 7", "numpy"],
        ["Momentum", "50", "numpy"],
        ["Momentum", "3 x 7", "numpy"],
        ["chain", "50", "numpy"],
        ["chain", "3 x 7", "numpy"],
    ]


def test_markdown_on_stdout_and_in_a_file(bench, tmp_path):
    path = tmp_path / "table.md"
    options = ["--backend", "numpy", "--rules", "adam", "--format", "markdown", "--dtype", "float64"]
    code, out, _ = bench(*options, "--output", str(path))
    assert code == 0
    assert out == path.read_text(encoding="utf-8")
    assert "float64" in out
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    executors = 1 + (measure.why_not("numba") is None)
    assert len(rows) == 2 + 2 * executors


def test_a_picture(bench, tmp_path):
    path = tmp_path / "bars.png"
    assert bench("--executors", "numpy", "--rules", "adam", "--output", str(path))[0] == 0
    picture = imread(path)
    assert picture.shape[1] > 1000
    assert picture.std() > 0.05


def test_ratios_and_bandwidth():
    case = rivals.Case("Adam", 1, 1_000, "float32", 28_000, {"numpy": 2e-5}, {"by hand": 8e-5}, 5e-6)
    row = report.text(report.Report([case], "header")).splitlines()[3]
    assert row.split() == ["Adam", "1,000", "numpy", "20.0", "us", "1.4", "GB/s", "25%", "4.00", "-", "-", "-"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rules", "nadam"], "there is no rule 'nadam'; the rules are gradientdescent, "),
        (["--sizes", "0"], "must be an integer of at least 1, not '0'"),
        (["--rounds", "x"], "must be an integer of at least 1, not 'x'"),
        (["--output", "a.gif"], "a.gif must end in one of .md, .png"),
        (["--output", "/nowhere/a.md"], "cannot write /nowhere/a.md: No such file"),
        (["--executors", "jax"], "invalid choice: 'jax'"),
        (["--executors", "numpy", "--backend", "numpy"], "not allowed with argument"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
    ],
)
def test_what_is_refused_in_one_line(bench, options, message):
    code, out, err = bench(*options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("options", [["--backend", "cupy"], ["--executors", "numpy", "cupy"]])
def test_an_executor_that_does_not_work_is_refused(bench, options, monkeypatch):
    monkeypatch.setattr(backend, "why_not_cupy", lambda: "no driver")
    code, out, err = bench(*options)
    assert (code, out) == (2, "")
    assert err == "gpuopt bench: error: the executor cupy cannot be used here: no driver\n"


def test_a_file_that_is_there_survives_a_refusal(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "why_not_cupy", lambda: "no driver")
    path = tmp_path / "kept.md"
    path.write_text("kept", encoding="utf-8")
    assert bench("--backend", "cupy", "--output", str(path))[0] == 2
    assert path.read_text(encoding="utf-8") == "kept"


@pytest.mark.gpu
def test_on_the_gpu(bench):
    code, out, err = bench("--backend", "cupy", "--rules", "adam")
    assert (code, err) == (0, "")
    assert " cupy " in out

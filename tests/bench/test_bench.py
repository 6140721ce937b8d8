"""gpuopt bench: what it measures, prints and draws, and what it refuses."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose

import gpuopt
from gpuopt import bench as bench_module
from gpuopt import cli
from gpuopt.arrays import backend
from gpuopt.arrays.dtypes import named
from gpuopt.bench import by_hand, libraries, measure, report, rivals
from gpuopt.bench.by_hand import CHAIN, CLIP
from gpuopt.bench.subjects import STANDARD, subjects
from gpuopt.rules import USUAL, Adam, AdamW, GradientDescent, Momentum, RMSProp, Rule, rules
from tests.support.executors import ON_CPU, only

LIKE_BY_HAND = {
    "GradientDescent": GradientDescent(lr=0.01),
    "Momentum": Momentum(lr=0.01, beta=0.9),
    "RMSProp": RMSProp(lr=0.01, beta=0.9, eps=1e-8),
    "Adam": Adam(lr=1e-3, eps=1e-8),
    "AdamW": AdamW(lr=1e-3, eps=1e-8, weight_decay=0.01),
}
QUICK = ["--sizes", "50", "--many", "3", "7", "--rounds", "1"]


@pytest.fixture
def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch, JAX and optax are as if they were not installed: they take seconds to import."""
    monkeypatch.setattr(libraries, "_optional", lambda name: None)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], no_libraries: None) -> Any:
    """Run the command: exit code, stdout and stderr."""

    def run(*options: Any) -> Any:
        code: object
        try:
            code = cli.main(["bench", *QUICK, *options])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


# Measuring


def test_rivals_take_turns_in_blocks() -> None:
    seen: list[str] = []
    steps = {name: functools.partial(seen.append, name) for name in "ab"}
    found = measure.in_turns(steps, 2, lambda: seen.append("|"), {"a": 2, "b": 1})
    assert "".join(seen) == "|" + "aa|b|" * 3  # a round warms up
    assert {name: len(times) for name, times in found.items()} == {"a": 2, "b": 2}


def test_a_time_is_of_one_call_and_waits_for_the_device() -> None:
    found = measure.medians(measure.in_turns({"call": lambda: time.sleep(0.002)}, 3, lambda: time.sleep(0.004), 2))
    assert 0.004 <= found["call"] < 0.04


def test_calls_that_last_a_while() -> None:
    assert measure.calls_lasting(lambda: time.sleep(0.002), lambda: None, 0.02) in range(2, 11)
    assert measure.calls_lasting(lambda: time.sleep(0.002), lambda: None, 1e-6) == 1


@pytest.mark.parametrize(("rule", "states"), [(GradientDescent(), 0), (Momentum(), 1), (Adam(), 2), (Adam(amsgrad=True), 3)])
def test_the_bytes_a_step_must_move(rule: Rule, states: Any) -> None:
    opt = rule.init([np.ones(5, "float32"), np.ones((2, 2), "float32")])
    assert measure.bytes_a_step(opt) == 4 * 9 * (3 + 2 * states)
    opt = rule.init(np.ones(4_096, "float32"), state_dtype="dynamic8")
    assert measure.bytes_a_step(opt) == 4_096 * 12 + 16 * 258 * 2 * states


@pytest.mark.parametrize(
    ("dtype", "options", "moved"),
    [("float16", {}, 22), ("float16", {"master": True}, 28), ("float32", {"master": True}, 28), ("float64", {}, 56)],
)
def test_a_parameter_with_a_master_copy_is_written_and_not_read(dtype: str, options: Any, moved: Any) -> None:
    opt = Adam().init({"a": np.ones(5, dtype), "b": np.ones((2, 2), dtype)}, **options)
    assert measure.bytes_a_step(opt) == moved * 9
    both = Adam().init([np.ones(5, "float16"), np.ones(5, "float32")], master=True)
    assert measure.bytes_a_step(both) == (28 + 28) * 5


@pytest.mark.parametrize("size", [10, 2_500_000])
def test_streams_touch_every_element(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    def keeping(real: Any) -> Any:
        def make(*arguments: Any) -> Any:
            kept.append(real(*arguments))
            return kept[-1]

        return make

    for name in ("ones", "zeros"):
        monkeypatch.setattr(np, name, keeping(getattr(np, name)))
    steps = measure.stream_steps(np, size)
    source, target, one = kept
    source[...] = 3
    one[...] = 2
    steps["copy"]()
    assert (target == 3).all()
    steps["scale"]()
    assert (source == 6).all()


@only(*ON_CPU, "cupy")
def test_an_executor_is_chosen_and_the_choice_undone(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(backend.CPU_VARIABLE, raising=False)
    xp = measure.module_of(executor)
    opt = measure.optimizer(Adam(), measure.make_arrays(xp, 5), executor)
    assert opt.executor == executor
    assert backend.CPU_VARIABLE not in os.environ
    opt.step(measure.make_arrays(xp, 5))
    measure.waiting(xp)()


def test_the_allocator_is_pinned_where_it_is_glibc() -> None:
    assert measure.pin_allocator() == hasattr(ctypes.CDLL(None), "mallopt")


# Rivals


def test_what_is_written_by_hand_gives_the_same() -> None:
    assert LIKE_BY_HAND.keys() == {name for name in rules() if by_hand.naive(name, np, [np.ones(1)], [np.ones(1)])}
    for name, rule in LIKE_BY_HAND.items():
        rng = np.random.default_rng(0)
        ours, g = rng.normal(size=20), rng.normal(size=20)
        theirs = ours.copy()
        step, opt = by_hand._by_hand(name, np, theirs, g), rule.init(ours)
        assert step is not None
        for _ in range(4):
            step()
            opt.step(g)
        assert_allclose(theirs, ours, rtol=1e-6, err_msg=name)
    assert by_hand.naive("Unknown", np, [ours], [g]) is None


def test_the_chain_that_is_written_by_hand_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    ours, gradients = [rng.normal(size=20), rng.normal(size=(3, 2))], [rng.normal(size=20), rng.normal(size=(3, 2))]
    theirs = [p.copy() for p in ours]
    opt = subjects()[CHAIN]().init(ours)
    step = by_hand._chain_by_hand(np, theirs, gradients)
    for _ in range(4):
        step()
        opt.step(gradients)
    for mine, other in zip(ours, theirs, strict=True):
        assert_allclose(other, mine, rtol=1e-6)


@pytest.mark.parametrize("name", [*LIKE_BY_HAND, CHAIN])
@pytest.mark.parametrize("options", [[], ["master"]], ids=["plain", "master"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_written_by_hand_for_16_bits_gives_the_same(name: str, options: Any, dtype: str) -> None:
    rng = np.random.default_rng(0)
    kind = named(dtype) if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    ours, g = [rng.normal(size=20).astype(kind)], [rng.normal(size=20).astype(kind)]
    theirs = [p.copy() for p in ours]
    rule = LIKE_BY_HAND.get(name) or subjects()[name]()
    opt = rule.init(ours, master=bool(options))
    chained = name == CHAIN
    made = by_hand._chain_by_hand(np, theirs, g, bool(options)) if chained else None
    step = made or by_hand._by_hand(name, np, theirs[0], g[0], bool(options))
    assert step is not None
    for _ in range(4):
        step()
        opt.step(g)
    assert theirs[0].dtype == kind
    assert_allclose(theirs[0].astype(float), ours[0].astype(float), rtol=2e-2 if dtype == "bfloat16" else 2e-3, atol=1e-6)


def test_nobody_rounds_at_random_by_hand() -> None:
    assert by_hand.naive("Adam", np, [np.ones(1)], [np.ones(1)], ["stochastic_rounding"]) is None


def test_a_chain_is_a_case_whose_gradients_are_read_twice(no_libraries: None) -> None:
    case = rivals.compare(CHAIN, ["numpy"], 11, 3, "float64", 1)
    assert list(case.rivals) == ["by hand"]
    assert case.moved == 3 * 11 * 8 * 10


def test_torch_takes_a_step_of_its_own_copy() -> None:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        for name in LIKE_BY_HAND:
            p, g = np.ones(4, "float32"), np.ones(4, "float32")
            for how in ("fused", "foreach"):
                assert libraries.torch_step(name, [p], [g], False, how, ["master"]) is None
                step = libraries.torch_step(name, [p], [g], False, how)
                assert (step is None) == (name == "RMSProp" and how == "fused")
                if step:
                    step()
            assert (p == 1).all()
    finally:
        torch.set_num_threads(threads)


def test_torch_takes_bfloat16() -> None:
    pytest.importorskip("torch")
    kind = pytest.importorskip("ml_dtypes").bfloat16
    p, g = np.ones(4, kind), np.ones(4, kind)
    step = libraries.torch_step("Adam", [p], [g], False, "foreach")
    assert step is not None
    step()
    assert (p == 1).all()


def test_a_rival_that_is_broken_here_is_left_out(
    no_libraries: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(rivals, "torch_step", broken)
    assert list(rivals.compare("Adam", ["numpy"], 11, 1, "float32", 1).rivals) == ["by hand"]
    assert capsys.readouterr().err.splitlines() == [
        f"gpuopt bench: Adam is measured without torch {how}: RuntimeError: no kernel for this" for how in ("fused", "foreach")
    ]


def test_what_is_asked_for_most_is_measured_first() -> None:
    assert STANDARD[:3] == ("Adam", "AdamW", "GradientDescent")
    assert set(STANDARD) == {*USUAL, CLIP, CHAIN}
    assert list(subjects()) == [*rules(), CLIP, CHAIN]


def test_a_block_lasts_a_while_and_has_not_too_many_calls(no_libraries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {}

    def by_hand() -> None: ...

    def lasting(step: Any, wait: Any, seconds: float) -> int:
        assert seconds == 0.02
        return 3 if step is by_hand else 1_000

    def in_turns(steps: Any, rounds: int, wait: Any, calls: Any) -> Any:
        seen.update(calls)
        return {key: [1.0] for key in steps}

    monkeypatch.setattr(rivals, "calls_lasting", lasting)
    monkeypatch.setattr(rivals, "in_turns", in_turns)
    monkeypatch.setattr(rivals, "naive", lambda *_: by_hand)
    rivals.compare("Adam", ["numpy"], 11, 3, "float64", 1)
    assert seen == {"numpy": 100, "by hand": 3, "copy": 100, "scale": 100}


def test_many_arrays_on_a_gpu_are_measured_beside_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression for each array is thousands of launches, and jit compiles hundreds of arrays for seconds."""

    class Device:
        """NumPy, which is not known as such."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    asked = []

    def never(*arguments: Any) -> None:
        asked.append(arguments)

    for rival in ("naive", "torch_step", "optax_step"):
        monkeypatch.setattr(rivals, rival, never)
    for count, wanted in ((1, 4), (2, 2)):
        asked.clear()
        array = [np.ones(2, "float32")] * count
        steps = rivals._others("Adam", Device(), array, array, [], [], rivals.kinds_for(Device(), count, rivals.KINDS))
        assert not steps
        assert len(asked) == wanted
    assert rivals.kinds_for(np, 2, rivals.KINDS) == rivals.KINDS


def test_a_case_holds_what_takes_part(no_libraries: None) -> None:
    executors = [e for e in ON_CPU if measure.why_not(e) is None]
    case = rivals.compare("Adam", executors, 11, 3, "float64", 1)
    assert list(case.ours) == executors
    assert list(case.rivals) == ["by hand"]
    assert case.moved == 3 * 11 * 8 * 7
    assert case.floor > 0


# The command


def test_text(bench: Any) -> None:
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


def test_markdown_on_stdout_and_in_a_file(bench: Any, tmp_path: Path) -> None:
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


def test_options_of_init_are_in_the_header_and_in_the_numbers(bench: Any, tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    path = tmp_path / "numbers.json"
    options = ["--dtype", "bfloat16", "--init", "capturable", "master", "--output", str(path)]
    code, out, err = bench("--executors", "numpy", "--rules", "adam", *options)
    assert (code, err) == (0, "")
    assert "; bfloat16, master=True, capturable=True; gpuopt " in out.splitlines()[0]
    assert ", ml_dtypes " in out.splitlines()[0]
    assert "in 16 bits" in out.splitlines()[-1]
    numbers = json.loads(path.read_text(encoding="utf-8"))
    assert numbers["header"] == out.splitlines()[0]
    assert numbers["options"] == ["master", "capturable"]
    assert [case["moved"] for case in numbers["cases"]] == [28 * 50, 28 * 21]
    assert all(case["ours"]["numpy"] > 0 for case in numbers["cases"])


def test_numbers_are_kept_where_the_run_is_stopped(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "numbers.json", rivals.compare

    def compare(name: str, *rest: Any, **more: Any) -> Any:
        return real(name, *rest, **more) if name == "Adam" else 1 / 0

    monkeypatch.setattr(bench_module, "compare", compare)
    with pytest.raises(ZeroDivisionError):
        bench("--executors", "numpy", "--rules", "adam", "momentum", "--output", str(path))
    assert len(json.loads(path.read_text(encoding="utf-8"))["cases"]) == 2


def test_two_ways_of_16_bits_exclude_each_other(bench: Any) -> None:
    pytest.importorskip("ml_dtypes")
    code, out, err = bench("--dtype", "bfloat16", "--init", "master", "stochastic_rounding")
    assert (code, out) == (2, "")
    assert "master=True and stochastic_rounding=True exclude each other" in err
    assert err.count("\n") == 1


def test_without_ml_dtypes_there_is_no_bfloat16(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    code, out, err = bench("--dtype", "bfloat16")
    assert (code, out) == (2, "")
    assert err == "gpuopt bench: error: --dtype bfloat16 needs ml_dtypes, which is not installed (pip install ml_dtypes)\n"


def test_rivals_are_chosen(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    for kinds, wanted in (([], []), (["torch"], []), (["hand", "optax"], ["by hand"])):
        assert bench("--executors", "numpy", "--rules", "adam", "--output", str(path), "--rivals", *kinds)[0] == 0
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        assert [list(case["rivals"]) for case in cases] == [wanted, wanted]


def test_a_picture(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "bars.png"
    assert bench("--executors", "numpy", "--rules", "adam", "--output", str(path))[0] == 0
    picture = imread(path)
    assert picture.shape[1] > 1000
    assert picture.std() > 0.05


def test_ratios_and_bandwidth() -> None:
    case = rivals.Case("Adam", 1, 1_000, "float32", 28_000, {"numpy": 2e-5}, {"by hand": 8e-5}, {"copy": 5e-6, "scale": 6e-6})
    row = report.text(report.Report([case], "header")).splitlines()[3]
    assert row.split() == ["Adam", "1,000", "numpy", "20.0", "us", "1.4", "GB/s", "25%", "4.00", "-", "-", "-"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rules", "padam"], "there is no rule 'padam'; the rules are gradientdescent, "),
        (["--sizes", "0"], "must be an integer of at least 1, not '0'"),
        (["--rounds", "x"], "must be an integer of at least 1, not 'x'"),
        (["--output", "a.gif"], "a.gif must end in one of .md, .json, .png"),
        (["--output", "/nowhere/a.md"], "cannot write /nowhere/a.md: No such file"),
        (["--executors", "jax"], "invalid choice: 'jax'"),
        (["--rivals", "jax"], "invalid choice: 'jax'"),
        (["--executors", "numpy", "--backend", "numpy"], "not allowed with argument"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--init", "fast"], "invalid choice: 'fast'"),
        (["--init", "master"], "--init master is for float16 and bfloat16, not for --dtype float32"),
        (
            ["--init", "stochastic_rounding", "--dtype", "float16"],
            "--init stochastic_rounding is for bfloat16, not for --dtype",
        ),
        (["--graph", "--backend", "numpy"], "--graph needs the executor cupy: "),
    ],
)
def test_what_is_refused_in_one_line(bench: Any, options: Any, message: str) -> None:
    code, out, err = bench(*options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("options", [["--backend", "cupy"], ["--executors", "numpy", "cupy"]])
def test_an_executor_that_does_not_work_is_refused(bench: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "why_not_cupy", lambda: "no driver")
    code, out, err = bench(*options)
    assert (code, out) == (2, "")
    assert err == "gpuopt bench: error: the executor cupy cannot be used here: no driver\n"


def test_a_file_that_is_there_survives_a_refusal(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "why_not_cupy", lambda: "no driver")
    path = tmp_path / "kept.md"
    path.write_text("kept", encoding="utf-8")
    assert bench("--backend", "cupy", "--output", str(path))[0] == 2
    assert path.read_text(encoding="utf-8") == "kept"


@pytest.fixture
def as_if_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy and its executor stand for CuPy and its."""
    for name, value in {"why_not_cupy": None, "xp": np, "_device_name": "a GPU"}.items():
        monkeypatch.setattr(backend, name, lambda value=value: value)
    for module in (measure, rivals):
        monkeypatch.setattr(module, "module_of", lambda executor: np)


def test_the_replay_of_a_captured_step_is_one_more_executor(
    bench: Any, as_if_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    captured = []

    def graph(loss_and_grad: Any, opt: Any) -> Any:
        loss, gradients = loss_and_grad(opt.params)
        captured.append((opt.capturable, loss.shape, len(gradients)))
        return lambda: opt.step(gradients) or loss

    monkeypatch.setattr(gpuopt, "graph", graph, raising=False)
    path = tmp_path / "numbers.json"
    code, out, err = bench("--backend", "cupy", "--graph", "--rules", "adam", "--output", str(path))
    assert (code, err) == (0, "")
    assert "; a GPU; float32, capturable=True; " in out.splitlines()[0]
    assert [re.split(r"  +", row)[:3] for row in out.splitlines()[3:7]] == [
        ["Adam", "50", "cupy"],
        ["Adam", "50", "cupy graph"],
        ["Adam", "3 x 7", "cupy"],
        ["Adam", "3 x 7", "cupy graph"],
    ]
    assert captured == [(True, (), 1), (True, (), 3)]
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert [list(case["ours"]) for case in cases] == [["cupy", rivals.GRAPH]] * 2
    assert bench("--backend", "cupy", "--graph", "--rules", "adam", "--output", str(tmp_path / "bars.png"))[0] == 0


def test_a_version_without_graphs_says_so(bench: Any, as_if_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(gpuopt, "graph", raising=False)
    code, _, err = bench("--backend", "cupy", "--graph")
    assert (code, err) == (2, "gpuopt bench: error: --graph cannot be used: this version of gpuopt has no gpuopt.graph\n")


@pytest.mark.gpu
@pytest.mark.parametrize("options", [[], ["--dtype", "bfloat16", "--init", "master"], ["--graph"]], ids=["", "master", "graph"])
def test_on_the_gpu(bench: Any, options: Any) -> None:
    if "--graph" in options and (reason := rivals.why_no_graph()):
        pytest.skip(reason)
    code, out, err = bench("--backend", "cupy", "--rules", "adam", *options)
    assert (code, err) == (0, "")
    assert " cupy " in out
    assert (" cupy graph " in out) == ("--graph" in options)

"""The README and the pages are true: their Python runs, their numbers and kernels are those that are measured and generated."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go
from gpuopt import cli
from gpuopt.arrays.precision import Precision
from gpuopt.rules import every_piece, rules
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.trace import trace

ROOT = Path(__file__).parents[2]


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("number", "printed"), [(0, "True\n"), (1, "0.613 [0.887 0.887 0.887]\n")])
def test_each_block_runs_alone(number: int, printed: str) -> None:
    """In an interpreter of its own, as whoever copies it runs it."""
    assert len(blocks("python")) == 2
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", blocks("python")[number]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (printed, "")


def test_it_fits_on_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 115


def test_the_numbers_are_those_of_the_page_on_performance() -> None:
    """Each row is one of Adam there, with the same times and ratios."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [_cells(line) for line in readme.splitlines() if line.startswith("|") and "µs" in line]
    known = [_cells(line) for line in page.splitlines() if line.startswith("| Adam |")]
    assert len(rows) == 5
    for arrays, _, step, *others in rows:
        (row,) = (row for row in known if row[1] == arrays and step in row)
        assert row[-4:] == others
    for date in re.findall(r"\d{4}-\d\d-\d\d", readme):
        assert date in page


def _cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_the_kernel_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernel", "lion"]) == 0
    (shown,) = blocks("text", "docs/your-own-rule.md")
    assert _body(capsys.readouterr().out, "const auto update").startswith(shown)


def _body(printed: str, first: str) -> str:
    """What is printed from the line that begins with `first` on, without the indentation of that line."""
    lines = printed.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.lstrip().startswith(first))
    indent = len(lines[start]) - len(lines[start].lstrip())
    return "".join(line[indent:] for line in lines[start:])


@pytest.fixture(autouse=True)
def _as_a_reader_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the executor that is chosen where nobody chooses one; some pages choose."""
    monkeypatch.setenv("GPUOPT_CPU", "")


def test_commands_are_one_line_each() -> None:
    first, second = blocks("sh")[:2]
    for command in (first, second):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && ")
    assert "gpuopt demo" in first
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert second.strip() in ci, ".ci/run runs the README's test command word for word"


def test_the_page_on_rules_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": __name__}
    *parts, last = blocks("python", "docs/your-own-rule.md")
    for block in parts:
        exec(block, scope)
    lion, product, origin, several, message, *others = capsys.readouterr().out.splitlines()
    orthogonal, by_rows, shrunk, sparse, averaged, skipped, clipped, plateau, polyak, equal, same = others
    assert "0.45007347" in product
    assert lion == "[0.9 0.9] [-0.1  0.1] [ 0.01 -0.01]"
    assert origin == "[5. 5. 5.]"
    assert several == "0.4 ['v[0]', 'v[1]']"
    assert message in " ".join((ROOT / "docs" / "your-own-rule.md").read_text(encoding="utf-8").split())
    assert orthogonal == "[[-0.023, 0.0, 0.0], [0.0, -0.015, 0.0]]"
    assert by_rows == "(100, 1) 800"
    assert shrunk == "[ 2.5 -1.5  0. ]"
    assert sparse == "[1.5]"
    assert averaged == "[0.5] [0.75] {'tail_average_mean': array([0.75])}"
    assert skipped == "[-10.] 4"
    assert clipped == "[-16.] 36.0"
    assert plateau == "[-4.5] 0.5"
    assert polyak == "[ 0.375 -0.5  ]"
    assert equal == "True True"
    assert same == "1"
    pytest.importorskip("cupy", reason="cuda_source needs CuPy")
    exec(last, scope)
    assert capsys.readouterr().out == "True\nTrue\n"


def test_the_page_on_gradients_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page, scope = "docs/gradients.md", dict[str, Any]()
    for block in blocks("python", page):
        exec(block, scope)
    (shown,) = blocks("text", page)
    said, remedy, _, *truths = capsys.readouterr().out.splitlines()
    assert [said, remedy] == shown.splitlines()[:2]
    assert set(" ".join(truths).split()) == {"True"}


def test_the_page_on_minimizing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page, scope = "docs/minimize.md", dict[str, Any]()
    for block in blocks("python", page):
        exec(block, scope)
    assert capsys.readouterr().out.splitlines() == [
        "True [1. 1.] True",
        "True True True",
        "True",
        "True True",
        "True True True",
    ]
    pytest.importorskip("scipy", reason="SciPy is not installed")
    (block,) = blocks("py", page)
    exec(block, scope)
    assert capsys.readouterr().out == "[1. 1.]\n"


def test_the_page_to_start_with_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    page, scope = "docs/start.md", dict[str, Any]()
    for block in blocks("python", page):
        exec(block, scope)
    plt.close("all")
    said = capsys.readouterr().out.splitlines()
    checked, *shown = "".join(blocks("text", page)[1:]).splitlines()
    assert said[0].partition(":")[0] == checked.partition(":")[0] == "The gradient is right"
    assert said[1:] == shown


def test_the_first_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("python", "docs/index.md"):
        exec(block, {})
    assert capsys.readouterr().out == "True\n"


COMPOSITION = "docs/composition.md"


def test_the_page_on_rules_names_those_that_say_their_scale() -> None:
    page = " ".join((ROOT / "docs" / "your-own-rule.md").read_text(encoding="utf-8").split())
    (named,) = re.findall(r"These rules of the library have it: (.*?)\. ", page)
    assert sorted(re.findall(r"`(\w+)`", named)) == sorted(name for name, cls in rules().items() if has_hook(cls(), "scale"))


def test_the_page_on_composition_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python", COMPOSITION):
        exec(block, scope)
    assert capsys.readouterr().out.splitlines() == [
        "[1. 1.] [0.936 0.936] ['m', 'v', 'average_mean']",
        "None True",
        "[[0.1, 0.1, 0.0], [0.2, 0.2, 0.0]]",
        "[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]",
        "[2.0, 1.0, 0.5, 0.25] True",
        "True",
        "[1. 2.] 0 0",
        "131072.0 61 64",
    ]


def test_the_page_on_rows_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python", "docs/rows.md"):
        exec(block, scope)
    assert capsys.readouterr().out == "1 64\n(16, 16) (16, 16)\n(5000,)\n"


def test_the_page_on_scikit_learn_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        for block in blocks("py", "docs/scikit-learn.md"):
            exec(block, {})
    assert capsys.readouterr().out == "0.03\n"


def test_the_page_on_checkpoints_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python", "docs/checkpoints.md"):
        exec(block, scope)
    assert capsys.readouterr().out == "{'note': 'after one step'} 1\n0.1\nTrue\n8 16\n"


def test_the_page_on_training_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python", "docs/training.md"):
        exec(block, scope)
    assert capsys.readouterr().out == "20 True\n[0.0, 0.0005, 0.001, 0.0005, 0.0]\n"


def test_the_page_on_training_has_every_schedule() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert {*re.findall(r"^\| `(\w+)\(", page, flags=re.MULTILINE)} == {*go.schedules.__all__} - {"Schedule"}


def test_the_page_on_constraints_runs_and_has_every_piece(capsys: pytest.CaptureFixture[str]) -> None:
    page, scope = "docs/constraints.md", dict[str, Any]()
    for block in blocks("python", page):
        exec(block, scope)
    assert capsys.readouterr().out.splitlines() == [
        "1.0 True 1.0",
        "[ 2.5 -0.5  0. ] True",
        "[0.7 0.3 0. ] [2.5 0. ]",
    ]
    rows = re.findall(r"^\| `(\w+)\(.*?\)` \|.*\| (any|the rule's) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    every = every_piece().items()
    fields = {name: "the rule's" if hasattr(cls, "metric") else "any" for name, cls in every if hasattr(cls, "prox")}
    assert dict(rows) == fields


def test_the_page_on_mixed_precision_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    page, scope = "docs/mixed-precision.md", dict[str, Any]()
    first, second, *rest = blocks("python", page)
    printed = blocks("text", page)
    exec(first, scope)
    assert capsys.readouterr().out == printed[0]
    exec(second, scope)
    assert capsys.readouterr().out == "0.4999 0.5\n"
    for block, wanted in zip(rest, printed[1:], strict=True):
        exec(block, scope)
        assert capsys.readouterr().out == wanted


def test_the_page_on_mixed_precision_counts_the_bytes() -> None:
    page = (ROOT / "docs/mixed-precision.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| bytes an element that a step of Adam moves \| (.*) \|$", page, flags=re.MULTILINE)
    found = []
    for options in (Precision(), Precision(master=True), Precision(stochastic_rounding=True)):
        traced = trace(go.Adam(), precision=options).update
        moved = [operand for operand in (*traced.loads, *traced.stores) if operand not in traced.random]
        found.append(sum(2 if operand.kind in ("param", "grad") else 4 for operand in moved))
    assert found == [int(number) for number in row.split(" | ")]


def test_the_page_on_cuda_graphs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """On a CPU without a graph."""
    scope: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python", "docs/cuda-graphs.md"):
        exec(block, scope)
    assert capsys.readouterr().out == "100 True\n"


def test_the_page_on_composition_has_every_piece() -> None:
    page = (ROOT / COMPOSITION).read_text(encoding="utf-8")
    assert every_piece().keys() <= set(re.findall(r"^\| `(\w+)\(", page, flags=re.MULTILINE))


def test_the_page_on_composition_counts_the_bytes() -> None:
    page = (ROOT / COMPOSITION).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `?((?:Adam|chain).*?)`?( with an array for `lr`)? \| (\d+) \| (\d+) \|$", page, flags=re.MULTILINE)
    assert len(rows) == 4
    for text, array, first, update in rows:
        found = trace(cli._rule(text).update_for(""), arrays=frozenset({"lr"} if array else ()))
        assert 4 * sum(len(stage.loads) for stage in found.stages) == int(first)
        assert 4 * (len(found.update.loads) + len(found.update.stores)) == int(update)


def test_the_kernel_on_the_page_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = blocks("console", COMPOSITION)
    assert cli.main(shlex.split(command.removeprefix("$ gpuopt "))) == 0
    (shown,) = blocks("text", COMPOSITION)
    assert _body(capsys.readouterr().out, "for (int k").startswith(shown)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lbfgs", "there is no rule 'lbfgs'; the rules are gradientdescent, "),
        ("Adam(", "'Adam(': SyntaxError: "),
        ("Adam(lr=-1)", "'Adam(lr=-1)': ValueError: Adam: lr must be a finite number >= 0, got -1"),
        ("chain(clip(1.0))", "ValueError: chain needs one rule"),
        ("clip(1.0)", "'clip(1.0)' gives clip(value=1.0), which is not a rule"),
        ("open('x')", "NameError: name 'open' is not defined"),
        ("partition({'*': Adam()})", "has a kernel for each group of arrays: give the rule of one group"),
        ("chain(partition({'*': Adam()}))", "has a kernel for each group of arrays: give the rule of one group"),
        (
            "chain(Adam(), bounds(0, 1)) --dtype complex64",
            "gpuopt kernel: bounds: complex numbers have no order",
        ),
    ],
)
def test_an_expression_that_gives_no_kernel_is_refused_in_one_line(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expression, *options = text.split(" --")
    try:
        code = cli.main(["kernel", expression, *(part for option in options for part in f"--{option}".split())])
    except SystemExit as stop:
        code = int(str(stop.code))
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert message in captured.err


def test_a_kernel_of_an_expression(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for text in ("adam", "Adam", "Adam(3e-4)", "chain(Adam(schedules.Cosine(1e-3, 10)))", "chain(maximize(), Adam())"):
        assert cli.main(["kernel", text, "--dtype", "float16"]) == 0
        printed.append(capsys.readouterr().out)
    assert len(set(printed[:4])) == 1
    assert printed[4] != printed[0]


def test_every_kernel_of_a_chain_with_a_reduction_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernel", "chain(clip_global_norm(1.0), Adam())"]) == 0
    assert capsys.readouterr().out.count("cupy.ElementwiseKernel(") > 1

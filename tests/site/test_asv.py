"""The asv suite, which the everyday tests run without asv: what it measures, and the tools that judge its results."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import itertools
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpuopt.arrays import backend
from gpuopt.rules import USUAL, Adam, rules, skip_nonfinite

ROOT = Path(__file__).parents[2] / "asv_bench"
MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
NAMES = {
    "rows.Rows.track_rows",
    "searches.Searches.track_iteration",
    "rules.Floor.track_over_floor",
    "rules.Latency.track_latency",
    "rules.Many.track_many",
    "rules.Time.track_time",
    "compose.Chain.track_chain",
    "compose.ArrayRate.track_array_rate",
    "counters.Counters.track_state_bytes",
    "counters.Counters.track_temporaries",
    "counters.Counters.track_host_instructions",
    "counters.Chain.track_chain_state_bytes",
    "counters.Chain.track_chain_temporaries",
    "counters.Launches.track_launches",
    "counters.Kernels.track_registers",
    "counters.Kernels.track_spills",
    "counters.Kernels.track_instructions",
    "counters.Kernels.track_wide_accesses",
    "counters.Kernels.track_resident_warps",
    "imports.Import.track_import",
    "convergence.Convergence.track_updates",
    "fit.Fit.track_update",
    "host.Host.track_cupy_host_time",
    "precision.Precision.track_over_floor",
    "precision.State.track_state_bytes",
    "precision.Scaled.track_scaled",
    "capture.Capture.track_capture",
    "noise.Noise.track_noise",
    "layouts.Copies.track_copies",
    "layouts.Kind.track_over_float32",
    "layouts.Limited.track_over_adam",
    "layouts.Passes.track_passes",
    "layouts.Threads.track_threads",
}
"""The history on the dashboard hangs on these."""


def load(name: str, path: Path, **details: Any) -> Any:
    spec = importlib.util.spec_from_file_location(name, path, **details)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load("asv_suite", ROOT / "benchmarks" / "__init__.py", submodule_search_locations=[str(ROOT / "benchmarks")])
SUITE = {name: importlib.import_module(f"asv_suite.{name}") for name in MODULES}
TOOLS = {name: load(f"asv_tool_{name}", ROOT / "tools" / f"{name}.py") for name in ("check_results", "compare_counters")}
sys.modules["compare_counters"] = TOOLS["compare_counters"]
TOOLS["compare_times"] = load("asv_tool_compare_times", ROOT / "tools" / "compare_times.py")
BENCHMARKS: dict[str, tuple[Any, Any]] = {
    f"{module}.{cls.__name__}.{method}": (cls, getattr(cls, method))
    for module, loaded in SUITE.items()
    for cls in vars(loaded).values()
    if inspect.isclass(cls) and cls.__module__ == loaded.__name__
    for method in vars(cls)
    if method.startswith("track_")
}
common, counters, callgrind = SUITE["common"], SUITE["counters"], SUITE["callgrind"]


# The suite


def test_the_names_are_those_of_the_dashboard() -> None:
    assert BENCHMARKS.keys() == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_benchmark_says_what_it_is(name: str) -> None:
    cls, method = BENCHMARKS[name]
    assert method.version.isdecimal()
    assert method.unit
    assert method.pretty_name
    assert cls.__doc__
    assert len(cls.params) == len(getattr(cls, "param_names", ()))
    assert all(isinstance(values, list) and values for values in cls.params)


def test_the_usual_rules_and_every_executor_are_measured() -> None:
    assert list(USUAL) == common.RULES
    assert list(common.measure.EXECUTORS) == common.EXECUTORS
    convergence = SUITE["convergence"]
    assert all(rates.keys() <= rules().keys() for rates in convergence.RATES.values())
    assert all(problem in convergence.GOALS for problem in convergence.PROBLEMS)


@pytest.mark.parametrize("name", MODULES)
def test_the_suite_needs_neither_asv_nor_cupy_to_be_imported(name: str) -> None:
    tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    outside = {module.partition(".")[0] for module in imported} - set(sys.stdlib_module_names)
    assert outside <= {"numpy", "gpuopt"}


@pytest.mark.parametrize(
    "name",
    sorted(
        NAMES
        - {
            "rules.Floor.track_over_floor",
            "counters.Counters.track_host_instructions",
            "imports.Import.track_import",
            "compose.ArrayRate.track_array_rate",
            "precision.Precision.track_over_floor",
            "precision.Scaled.track_scaled",
            "layouts.Kind.track_over_float32",
        }
    ),
)
def test_it_measures_a_number(name: str, request: pytest.FixtureRequest) -> None:
    """Each with its first parameters; the largest and the slowest are left to asv_bench/quick.sh."""
    if name.startswith(("counters.Launches", "host.")):
        request.getfixturevalue("emulated_gpu")
    cls, method = BENCHMARKS[name]
    benchmark, parameters = cls(), tuple(values[0] for values in cls.params)
    try:
        getattr(benchmark, "setup", lambda *_: None)(*parameters)
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    assert 0 <= method(benchmark, *parameters) < math.inf


def test_over_the_floor() -> None:
    floor = SUITE["rules"].Floor()
    floor.setup("Adam", "numpy", 1_000, "float32")
    assert 1 < floor.track_over_floor("Adam", "numpy", 1_000, "float32") < 1_000
    with pytest.raises(NotImplementedError, match="float64"):
        floor.setup("Adam", "numpy", 1_000, "float64")


def test_an_array_for_a_learning_rate() -> None:
    found = SUITE["compose"].ArrayRate()
    found.size = 1_000
    found.setup("numpy")
    assert 0.5 < found.track_array_rate("numpy") < 5
    assert found.array.func.__self__.rule == Adam()


@pytest.mark.parametrize("way", SUITE["precision"].WAYS)
def test_16_bits_over_the_floor(way: str) -> None:
    pytest.importorskip("ml_dtypes")
    found = SUITE["precision"].Precision()
    found.size = 1_000
    found.setup(way, "numpy")
    assert common.measure.bytes_a_step(found.opt) == (28 if way == "master" else 22) * 1_000
    assert 1 < found.track_over_floor(way, "numpy") < 100_000


def test_the_state_of_16_bits_is_exact() -> None:
    pytest.importorskip("ml_dtypes")
    for way, expected in {"plain": 8, "master": 12}.items():
        found = SUITE["precision"].State()
        found.setup(way, "numpy")
        assert found.track_state_bytes(way, "numpy") == expected


def test_a_scaled_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.go, "LossScale", skip_nonfinite, raising=False)
    found = SUITE["precision"].Scaled()
    found.size = 1_001  # which no other test has in the cache
    found.setup("numpy")
    assert found.track_scaled("numpy") > 0


def test_a_step_is_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NumPy in place of CuPy: what is called, with what."""
    monkeypatch.setattr(SUITE["capture"], "need", lambda executor: None)
    calls = []

    def graph(loss_and_grad: Any, opt: Any) -> Any:
        loss, grads = loss_and_grad(opt.params)
        calls.append((opt.capturable, loss.shape, len(grads)))
        return lambda: opt.step(grads)

    monkeypatch.setattr(common.go, "graph", graph, raising=False)
    for _ in range(2):
        found = SUITE["capture"].Capture()
        found.setup("replay", 1, "numpy")
        assert found.track_capture("replay", 1, "numpy") > 0
    assert calls == [(True, (), 1)]
    SUITE["capture"]._replay.cache_clear()


def test_what_is_newer_than_a_commit_is_na(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(common.go, "chain")
    monkeypatch.setattr(common.measure, "optimizer", lambda rule, params, executor: None)
    common.problem.cache_clear()
    SUITE["compose"]._array_rate.cache_clear()
    with pytest.raises(NotImplementedError, match="chain is newer than this commit"):
        SUITE["compose"].Chain().setup("numpy", SUITE["compose"].SHAPES[0])
    with pytest.raises(NotImplementedError, match="is newer than this commit"):
        SUITE["compose"]._array_rate("numpy", 10)
    with pytest.raises(NotImplementedError, match="master is newer than this commit"):
        SUITE["precision"].Precision().setup("master", "numpy")
    monkeypatch.delattr(common.go, "LossScale", raising=False)
    with pytest.raises(NotImplementedError, match="LossScale is newer than this commit"):
        SUITE["precision"].Scaled().setup("numpy")
    monkeypatch.delattr(common.go, "graph", raising=False)
    with pytest.raises(NotImplementedError, match="graph is newer than this commit"):
        SUITE["capture"]._replay(1, "cupy")


def test_a_lost_gpu_is_na_unless_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "why_not_cupy", lambda: "no driver")
    monkeypatch.delenv(common.REQUIRE_GPU, raising=False)
    with pytest.raises(NotImplementedError, match="no driver"):
        common.need("cupy")
    monkeypatch.setenv(common.REQUIRE_GPU, "1")
    with pytest.raises(RuntimeError, match=f"{common.REQUIRE_GPU}=1, but no driver"):
        common.need("cupy")
    common.need("numpy")


def test_state_and_temporaries_are_exact() -> None:
    for rule, state in {"GradientDescent": 0, "Momentum": 4, "Adam": 8}.items():
        found = counters.Counters()
        found.setup(rule, "numpy")
        assert found.track_state_bytes(rule, "numpy") == state
        assert found.track_temporaries(rule, "numpy") < 10_000


def test_state_and_temporaries_of_a_chain_are_exact() -> None:
    found = counters.Chain()
    found.setup("numpy")
    assert found.track_chain_state_bytes("numpy") == 12
    assert found.track_chain_temporaries("numpy") < 10_000


def test_a_temporary_array_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counters.Counters()
    found.setup("Adam", "numpy")
    real, size = found.step, found.elements
    found.step = lambda: real() or bytes(4 * size)
    assert found.track_temporaries("Adam", "numpy") > 4 * size


def test_one_launch_a_step_and_a_second_one_is_counted(emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [counters.count_launches(Adam(), arrays) for arrays in counters.ARRAYS] == [1, 1, 1]
    chain = counters.Launches()
    chain.setup(common.CHAIN, 1)
    assert [chain.track_launches(common.CHAIN, arrays) for arrays in counters.ARRAYS] == [3, 3, 3]
    module = importlib.import_module("gpuopt.executors.cuda.launch")
    plan = module.CupyExecutor.plan

    def twice(*arguments: Any) -> Any:
        launches = plan(*arguments)
        launches.join(launches)
        return launches

    monkeypatch.setattr(module.CupyExecutor, "plan", twice)
    assert [counters.count_launches(Adam(), arrays) for arrays in counters.ARRAYS] == [2, 2, 2]


def test_a_launch_for_each_array_is_counted(emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = importlib.import_module("gpuopt.executors.cuda.tables")
    one_by_one = lambda self, grads, *_, **__: tables.LaunchPlan([], list(range(len(grads))))  # noqa: E731
    monkeypatch.setattr(tables.LaunchPlanner, "plan", one_by_one)
    assert [counters.count_launches(Adam(), arrays) for arrays in counters.ARRAYS] == counters.ARRAYS


def test_the_host_time_of_cupy_arrays_grows_with_what_the_host_does(
    emulated_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = SUITE["host"].Host().track_cupy_host_time
    same, moved = host(300, "same"), host(300, "moved")
    assert 1 < host(1, "same") < same < moved
    module = importlib.import_module("gpuopt.optimizer.gradients")
    read = module.GradientReader.read

    def slow_read(*arguments: Any) -> Any:
        time.sleep(0.005)
        return read(*arguments)

    monkeypatch.setattr(module.GradientReader, "read", slow_read)
    assert host(300, "same") > 5_000


def test_what_the_emulated_device_counts_is_na_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    hostbuild = common.of_tests("support.cuda.hostbuild")
    monkeypatch.setattr(hostbuild, "available", lambda: "g++ not found")
    for benchmark, parameters in ((counters.Launches(), ("Adam", 1)), (SUITE["host"].Host(), (1, "same"))):
        with pytest.raises(NotImplementedError, match=r"g\+\+ not found"):
            benchmark.setup(*parameters)


def test_host_instructions() -> None:
    if reason := callgrind.why_not():
        pytest.skip(reason)
    assert 20_000 < callgrind.counts(["GradientDescent"], ["numpy"])["GradientDescent numpy"] < 1_000_000


@pytest.mark.parametrize(("registers", "warps"), [(1, 64), (32, 64), (33, 48), (56, 36), (64, 32), (255, 8)])
def test_resident_warps(registers: int, warps: int) -> None:
    """As NVIDIA's table of occupancy has them for an H100."""
    assert counters.resident_warps(registers) == warps


def test_a_kernel_loads_and_stores_16_bytes() -> None:
    kernels = counters.Kernels()
    try:
        kernels.setup("Adam", "float32")
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    assert kernels.track_wide_accesses("Adam", "float32") == 7, "4 loads and 3 stores"
    assert kernels.track_instructions("Adam", "float32") > 100


def test_without_valgrind_host_instructions_are_na(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert counters._count_instructions() == {}
    with pytest.raises(NotImplementedError, match=r"valgrind is not installed|x86-64"):
        counters._need_callgrind({}, "Adam", "numpy")


# The tools, on made-up results

RULES, EXECUTORS, ARRAYS = ["GradientDescent", "Adam"], ["numpy", "numba", "cupy"], [1, 10]
INSTRUCTIONS, LAUNCHES, LATENCY = (
    "counters.Counters.track_host_instructions",
    "counters.Launches.track_launches",
    "rules.Latency.track_latency",
)


def results(started: int = 100, **changed: Any) -> dict[str, Any]:
    """A result file in asv's format; the parameters of a value to change are joined by underscores."""
    rows = {}
    measured: list[tuple[str, list[list[Any]], float]] = [
        (INSTRUCTIONS, [RULES, EXECUTORS], 90_000.0),
        (LAUNCHES, [RULES, ARRAYS], 1),
        (LATENCY, [RULES, EXECUTORS], 6.5),
    ]
    for name, lists, value in measured:
        combinations = list(itertools.product(*lists))
        short = name.rpartition("_")[2]
        values = [math.nan if "cupy" in c else changed.get("_".join(map(str, (short, *c))), value) for c in combinations]
        rows[name] = [values, [[repr(x) for x in values] for values in lists], "1", started, 1.0]
    return {
        "commit_hash": "0123456789abcdef",
        "env_name": "existing-py_usr_bin_python",
        "date": 1,
        "params": {"machine": "smoke", "python": "/usr/bin/python"},
        "python": "/usr/bin/python",
        "requirements": {},
        "env_vars": {},
        "result_columns": ["result", "params", "version", "started_at", "duration"],
        "results": rows,
        "durations": {},
        "version": 2,
    }


def save(folder: Path, content: dict[str, Any], name: str = "01234567-existing-py_usr_bin_python.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(json.dumps({"machine": folder.name, "version": 1}), encoding="utf-8")
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


@pytest.fixture
def gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Compare a result with the plain one: exit code and what was printed."""

    def run(**changed: Any) -> Any:
        base, new = save(tmp_path / "base", results()), save(tmp_path / "new", results(**changed))
        return TOOLS["compare_counters"].main([str(base), str(new.parent)]), capsys.readouterr()

    return run


def test_the_gate_flags_nothing_where_nothing_changed(gate: Any) -> None:
    code, printed = gate()
    assert code == 0
    assert "8 exact counters compared, 0 worse; 0 values changed" in printed.out
    assert printed.err == ""


def test_the_gate_catches_30_percent_more_instructions_of_one_rule_on_one_executor(gate: Any) -> None:
    code, printed = gate(instructions_Adam_numba=117_000.0)
    assert code == 1
    assert (
        "| counters.Counters.track_host_instructions | Adam, numba | n/a | 90,000 | 117,000 | 1.300 | **worse** |"
        in printed.out
    )
    assert printed.err == f"worse: {INSTRUCTIONS}(Adam, numba): 90000.0 -> 117000.0\n"


def test_the_gate_catches_one_more_launch(gate: Any) -> None:
    code, printed = gate(launches_Adam_10=2)
    assert code == 1
    assert printed.err.startswith(f"worse: {LAUNCHES}(Adam, 10)")


def test_the_gate_knows_which_change_is_a_loss() -> None:
    change, worse = TOOLS["compare_counters"].Change, {}
    for name, exact in TOOLS["compare_counters"].SETTINGS.exact.items():
        assert not change(name, (), 100.0, 100.0).worse
        assert exact.gates == change(name, (), 100.0, None).worse
        worse[name] = (change(name, (), 100.0, 90.0).worse, change(name, (), 100.0, 110.0).worse)
    both = {"convergence.Convergence.track_updates"}
    less = {f"counters.Kernels.track_{what}" for what in ("wide_accesses", "resident_warps")} | {
        "layouts.Threads.track_threads"
    }
    assert {name for name, found in worse.items() if found == (True, True)} == both
    assert {name for name, found in worse.items() if found == (True, False)} == less
    assert {name for name, found in worse.items() if found == (False, False)} == {"counters.Kernels.track_registers"}
    assert worse.keys() <= NAMES


def test_the_gate_catches_a_counter_that_is_gone(gate: Any) -> None:
    assert gate(instructions_Adam_numba=None)[0] == 1
    assert gate(instructions_Adam_numba=math.nan)[0] == 1


def test_wall_time_informs_and_fewer_instructions_pass(gate: Any) -> None:
    code, printed = gate(latency_Adam_numba=65.0, instructions_Adam_numba=80_000.0)
    assert code == 0
    assert "| rules.Latency.track_latency | Adam, numba | n/a | 6.5 | 65 | 10.000 | time, informs only |" in printed.out
    assert "| 0.889 | changed |" in printed.out


def test_a_tenth_of_a_percent_of_instructions_is_no_change_for_the_worse(gate: Any) -> None:
    assert gate(instructions_Adam_numba=90_100.0)[0] == 0


def test_a_creep_since_the_release_fails_however_small_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare, release = TOOLS["compare_counters"].main, save(tmp_path / "release", results())
    codes = []
    for i in range(60):
        base, new = (
            save(tmp_path / side, results(instructions_Adam_numba=90_000 * 1.009**n)) for side, n in (("b", i), ("n", i + 1))
        )
        assert compare([str(base), str(new)]) == 0
        codes.append(compare([str(base), str(new), "--release", str(release.parent)]))
    assert codes == [0] + [1] * 59
    assert "**worse than the release**" in capsys.readouterr().out


def test_a_loss_that_the_change_accepts_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare, output = TOOLS["compare_counters"], tmp_path / "comment.md"
    base, new = (
        save(tmp_path / "base", results()),
        save(tmp_path / "new", results(launches_Adam_10=2) | {"commit_hash": "f" * 40}),
    )
    arguments = [str(base), str(new), "--release", str(base), "--output", str(output)]
    assert compare.main(arguments) == 1
    assert "passes with a line `accepted: BENCHMARK REASON` in `asv_bench/accepted.txt`" in output.read_text(encoding="utf-8")
    monkeypatch.setattr(
        compare.accepted, "between", lambda repository, before, after, path: {LAUNCHES: f"{before[:4]} {after[:4]}"}
    )
    assert compare.main(arguments) == 0
    text = output.read_text(encoding="utf-8")
    assert text.startswith("## Exact counters")
    assert "| 2.000 | accepted: 0123 ffff |" in text


def test_the_gate_cannot_pass_without_a_counter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = results() | {"results": {}}
    base, new = save(tmp_path / "base", results()), save(tmp_path / "new", empty)
    assert TOOLS["compare_counters"].main([str(base), str(new)]) == 2
    assert TOOLS["compare_counters"].main([str(base), str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_times_of_rounds_taken_in_turns(tmp_path: Path) -> None:
    for i in range(3):
        for side, value in (("base", 2.0), ("new", 3.0)):
            save(
                tmp_path / f"{side}-{i}" / "smoke",
                results(latency_Adam_numpy=value + 0.1 * i, instructions_Adam_numpy=1000.0 * value),
            )
    said = TOOLS["compare_times"].report(tmp_path)
    assert "4 wall times in 3 rounds taken in turns: 1 moved." in said
    assert "▲ slower" in said
    assert INSTRUCTIONS not in said


def test_counting_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = TOOLS["check_results"].main
    save(tmp_path / "smoke", results())
    assert check([str(tmp_path), "--least", "12"]) == 0
    assert "smoke: 12 values of 3 benchmarks, 4 n/a" in capsys.readouterr().out
    assert check([str(tmp_path), "--least", "13"]) == 1
    assert capsys.readouterr().err.startswith("check_results: smoke: 12 values were measured, at least 13 must be")
    assert check([str(tmp_path), "--commit", "0123456789", "--least", "12"]) == 0
    assert check([str(tmp_path), "--commit", "f" * 40, "--least", "12"]) == 1
    assert check([str(tmp_path), "--machine", "other"]) == 1
    assert check([str(tmp_path / "absent")]) == 1


def test_a_failed_benchmark_fails_the_check_and_only_the_newest_run_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = TOOLS["check_results"].main
    save(tmp_path / "smoke", results(latency_Adam_numpy=None), "old.json")
    assert check([str(tmp_path), "--least", "1"]) == 1
    assert "failed: rules.Latency.track_latency" in capsys.readouterr().err
    save(tmp_path / "smoke", results(started=200), "new.json")
    assert check([str(tmp_path), "--least", "1"]) == 0
    broken = results(started=300)
    broken["results"][LATENCY][0] = None  # how asv writes a benchmark of which no parameter worked
    save(tmp_path / "smoke", broken, "newest.json")
    assert check([str(tmp_path), "--least", "1"]) == 1


def test_the_configuration_is_json_and_the_script_is_a_script() -> None:
    config = json.loads((ROOT / "asv.conf.json").read_text(encoding="utf-8"))
    assert config["environment_type"] == "virtualenv"
    assert all(len(versions) == 1 for versions in config["matrix"]["req"].values())
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash")
    for script in ("quick.sh", "tools/measure.sh", "tools/publish.sh"):
        subprocess.run([bash, "-n", ROOT / script], check=True)

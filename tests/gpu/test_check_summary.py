"""What the GPU's check makes of the numbers that its parts left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gpuopt.bench import report
from gpuopt.bench.rivals import GRAPH, Case
from tools.gpu_check.results import End, Results
from tools.gpu_check.rows import Rows, parsed
from tools.gpu_check.summary import summary

LARGE, MANY = (1, 64_000_000), (300, 1_000)
COUNTERS = """\
==PROF== Connected to process 7
"ID","Process ID","Kernel Name","Context","Section Name","Metric Name","Metric Unit","Metric Value"
"0","7","gpuopt_adam_float32(CArray<int>)","1","Command line","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","91.25"
"0","7","gpuopt_adam_float32(CArray<int>)","1","Command line","gpu__time_duration.sum","us","612.30"
"""


def case(rule: str, arrays: tuple[int, int], seconds: float, dtype: str = "float32", **rivals: float) -> Case:
    """A case in which a copy takes 0.95 s; names of rivals are written with an underscore."""
    count, size = arrays
    named = {name.replace("_", " "): value for name, value in rivals.items()}
    return Case(rule, count, size, dtype, 28 * count * size, {"cupy": seconds}, named, {"copy": 0.95, "scale": 0.9})


def left(**benches: list[Case]) -> Results:
    """Results of parts that are `gpuopt bench`."""
    found = Results()
    for name, cases in benches.items():
        found.files[f"{name}.json"] = report.as_json(report.Report(cases, "2026-01-01; a GPU; float32; gpuopt 1")).encode()
        found.ends[name] = End("done", 12.0)
    return found


def rows(*given: Any) -> bytes:
    return "\n".join(map(json.dumps, given)).encode()


def shown(results: Results, *wanted: str) -> str:
    text = summary(results)
    for row in wanted:
        assert f"\n{row}\n" in text, text
    return text


def test_a_bar_of_speed_is_met_or_missed_or_was_not_measured() -> None:
    found = left(
        adam=[case("Adam", LARGE, 1.0, torch_fused=2.0), case("Adam", MANY, 4.0, torch_fused=2.0)],
        rules=[case("Momentum", LARGE, 1.5, torch_fused=3.0)],
        rivals=[case("Adam", LARGE, 0.5, by_hand=4.0, optax_jit=0.4)],
        master=[case("Adam", LARGE, 1.0, "bfloat16")],
    )
    text = shown(
        found,
        "| Adam, 64,000,000: share of a copy's bandwidth | ≥ 92.0% | 95.0% | met |",
        "| Momentum, 64,000,000: share of a copy's bandwidth | ≥ 92.0% | 63.3% | **missed** |",
        "| AdamW, one large array: share of a copy's bandwidth | ≥ 92.0% | not measured |  |",
        "| Adam, 64,000,000: torch fused's time over ours | ≥ 1.00 | 2.00 | met |",
        "| Adam, 64,000,000: optax jit's time over ours | ≥ 1.00 | 0.80 | **missed** |",
        "| Adam, 64,000,000: by hand's time over ours | ≥ 1.00 | 8.00 | met |",
        "| Adam, 300 x 1,000: torch fused's time over ours | ≥ 1.00 | 0.50 | **missed** |",
        "| RMSProp, many arrays: torch foreach's time over ours | ≥ 1.00 | not measured |  |",
        "| Adam, 64,000,000, bfloat16 (master): share of a copy's bandwidth | ≥ 92.0% | 95.0% | met |",
        "| eager time over the replay's | ≥ 1.00 | not measured |  |",
        "| adam | done | 12 |  |",
        "## rivals",
    )
    assert re.match(r"Commit \S+; 2026-01-01; a GPU; float32; gpuopt 1\n", text)
    assert "\n5 of 31 bars met, 3 missed, 23 not measured.\n" in text


def test_a_replay_is_beside_the_eager_step() -> None:
    graph = case("Adam", (1, 1_000), 3.0)
    graph.ours[GRAPH] = 1.0
    shown(left(graph=[graph]), "| Adam, 1,000: eager time over the replay's | ≥ 1.00 | 3.00 | met |")


@pytest.mark.parametrize(
    ("outcome", "how", "cell"),
    [
        ("passed", "done", "2 of 2 | met"),
        ("passed", "cut off", "2 of 2 | "),
        ("skipped", "done", "1 of 1, 1 skipped | met"),
        ("failed", "failed", "1 of 2 | **missed**"),
        ("failed", "cut off", "1 of 2 | **missed**"),
        ("begun", "cut off", "1 of 2 | "),
    ],
)
def test_bits_are_right_only_where_all_was_tried(outcome: str, how: str, cell: str) -> None:
    found = Results()
    for part, key, word in (("smoke", "name", "how"), ("suite", "test", "outcome")):
        fine = {"name": "ok", "test": "passed"}[key]
        common = {"note": "why", "why": "why", "seconds": 1.5}
        last = fine if outcome == "passed" or part == "smoke" else outcome
        found.files[f"{part}.jsonl"] = rows(*({key: k, word: value, **common} for k, value in (("a", fine), ("b", last))))
        found.ends[part] = End(how, 1.0)
    text = shown(found, f"| tests that need a GPU pass | all | {cell} |")
    assert ("- suite: b: " in text) == (outcome != "passed")
    assert "Slowest tests: a (1.5 s), b (1.5 s)." in text


def test_a_test_that_passed_when_it_was_run_again_has_passed() -> None:
    found = Results()
    both = [{"test": "a", "outcome": outcome, "why": "", "seconds": 1} for outcome in ("failed", "passed")]
    found.files["suite.jsonl"], found.ends["suite"] = rows(*both), End("done")
    shown(found, "| tests that need a GPU pass | all | 1 of 1 | met |")


def test_the_best_setting_is_named() -> None:
    found, used, other = Results(), "chunk 1", "chunk 2"
    times = [(used, "Adam", 1.25), (used, "Momentum", 1.0), (other, "Adam", 1.0), (other, "Momentum", 1.0), (used, "norm", 2.0)]
    found.files["tuning.jsonl"] = rows(
        *({"setting": one, "case": name, "of": "updates", "seconds": seconds, "copy": 1.0} for one, name, seconds in times),
        {"setting": "4 in flight", "case": "a norm", "of": "reductions", "seconds": 2.0, "copy": 1.0},
        {"setting": "chunk 3", "case": "Adam", "error": "it did not compile"},
    )
    shown(
        found,
        "| setting | Adam | Momentum | norm | mean of 2 |",
        "| chunk 1 | 80.0% | 100.0% | 50.0% | 90.0% |",
        "| **chunk 2** | 100.0% | 100.0% | - | 100.0% |",
        "Best: chunk 2, 100.0% on average; what steps use: 90.0%.",
        "- tuning: Adam, chunk 3: it did not compile",
        "Best: 4 in flight, 50.0% on average; what steps use: 50.0%.",
    )


def test_counters_of_kernels_are_a_table() -> None:
    found = Results()
    found.files["profile.log"] = COUNTERS.encode()
    shown(
        found,
        "| kernel | time | memory | issue slots | occupancy | registers |",
        "| gpuopt_adam_float32 | 612.30 us | 91.25 % | - | - | - |",
    )


def test_last_words_of_the_memory_checker_and_of_the_benchmarks() -> None:
    found = Results()
    found.files["memory.log"] = b"ok\n========= ERROR SUMMARY: 0 errors\n"
    found.files["benchmarks.log"] = b"9 values, 0 failed, 0 n/a, 0 not begun in time\n"
    shown(found, "- benchmarks: 9 values, 0 failed, 0 n/a, 0 not begun in time", "- memory: ERROR SUMMARY: 0 errors")


def test_what_was_stopped_as_it_wrote_was_not_measured() -> None:
    found = left(master=[case("Adam", LARGE, 1.0, "bfloat16")])
    found.files["adam.json"] = b'{"cases": [{"rule"'
    shown(found, "## master", "| Adam, one large array: share of a copy's bandwidth | ≥ 92.0% | not measured |  |")
    assert "no speed was measured" in summary(Results())


def test_rows_survive_whatever_broke_off_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Rows(path).add(name="a")
    with path.open("a", encoding="utf-8") as file:
        file.write('\n{"name": "b')
    again = Rows(path)
    again.add(name="c")
    assert again.all == [{"name": "a"}, {"name": "c"}]
    assert parsed(path.read_bytes()) == [{"name": "a"}, {"name": "c"}]

"""The bars that a GPU must meet, beside what was measured."""

from __future__ import annotations

import json
from itertools import product

from gpuopt.bench.report import Report
from gpuopt.bench.rivals import GRAPH, Case
from tools.gpu_check.results import Results
from tools.gpu_check.rows import Row, latest, parsed

SHARE = 0.92
"""Of a copy's bandwidth: what a step of a large array must reach."""
RULES = ("Adam", "AdamW", "GradientDescent", "Momentum", "RMSProp")
TORCH = {"RMSProp": "torch foreach"}
"""PyTorch's way where it has no fused one."""
SPEED = ("adam", "rules", "rivals")
SIXTEEN = ("bfloat16", "master", "rounded")
BENCHES = (*SPEED, *SIXTEEN, "graph")
"""The parts that `gpuopt bench` is."""
WRONG = ("wrong bits", "failed")
Bar = tuple[str, str, str, str]


def report(results: Results, name: str) -> Report | None:
    """What one run of ``gpuopt bench`` measured, as far as it came."""
    try:
        found = json.loads(results.files[f"{name}.json"])
    except (KeyError, ValueError):  # it did not run, or was stopped as it wrote
        return None
    return Report([Case(**case) for case in found["cases"]], found["header"], found["options"])


def cases(results: Results, *names: str) -> list[Case]:
    found = [report(results, name) for name in names]
    return [case for one in found if one is not None for case in one.cases]


def ours(case: Case) -> float:
    """Seconds of the step as it is called, not of its replay; the fastest executor, where there are several."""
    return min(seconds for name, seconds in case.ours.items() if name != GRAPH)


def bar(what: str, wanted: float, measured: float | None, form: str) -> Bar:
    """One bar; the measured number must be at least the wanted one."""
    if measured is None:
        return what, f"≥ {wanted:{form}}", "not measured", ""
    return what, f"≥ {wanted:{form}}", f"{measured:{form}}", _verdict(measured >= wanted)


def bars(results: Results) -> list[Bar]:
    """Every bar: bits first, then speed."""
    return [*bits(results), *speed(results), *sixteen(results), *graphs(results)]


def tried(results: Results, name: str, *keys: str) -> list[Row]:
    """The last row of each thing that a part tried."""
    return list(latest(parsed(results.files.get(f"{name}.jsonl", b"")), *keys).values())


def bits(results: Results) -> list[Bar]:
    """Whether everything that the smoke test and the suite tried is right, and all was tried."""
    found = []
    for what, name, key, how, fine in (
        ("checks of the smoke test have NumPy's bits", "smoke", "name", "how", "ok"),
        ("tests that need a GPU pass", "suite", "test", "outcome", "passed"),
    ):
        rows = tried(results, name, key)
        right, skipped, wrong = (sum(row[how] in kinds for row in rows) for kinds in ((fine,), ("skipped",), WRONG))
        counted = f"{right} of {len(rows) - skipped}" + (f", {skipped} skipped" if skipped else "")
        done = name in results.ends and results.ends[name].how == "done"
        verdict = _verdict(not wrong) if wrong or (done and rows) else ""  # the rest of them may be right or wrong
        found.append((what, "all", counted if rows else "not measured", verdict))
    return found


def speed(results: Results) -> list[Bar]:
    """The largest single array for bandwidth and rivals, many arrays for PyTorch's fused step."""
    found = cases(results, *SPEED)
    size = max((case.size for case in found if case.count == 1), default=0)
    large, many = [case for case in found if case.count == 1 and case.size == size], [case for case in found if case.count > 1]
    rows = []
    for rule in RULES:
        case = _first(large, rule)
        rows.append(bar(f"{rule}, {arrays(case)}: share of a copy's bandwidth", SHARE, share(case), ".1%"))
    everyone = ("torch", "optax jit", "by hand")
    for those, rivals, what in ((large, everyone, "one large array"), (many, ("torch",), "many arrays")):
        for rival, rule in product(rivals, RULES):
            name = TORCH.get(rule, "torch fused") if rival == "torch" else rival
            case = _first(those, rule, name)
            ratio = None if case is None else case.rivals[name] / ours(case)
            rows.append(bar(f"{rule}, {arrays(case, what)}: {name}'s time over ours", 1.0, ratio, ".2f"))
    return rows


def sixteen(results: Results) -> list[Bar]:
    """Adam on 16 bits."""
    rows = []
    for name in SIXTEEN:
        case = _first([case for case in cases(results, name) if case.count == 1], "Adam")
        rows.append(bar(f"Adam, {arrays(case)}, bfloat16 ({name}): share of a copy's bandwidth", SHARE, share(case), ".1%"))
    return rows


def graphs(results: Results) -> list[Bar]:
    """Replays of captured steps."""
    rows = []
    for case in cases(results, "graph"):
        replay = case.ours.get(GRAPH)
        ratio = None if replay is None else ours(case) / replay
        rows.append(bar(f"{case.rule}, {arrays(case)}: eager time over the replay's", 1.0, ratio, ".2f"))
    return rows or [bar("eager time over the replay's", 1.0, None, ".2f")]


def arrays(case: Case | None, otherwise: str = "one large array") -> str:
    return otherwise if case is None else f"{case.size:,}" if case.count == 1 else f"{case.count} x {case.size:,}"


def share(case: Case | None) -> float | None:
    return None if case is None else case.streams["copy"] / ours(case)


def _first(found: list[Case], rule: str, rival: str | None = None) -> Case | None:
    """The first case of a rule, in which that rival took part."""
    return next((case for case in found if case.rule == rule and (rival is None or rival in case.rivals)), None)


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"

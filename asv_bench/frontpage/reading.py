"""Read the history by means of asv: benchmarks, results, tags and the commits of the branch."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from asv import util
from asv.results import Results, iter_results_for_machine

from .history import Benchmark, Environment, History, Machine, Run

STALE_DAYS, STALE_COMMITS = 14, 20
"""From so many days without a measurement, or unmeasured commits, on a machine is stale."""


def read(conf: Any, repo: Any, benchmarks: Any, first: str, now: float) -> History:
    """All that was measured on the branches; the machines that have the fact ``first`` come first."""
    behind = {commit: i for branch in reversed(conf.branches) for i, commit in enumerate(repo.get_branch_commits(branch))}
    listed = {name: benchmark(entry) for name, entry in benchmarks.items()}
    tags = sorted(((tag, behind[commit]) for tag, commit in repo.get_tags().items() if commit in behind), key=lambda t: -t[1])
    machines = [machine(path.parent, benchmarks, behind, now) for path in sorted(Path(conf.results_dir).glob("*/machine.json"))]
    machines.sort(key=lambda m: (m.stale, first not in m.facts, m.name))
    return History(listed, machines, tags)


def benchmark(entry: dict[str, Any]) -> Benchmark:
    params = tuple(tuple(values) for values in entry["params"])
    return Benchmark(entry["name"], str(entry.get("unit", "")), tuple(entry["param_names"]), params)


def machine(folder: Path, benchmarks: Any, behind: dict[str, int], now: float) -> Machine:
    """One machine: of each commit, the run in the environment that it uses now, or else the last."""
    facts = {k: str(v) for k, v in util.load_json(str(folder / "machine.json")).items() if k != "version" and v != ""}
    name = facts.pop("machine", folder.name)
    found = list(iter_results_for_machine(str(folder.parent), folder.name))
    runs = [run(results, benchmarks, behind[results.commit_hash]) for results in found if results.commit_hash in behind]
    runs.sort(key=lambda r: (-r.behind, r.measured))
    chosen: dict[str, Run] = {}
    for one in runs:
        if (
            one.environment == runs[-1].environment
            or getattr(chosen.get(one.commit), "environment", None) != runs[-1].environment
        ):
            chosen[one.commit] = one
    result = Machine(name, facts, list(chosen.values()), off_branch=len(found) - len(runs))
    days = (now - result.measured) / 86400
    result.stale = days >= STALE_DAYS or result.last is None or result.last.behind >= STALE_COMMITS
    return result


def run(results: Results, benchmarks: Any, behind: int) -> Run:
    """A result file; a benchmark that is gone, or was another version then, is left out."""
    known = results.get_result_keys(benchmarks)
    started = [when for name in known if (when := results.started_at.get(name))]
    values = {}
    for name in known:
        params = results.get_result_params(name)
        points = [tuple(point) for point in product(*params)]
        row = results.get_result_value(name, params)
        values[name] = dict(zip(points, [None if v is None else float(v) for v in row], strict=True))
    measured = (max(started) if started else results.date) / 1000
    return Run(results.commit_hash, behind, measured, environment(results), values)


def environment(results: Results) -> Environment:
    made_with = {**results.params, **{f"env-{name}": value for name, value in results.env_vars.items()}}
    return tuple(sorted((name, str(value)) for name, value in made_with.items() if value not in (None, "")))

"""Write what here.py measured as asv's results of a commit: for a machine that has no asv, such as one that is lent.

    python asv_bench/tools/record.py FILE.json RESULTS/MACHINE COMMIT --python 3.12 --require numpy=2.5.2 cupy=14.2.0
                                     [--set gpu='NVIDIA H200' cuda=13.0]

Run it where asv is, in a clone that has COMMIT. What was not measured counts as n/a, and a benchmark of which nothing was
measured is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from asv.results import Results
from asv.runner import BenchmarkResult

sys.path.insert(0, str(Path(__file__).parent))

import here


def pairs(texts: list[str]) -> dict[str, str]:
    """What ``name=value`` texts say."""
    wrong = [text for text in texts if not text.partition("=")[0] or "=" not in text]
    if wrong:
        raise ValueError(f"must be NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def write(path: Path, data: Any) -> None:
    text = json.dumps(data, indent=4) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def pinned(data: dict[str, Any], python: str, require: dict[str, str]) -> dict[str, Any]:
    """A result file's content as a virtual environment with these versions would have written it, but for the machine."""
    require = dict(sorted(require.items()))
    environment = "-".join([f"virtualenv-py{python}", *(f"{name}{version}" for name, version in require.items())])
    params = {"python": python} | require
    return data | {"env_name": environment, "params": params, "python": python, "requirements": require, "env_vars": {}}


def measured(values: dict[str, Any]) -> dict[str, tuple[dict[str, Any], list[float | None]]]:
    """Of each benchmark with a value: what asv knows it by, and all its values; None where it failed."""
    found: dict[str, tuple[dict[str, Any], list[float | None]]] = {}
    for label, cls, method, _ in here.found(""):
        name, params = label.partition("(")[0], [[repr(value) for value in axis] for axis in cls.params]
        row = found.setdefault(name, ({"name": name, "params": params, "version": method.version}, []))[1]
        value = values.get(label)
        row.append(None if isinstance(value, str) else math.nan if value is None else value)
    return {name: row for name, row in found.items() if not all(x is not None and math.isnan(x) for x in row[1])}


def commit(name: str) -> tuple[str, int]:
    """The whole name of a commit, and its date in milliseconds."""
    command = ["git", "-C", str(Path(__file__).parent), "show", "--no-patch", "--format=%H %ct", name]
    found, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return found, 1000 * int(seconds)


def record(path: Path, folder: Path, name: str, python: str, require: dict[str, str], facts: dict[str, str]) -> Path:
    """Write the machine's file, and the one of its results; the latter."""
    here._load()
    values, (hash_, date) = json.loads(path.read_text(encoding="utf-8"))["values"], commit(name)
    machine = {"machine": folder.name, **facts}
    known = pinned({}, python, require)
    results = Results(machine | known["params"], require, hash_, date, python, known["env_name"], {})
    for benchmark, row in measured(values).values():
        nothing = [None] * len(row)
        results.add_result(benchmark, BenchmarkResult(row, nothing, nothing, 0, "", None))
    folder.mkdir(parents=True, exist_ok=True)
    results.save(str(folder.parent))
    write(folder / "machine.json", dict(sorted(machine.items())) | {"version": 1})
    return folder / f"{hash_[:8]}-{known['env_name']}.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("commit")
    parser.add_argument("--python", required=True)
    parser.add_argument("--require", nargs="*", default=[], metavar="NAME=VERSION")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="constants of the machine")
    options = parser.parse_args(arguments)
    require, facts = pairs(options.require), pairs(options.set)
    try:
        print(record(options.file, options.folder, options.commit, options.python, require, facts))
    except (OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        print(f"record: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

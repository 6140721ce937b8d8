"""What the everyday suite takes with many rules: the tree is copied, rules are added to the copy, and its suite is timed.

    python tools/many_rules.py                     # 50 rules, the README's command
    python tools/many_rules.py 20 tests/executors  # another number of rules, and part of the suite

Each added rule is one of the library's with another name, and with a gradient that is multiplied by a constant of its
own: so no text of any of its kernels is that of another rule. It has a loop in `tests/support/reference.py`. The suite
runs twice, from nothing and with what compilers made in the first run. Some tests of pages fail, which name all rules.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpuopt.rules import rules

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = list(dict.fromkeys(cls.__module__.rpartition(".")[2] for cls in rules().values()))


def add_rules(tree: Path, wanted: int) -> None:
    """Add copies of the rules, each in its family's file, and their loops, until there are so many."""
    sources = {name: (family, source) for family in FAMILIES for name, source in _classes(tree, family)}
    loops = []
    for number in range(wanted - len(sources)):
        name = list(sources)[number % len(sources)]
        family, source = sources[name]
        copy, factor = f"{name}Copy{number}", 1 + (number + 1) / 1024
        _append(tree, family, copy, _renamed(source, name, copy, factor))
        loops.append(f'LOOPS["{copy}"] = _scaled("{name}", {factor})')
    reference = tree / "tests" / "support" / "reference.py"
    scaled = "def _scaled(name, factor):\n    return lambda rule, p, gs: LOOPS[name](rule, p, [factor * g for g in gs])\n"
    reference.write_text("\n\n".join([reference.read_text(encoding="utf-8"), scaled, "\n".join(loops)]), encoding="utf-8")
    subprocess.run([sys.executable, "tools/exports.py"], cwd=tree, check=True)


def _classes(tree: Path, family: str) -> list[tuple[str, str]]:
    """The rules of a file: name and text."""
    text = (tree / "gpuopt" / "rules" / f"{family}.py").read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [(node.name, ast.get_source_segment(text, node) or "") for node in nodes]


def _renamed(source: str, name: str, copy: str, factor: float) -> str:
    """The class under another name, which multiplies its gradient first."""
    source = source.replace(f"class {name}(", f"class {copy}(", 1)
    update = re.compile(r"(    def update\(self, t: Any, p: Any, g: Any.*?-> Any:\n)", re.DOTALL)
    found, count = update.subn(rf"\1        g = {factor} * g\n", source)
    if count != 1:
        raise SystemExit(f"{name} has no update of the known form: bring tools/many_rules.py up to date")
    return found


def _append(tree: Path, family: str, name: str, source: str) -> None:
    path = tree / "gpuopt" / "rules" / f"{family}.py"
    text = re.sub(r"__all__ = \[", f'__all__ = ["{name}", ', path.read_text(encoding="utf-8"), count=1)
    path.write_text(f"{text}\n\n{source}\n", encoding="utf-8")


def timed(tree: Path, arguments: list[str], cache: Path) -> str:
    """Run the suite there; the last line it prints, and what it took."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "GPUOPT_TEST_CACHE": str(cache / "tests")}
    environment["GPUOPT_CACHE_DIR"] = str(cache / "numba")
    command = [sys.executable, "-m", "pytest", "--quiet", "--tb=no", "--numprocesses", "auto", *arguments]
    start, before = time.monotonic(), os.times()
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    wall, after = time.monotonic() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    failed = "".join(f"  {line}\n" for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))
    return f"{failed}{done.stdout.splitlines()[-1]}\n{wall:.0f} s, {cpu:.0f} s of {os.cpu_count()} processors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rules", nargs="?", type=int, default=50)
    parser.add_argument("tests", nargs="*", help="what pytest is given, if not the whole suite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "results")
        shutil.copytree(ROOT, tree, ignore=ignored)
        add_rules(tree, given.rules)
        for what in ("nothing compiled before", "all compiled before"):
            print(f"{given.rules} rules, {what}:\n{timed(tree, given.tests, Path(folder))}\n", flush=True)


if __name__ == "__main__":
    main()

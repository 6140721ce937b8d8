"""Show that the suite notices mistakes that somebody could make.

Each mistake is planted in a copy of the tree, and the tests that are to notice it run there and must fail; those that failed
must pass on the unchanged copy. Exit code 1 if a mistake survives.

    python -m tools.mutants            # all, some minutes
    python -m tools.mutants average    # those whose name or place contains one of the words
    python -m tools.mutants --part 2/4 # every fourth of them, from the second on
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.mutants.mistakes import MISTAKES
from tools.mutants.planting import Mistake, Package, paths_of_tests

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "results")
TOO_LONG = 300
"""Seconds after which tests are broken off: a loop without an end is noticed, too."""


class Copy:
    """A copy of the tree, in which one mistake after another is planted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)

    def killer(self, mistake: Mistake, path: Path, text: str) -> str:
        """The test that fails where a file of the package has that text; "" where none does."""
        file = self._folder / "gpuopt" / path
        before = file.read_text(encoding="utf-8")
        try:
            self._write(file, text)
            return self.failure(["-x", *paths_of_tests(mistake, ROOT)], mistake.emulated)
        finally:
            self._write(file, before)

    def failure(self, arguments: list[str], emulated: tuple[str, ...] | None) -> str:
        """The first test that fails, of those that pytest is told to run; "" where all pass."""
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
        # The copy is imported because pytest's own settings put it first.
        environment = {**os.environ, "PYTHONPATH": str(self._folder)}
        if emulated is not None:
            command += ["-m", "gpu", "--emulated-gpu"]
            environment |= dict(setting.split("=") for setting in emulated)
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False, timeout=TOO_LONG
            )
        except subprocess.TimeoutExpired:
            return "a test without an end"
        if done.returncode == 0:
            return ""
        failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
        if done.returncode != 1 or failed is None:
            raise RuntimeError(f"pytest could not run:\n{done.stdout}{done.stderr}")
        return failed[1]

    def _write(self, file: Path, text: str) -> None:
        """Change a file, and drop what Python compiled of it, which two changes in one second would not make stale."""
        file.write_text(text, encoding="utf-8")
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()


def chosen(words: list[str], part: str = "1/1") -> list[Mistake]:
    """The mistakes of a part whose name or place contains one of the words; all of it without words."""
    first, step = map(int, part.split("/"))
    own = MISTAKES[first - 1 :: step]
    return [one for one in own if not words or any(word in f"{one.name} {one.where}" for word in words)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="of the name or the place of a mistake")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every N-th mistake, from the K-th on (default: all)")
    given = parser.parse_args()
    mistakes, package = chosen(given.words, given.part), Package(ROOT / "gpuopt")
    planted = [(mistake, *package.planted(mistake)) for mistake in mistakes]
    workers = min(os.cpu_count() or 1, len(planted)) or 1
    with tempfile.TemporaryDirectory() as folder:
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(workers):
            free.put(Copy(Path(folder) / str(number)))

        def killer(mistake: Mistake, path: Path, text: str) -> str:
            copy, begun = free.get(), time.monotonic()
            try:
                found = copy.killer(mistake, path, text)
            finally:
                free.put(copy)
            verdict = "killed" if found else "SURVIVED"
            print(f"{verdict:8} {time.monotonic() - begun:5.1f} s  {mistake.name}  [{found}]", flush=True)
            return found

        with concurrent.futures.ThreadPoolExecutor(workers) as several:
            killers = list(several.map(killer, *zip(*planted, strict=True))) if planted else []
        tests = collections.defaultdict(set)
        for mistake, test in zip(mistakes, killers, strict=True):
            if "::" in test:
                tests[mistake.emulated].add(test)
        copy = free.get()
        for emulated, failed in tests.items():
            if broken := copy.failure(sorted(failed), emulated):
                print(f"without any mistake, {broken} fails too")
                return 1
    print(f"{len(killers) - killers.count('')} of {len(killers)} mistakes noticed")
    return 1 if "" in killers else 0


if __name__ == "__main__":
    sys.exit(main())

"""Show that the suite notices the mistakes that published optimizers have made.

Each mutant is one wrong edit, planted in a copy of the tree. The suite runs on each copy and must fail. Exit code 1 if a
mutant survives, or if the unchanged copy does not pass the same tests.

    python tools/mutants.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADAPTIVE, OPTIMIZER, TILES = "rules/adaptive.py", "optimizer.py", "executors/tiles.py"
FLOAT32 = """f"float(__import__('numpy').float32(hyper[{expr.value!r}]))\""""
# What is wrong; the file; the right text; the wrong text in its place.
MUTANTS = [
    ("epsilon inside the root", ADAPTIVE, "(np.sqrt(v_hat) + self.eps)", "np.sqrt(v_hat + self.eps)"),
    ("beta1 and beta2 swapped", ADAPTIVE, "self.beta2 * v + (1 - self.beta2)", "self.beta1 * v + (1 - self.beta1)"),
    ("step count one too high", OPTIMIZER, "traced.evaluate(count, hyper)", "traced.evaluate(count + 1, hyper)"),
    ("step count one too low", OPTIMIZER, "traced.evaluate(count, hyper)", "traced.evaluate(max(count - 1, 1), hyper)"),
    ("1 - beta in float32", "trace.py", 'f"hyper[{expr.value!r}]"', FLOAT32),
    ("AMSGrad's maximum not kept", ADAPTIVE, "v_hat = v_max = np.maximum", "v_hat = np.maximum"),
    ("the last array skipped", TILES, "units = self._units if", "units = self._units[:-1] if"),
    ("the last tile skipped", TILES, "for tile in self._tiles(flat)]", "for tile in self._tiles(flat)[:9]]"),
    ("no bias correction", "rules/base.py", "* np.where(beta > 0,", "* np.where(beta < 0,"),
    ("gradient used as scratch", "executors/numpy_code.py", "all(component in self.targets and", "all("),
    ("a skipped array's count advanced", OPTIMIZER, "count + (g is not None)", "count + 1"),
    ("schedule one step late", OPTIMIZER, "self._numbers(self._rule, self._t) if", "self._numbers(self._rule, self._t + 1) if"),
]


def suite_passes(edit: tuple[str, str, str] | None) -> bool:
    """Whether the tests pass on a copy of the tree with `edit` (file, right, wrong) planted in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "results"))
        if edit is not None:
            path = copy / "gpuopt" / edit[0]
            text = path.read_text(encoding="utf-8")
            if edit[1] not in text:
                raise SystemExit(f"{edit[0]} no longer holds {edit[1]!r}: bring tools/mutants.py up to date")
            path.write_text(text.replace(edit[1], edit[2]), encoding="utf-8")
        tests = ["test_accuracy", "test_agree", "test_rules", "test_optimizer"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *(f"tests/{t}.py" for t in tests)]
        # The copy is imported because pytest's own settings put it first.
        done = subprocess.run(command, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"pytest could not run:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy)}


def main() -> int:
    if not suite_passes(None):
        print("the unchanged tree does not pass")
        return 1
    survivors = [name for name, *edit in MUTANTS if suite_passes(tuple(edit))]
    for name, *_ in MUTANTS:
        print(f"{'SURVIVED' if name in survivors else 'killed':9} {name}")
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

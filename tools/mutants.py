"""Show that the suite notices the mistakes that published optimizers have made.

Each mutant is one wrong edit, planted in a copy of the tree. The suite runs on each copy and must fail. Exit code 1 if a
mutant survives, or if the unchanged copy does not pass the same tests.

    python tools/mutants.py
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADAPTIVE, STEPS, TILES = "rules/adaptive.py", "optimizer/steps/__init__.py", "executors/cpu/tiles.py"
BUNDLE, GRADIENT, PARAMETER = "optimizer/groups.py", "rules/gradient_pieces.py", "rules/parameter_pieces.py"
# What is wrong; the file; the right text; the wrong text in its place.
MUTANTS = [
    ("epsilon inside the root", ADAPTIVE, "(np.sqrt(v_hat) + self.eps)", "np.sqrt(v_hat + self.eps)"),
    ("beta1 and beta2 swapped", ADAPTIVE, "self.beta2 * v + (1 - self.beta2)", "self.beta1 * v + (1 - self.beta1)"),
    (
        "step count one too high",
        BUNDLE,
        "compile_host(traced.scalars)(count, hyper)",
        "compiled(traced.scalars)(count + 1, hyper)",
    ),
    (
        "step count one too low",
        BUNDLE,
        "compile_host(traced.scalars)(count, hyper)",
        "compile_host(traced.scalars)(max(count - 1, 1), hyper)",
    ),
    ("1 - beta in float32", "codegen/host.py", '"hyper[{name!r}]"', "\"float(__import__('numpy').float32(hyper[{name!r}]))\""),
    ("AMSGrad's maximum not kept", ADAPTIVE, "v_hat = v_max = np.maximum", "v_hat = np.maximum"),
    ("the last array skipped", TILES, "else self._units\n", "else self._units[:-1]\n"),
    ("the last tile skipped", "executors/cpu/work.py", "for tile in self._tiles(flat)]", "for tile in self._tiles(flat)[:9]]"),
    ("no bias correction", "rules/base.py", "= np.where(beta > 0,", "= np.where(beta < 0,"),
    ("gradient used as scratch", "codegen/numpy.py", "all(component in self.targets and", "all("),
    ("a skipped array's count advanced", BUNDLE, "if self.positions is None:", "if True:"),
    (
        "schedule one step late",
        STEPS,
        "numbers(self.members, self._t, self._computed) if",
        "numbers(self.members, self._t + 1, self._computed) if",
    ),
    ("a step that was not accepted counted", STEPS, "bool(kept) or not runs", "True"),
    (
        "a norm of one array instead of all",
        "optimizer/steps/staged.py",
        "np.add.accumulate(values[order])[-1]",
        "values[order][0]",
    ),
    ("a loss scale kept where it overflows", GRADIENT, "np.maximum(self.scale * self.backoff, 1.0)", "self.scale"),
    ("15 random bits for 16", "codegen/numpy.py", "out.dtype.type(65536)", "out.dtype.type(32768)"),
    (
        "a master copy not stored",
        "tracing/parts.py",
        'self.values[MASTER] = self.values["p"]',
        "self.values[MASTER] = self.array(MASTER)",
    ),
    ("an accumulated sum not begun anew", GRADIENT, "np.where((t - 1) % self.k == 0, g, total + g)", "total + g"),
    (
        "a GPU's kernel without its tail",
        "codegen/cuda/table.py",
        "whole + lane; at < stop;",
        "whole + lane; at < whole;",
    ),
    (
        "addresses of gradients that moved kept",
        "executors/cuda/tables.py",
        "if captured or (indices, ordered) != self._last or not self._same(grads):",
        "if captured or (indices, ordered) != self._last:",
    ),
    (
        "an average one step behind",
        PARAMETER,
        "np.where(t == 1, new, mean + share * (new - mean))",
        "mean + share * (p - mean)",
    ),
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
        tests = [
            "executors/test_launches",
            "optimizer/test_gradients",
            "executors/test_accuracy",
            "executors/test_bits",
            "rules/test_rules",
            "optimizer/test_contract",
            "rules/test_chain",
            "executors/test_reductions",
            "optimizer/test_loss_scale",
            "optimizer/test_precision",
        ]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *(f"tests/{t}.py" for t in tests)]
        # The copy is imported because pytest's own settings put it first.
        done = subprocess.run(command, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"pytest could not run:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy)}


def main() -> int:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as several:
        unchanged, *passed = several.map(suite_passes, [None, *((file, right, wrong) for _, file, right, wrong in MUTANTS)])
    if not unchanged:
        print("the unchanged tree does not pass")
        return 1
    survivors = [name for (name, *_), survived in zip(MUTANTS, passed, strict=True) if survived]
    for name, *_ in MUTANTS:
        print(f"{'SURVIVED' if name in survivors else 'killed':9} {name}")
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

"""The parts, in order of value: what each runs, and for how long at most."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.gpu_check.device import emulated, python
from tools.gpu_check.outcomes import VARIABLE
from tools.gpu_check.running import Part

FOLDERS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/cuda/bin"])
METRICS = {
    "gpu__time_duration.sum": "time",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "memory",
    "sm__inst_issued.avg.pct_of_peak_sustained_active": "issue slots",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy",
    "launch__registers_per_thread": "registers",
}
"""What a profiler counts for each kernel."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the parts measure, and which tests they run.

    Attributes
    ----------
    size, rounds : int
        Elements of the large array, and rounds of what takes turns.
    many : tuple of int
        How many small arrays, and the elements of each.
    tests : sequence of str
        Arguments for pytest that choose tests.
    """

    size: int = 64_000_000
    rounds: int = 9
    many: tuple[int, int] = (300, 1_000)
    tests: Sequence[str] = ()


def parts(choice: Choice) -> list[Part]:
    """Every part."""

    def bench(name: str, limit: float, *options: str, size: int = choice.size) -> Part:
        """Beside PyTorch, unless `options` say otherwise."""
        given = ["--backend", "cupy", "--rounds", str(choice.rounds), "--sizes", str(size)]
        given += ["--many", *map(str, choice.many), "--rivals", "torch", *options]
        return Part(name, limit, lambda output: python("gpuopt", "bench", *given, "--output", str(output)))

    def own(name: str, limit: float, *options: str) -> Part:
        command = python(f"tools.gpu_check.{name}", *options)
        return Part(name, limit, lambda output: [*command, "--output", str(output)], "jsonl")

    small, patience = (["--small"], 4.0) if emulated() else ([], 1.0)  # kernels on a CPU take their time
    sixteen = ("--dtype", "bfloat16", "--rules", "adam")
    every = [
        Part("machine", 40, lambda _: python("tools.gpu_check.machine")),
        own("smoke", 70, *small),
        own("tuning", 70, "--size", str(choice.size), *small),
        bench("adam", 45, "--rules", "adam"),
        Part("suite", 150, lambda output: suite(output, choice.tests), "jsonl", grace=20),
        bench("rules", 60, "--rules", "adamw", "gradientdescent", "momentum", "rmsprop", "chain"),
        bench("bfloat16", 30, *sixteen),
        bench("master", 20, *sixteen, "--init", "master"),
        bench("rounded", 20, *sixteen, "--init", "stochastic_rounding"),
        bench("graph", 35, "--rules", "adam", "adamw", "momentum", "--graph", "--rivals", size=choice.many[1]),
        bench("rivals", 70, "--rivals", "hand", "optax"),
        Part("benchmarks", 65, lambda output: benchmarks(output, 55)),
        Part("profile", 60, lambda _: profile(choice.size)),
        Part("memory", 90, lambda _: memory()),
        Part("demo", 25, demo, "png"),
    ]
    return [dataclasses.replace(part, limit=patience * part.limit) for part in every]


def suite(output: Path, tests: Sequence[str]) -> list[str]:
    """The tests that need a GPU, shared among processes where pytest-xdist is installed."""
    options = ["--require-gpu", "-m", "gpu", "-v", "--tb=short", "-p", "tools.gpu_check.outcomes", "-p", "no:cacheprovider"]
    options += ["-o", "faulthandler_timeout=40"]  # says where a test hangs
    if importlib.util.find_spec("xdist") is not None and not emulated():
        options += ["-p", "xdist", "-n", str(max(2, (os.cpu_count() or 2) - 2))]  # most of the time goes to compilers
    alone = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"  # some plugins warn of others, and a warning is an error
    return ["env", alone, f"{VARIABLE}={output}", *python("pytest", *options, *tests)]


def benchmarks(output: Path, seconds: int) -> list[str]:
    pattern = "State.*'cupy'" if emulated() else "cupy"
    return python("asv_bench/tools/here.py", pattern, "--seconds", str(seconds), "--output", str(output))


def profile(size: int) -> list[str] | str:
    """Counters of gpuopt's kernels, as CSV in the log."""
    options = ["--clock-control", "none", "--csv", "--kernel-name", "regex:gpuopt_", "--metrics", ",".join(METRICS)]
    return under("ncu", *options, *python("tools.gpu_check.tuning", "--profile", "--size", str(size)))


def memory() -> list[str] | str:
    """The smoke test with every access to memory checked. Errors of calls are left out: NCCL asks CUDA what it can run."""
    options = ["--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", "9"]
    return under("compute-sanitizer", *options, *python("tools.gpu_check.smoke", "--small"))


def under(tool: str, *command: str) -> list[str] | str:
    """A command for a tool of CUDA's, or that it is not here."""
    if emulated():
        return f"{tool} needs a GPU"
    found = shutil.which(tool, path=FOLDERS)
    return f"{tool} is not installed" if found is None else [found, *command]


def demo(output: Path) -> list[str]:
    epochs = "1" if emulated() else "5"
    return python("gpuopt", "demo", "--backend", "cupy", "--batch-size", "32", "--epochs", epochs, "--output", str(output))

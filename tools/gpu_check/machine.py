"""The machine: device, driver, clocks, and the versions of what is measured and what measures."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

DISTRIBUTIONS = (
    "cupy-cuda12x",
    "cupy-cuda13x",
    "numpy",
    "numba",
    "ml_dtypes",
    "torch",
    "jax",
    "optax",
    "nvidia-nccl-cu12",
    "nvidia-nccl-cu13",
    "mpi4py",
    "pytest",
    "pytest-xdist",
)
QUERY = "name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem"


def main() -> int:
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        lines = (answer.stdout or answer.stderr).splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        lines = [str(error)]
    print(*(f"GPU: {line}" for line in lines), sep="\n")
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    print(f"Python {sys.version.split()[0]},", ", ".join(f"{name} {version}" for name, version in found.items()), flush=True)
    from gpuopt import cli
    from gpuopt.arrays import backend

    cli.main(["info"])
    return int(backend.why_not_cupy() is not None)


if __name__ == "__main__":
    sys.exit(main())

"""Optional packages: what to type for one that is missing, and which builds of CuPy are used."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

__all__ = ["CUPY_MISSING", "command", "cupy_fault", "version"]

NEEDED = {
    "cupy-cuda13x": ">=14.1",
    "cupy-cuda12x": ">=14.1",
    "matplotlib": ">=3.8",
    "mpi4py": ">=4",
    "numba": ">=0.61",
    "safetensors": ">=0.5",
    "scikit-learn": ">=1.5",
    "torch": ">=2.4",
    "tqdm": ">=4.66",
}
"""The versions that the extras in pyproject.toml ask for."""
_CUPY = (
    "cupy-cuda13x",
    "cupy-cuda12x",
    "cupy-cuda11x",
    "cupy-rocm-7-0",
    "cupy-rocm-5-0",
    "cupy-rocm-4-3",
    "cupy",
)
"""CuPy's distributions, which are called after what they are built for."""


def command(package: str) -> str:
    """What to type for a package, or module, of an extra: it works however gpuopt was installed."""
    package = "scikit-learn" if package in {"sklearn", "threadpoolctl"} else package
    return f'pip install "{package}{NEEDED[package]}"'


CUPY_MISSING = (
    f"CuPy is not installed ({command('cupy-cuda13x')} for CUDA 13, "
    f"{command('cupy-cuda12x')} for CUDA 12)"
)


def cupy_fault(cupy: ModuleType) -> str | None:
    """Why this build of CuPy is not used, with what to type; None if it may be.

    Before 14.1, CuPy takes 32-bit indices for some views of more than 2**31 bytes: a kernel then
    reads and writes elsewhere.
    """
    runtime = getattr(getattr(cupy, "cuda", None), "runtime", None)
    if getattr(runtime, "is_hip", False):
        return (
            "this CuPy is built for AMD's ROCm, and the kernels are for NVIDIA's GPUs: "
            "use NumPy arrays, such as cupy.asnumpy(params)"
        )
    found = getattr(cupy, "__version__", None)
    if isinstance(found, str) and _older(found):
        return f"CuPy {found} is too old, and 14.1 or newer is needed: {_upgrade()}"
    ask = getattr(runtime, "runtimeGetVersion", None)
    if ask is not None and (cuda := ask()) < 12_000:
        return (
            f"this CuPy is built for CUDA {cuda // 1000}.{cuda % 1000 // 10}, and CUDA 12 or newer "
            f"is needed: {_upgrade()}"
        )
    return None


def _older(found: str) -> bool:
    """Whether that version of CuPy comes before 14.1; one that cannot be read does not."""
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?\.?(a|b|rc|dev)?", found)
    if parts is None:
        return False
    major, minor, micro, early = parts.groups()
    return (int(major), int(minor), int(micro or 0), early is None) < (14, 1, 0, True)


def _upgrade() -> str:
    """The command that puts a newer CuPy in the place of the installed one."""
    name, by = _installed()
    if by == "conda":
        return 'conda install -c conda-forge "cupy>=14.1"'
    if name in NEEDED or name == "cupy":
        return f'pip install --upgrade "{name}>=14.1"'
    remove = f"pip uninstall --yes {name}, then " if name else ""
    return f"{remove}{command('cupy-cuda13x')} for CUDA 13, {command('cupy-cuda12x')} for CUDA 12"


def _installed() -> tuple[str | None, str]:
    """The distribution that CuPy comes from, and what installed it."""
    for name in _CUPY:
        try:
            return name, (distribution(name).read_text("INSTALLER") or "").strip()
        except PackageNotFoundError:
            continue
    return None, ""


def version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    name = _installed()[0] if package == "cupy" else package
    try:
        return None if name is None else distribution(name).version
    except PackageNotFoundError:
        return None

"""The fixed parts of CUDA text, in files of their own beside this one."""

from __future__ import annotations

from importlib import resources

__all__ = ["part"]


def part(name: str) -> str:
    """Read the text of ``NAME.cuh``."""
    return resources.files(__package__).joinpath(f"{name}.cuh").read_text(encoding="utf-8")

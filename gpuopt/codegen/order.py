"""The fixed order in which every executor reduces: lanes, rows and chunks; `gpuopt.executors.fold`
says what they are.
"""

from __future__ import annotations

__all__ = ["LANES", "REDUCTION_CHUNK", "ROWS", "chunks"]

LANES = 256
ROWS = 64
REDUCTION_CHUNK = LANES * ROWS


def chunks(size: int) -> int:
    """How many chunks `size` elements are, the last of which may be short; at least one."""
    return max(1, -(-size // REDUCTION_CHUNK))

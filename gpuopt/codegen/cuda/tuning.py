"""What decides the speed of the CUDA kernels, and no bit of what they compute.

Texts, tables and launches depend on it, so set it before you make the first optimizer. The values
are those with which an H200 was fastest (docs/performance.md has the table).
"""

from __future__ import annotations

__all__ = [
    "BLOCK",
    "IN_FLIGHT",
    "LANES_IN_FLIGHT",
    "STREAMING_STORES",
    "UPDATE_CHUNK",
    "VECTORS",
]

UPDATE_CHUNK = 8192
"""Bytes of a parameter that `LANES` threads update: of float32, two times 16 bytes a thread."""

BLOCK = 128
"""Threads of a block; CuPy's own choice is 128."""

VECTORS = 1
"""How many times 16 bytes of the narrowest array a thread of an update loads before it stores."""

STREAMING_STORES = False
"""Whether a store says that nobody reads it soon."""

IN_FLIGHT = 8
"""Numbers that a thread loads before it adds the first, in a reduction.

On an H200, 4 and 16 are as fast.
"""

LANES_IN_FLIGHT = 32
"""The same where one thread adds the lanes of an array, or the totals of all arrays, while no other
reads.
"""
